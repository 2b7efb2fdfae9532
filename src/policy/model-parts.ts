/** Parts of a model that sees pictures, which are trained or left as they are. */
export const MODEL_PARTS = ["decoder", "projector", "tower"] as const;
export type ModelPart = (typeof MODEL_PARTS)[number];
