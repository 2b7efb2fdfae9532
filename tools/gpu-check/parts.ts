/** What the check computes in processes of its own: `node tools/gpu-check/part.mjs NAME JSON`. */
export { parityGap, parityValues } from "./parity.ts";
export { writeRandomModel } from "./random-model.ts";
