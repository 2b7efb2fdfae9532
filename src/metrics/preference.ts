/** Metrics of steps that learn from pairs of a chosen and a rejected text. */
import type { Metric } from "./define.ts";
import type { UpdateFacts } from "./facts.ts";
import { epoch } from "./rollout.ts";
import { percent } from "./values.ts";

/** A step that has learnt from pairs. */
export interface PreferenceFacts extends UpdateFacts {
  /** Pairs drawn in the stage, this step's among them. */
  drawn: number;
  /** Pairs of the training data; null: endless. */
  size: number | null;
  pairs: number;
  seconds: number;
}

/** Mean over the step's pairs of a sum that the loss returns. */
const mean =
  (name: string) =>
  ({ updates, pairs }: PreferenceFacts) =>
    updates.reduce((sum, { statistics }) => sum + (statistics[name] ?? 0), 0) / pairs;

export const preferenceMetrics: readonly Metric<PreferenceFacts>[] = [
  {
    name: "dpo/loss",
    unit: "nats",
    formula:
      "mean over pairs of -(1 - label_smoothing) log sigmoid(h) - label_smoothing log sigmoid(-h), h the margin",
    note: "log 2 = 0.693 before the first update",
    label: "loss",
    format: (value) => value.toFixed(4),
    line: true,
    panel: { place: 20, course: true },
    curve: { place: 125, title: "Preference loss", unit: "nats a pair" },
    value: ({ updates }) => updates[0]!.loss,
  },
  {
    name: "dpo/accuracy",
    unit: "0..1",
    formula: "pairs with a margin above 0 / pairs",
    note: "0 before the first update, when all margins are 0",
    label: "preferred",
    format: percent,
    line: true,
    panel: { place: 30, course: true },
    value: mean("preferred"),
  },
  {
    name: "dpo/margin",
    unit: "reward",
    formula: "dpo/chosen - dpo/rejected",
    note: "grows without bound where pairs can be told apart: stop by the held-out accuracy",
    curve: { place: 126, title: "Margin of preferences", unit: "implied reward" },
    value: (facts) => mean("chosen")(facts) - mean("rejected")(facts),
  },
  {
    name: "dpo/chosen",
    unit: "reward",
    formula: "mean over pairs of beta (log policy - log reference) of the chosen text",
    note: "falling beside dpo/rejected: the policy moves away from both texts",
    value: mean("chosen"),
  },
  {
    name: "dpo/rejected",
    unit: "reward",
    formula: "mean over pairs of beta (log policy - log reference) of the rejected text",
    note: "",
    value: mean("rejected"),
  },
  {
    name: "dpo/tokens",
    unit: "tokens",
    formula: "tokens of the step's texts, chosen and rejected",
    note: "",
    value: ({ updates }) => updates.reduce((sum, { tokens }) => sum + tokens, 0),
  },
  epoch,
];
