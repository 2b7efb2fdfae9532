/** The eleven few-shot datasets of CoOp (arXiv:2109.01134), which CLS-RL trains and tests on. */

import { coopOptions } from "./coop-options.ts";
import { defineDataset } from "./define.ts";

export const coop = defineDataset({
  kind: "coop",
  options: coopOptions,
  pool: ({ limit }) => ({ key: "limit", size: limit }),
  slices: ({ half }) => (half === "all" ? ["dataset"] : ["dataset", "split"]),
  async files(options) {
    const { listFiles } = await import("./own-pictures/coop-lists.ts");
    return listFiles(options);
  },
  async open(options, { note, split }) {
    const { readCoop } = await import("./own-pictures/coop-lists.ts");
    const { classificationSource } = await import("./classification.ts");
    const part = options.part ?? (split === "train" ? "train" : "test");
    return classificationSource(readCoop(options, part), options, note);
  },
});
