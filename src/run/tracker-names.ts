/** What shows a run's curves elsewhere; src/trackers has each. */
export const trackerNames = ["tensorboard", "mlflow", "trackio", "wandb"] as const;
export type TrackerName = (typeof trackerNames)[number];
