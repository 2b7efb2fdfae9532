import { z } from "zod";
import { defineEnvironment } from "./define.ts";
import { common } from "./part-options.ts";

export const file = defineEnvironment({
  kind: "file",
  options: z.strictObject({
    kind: z.literal("file"),
    file: z
      .string()
      .regex(/\.(ts|mts|js|mjs)$/, "an environment is a .ts, .mts, .js or .mjs file")
      .describe("module exporting environment(), which returns { reset, step }; relative to the config"),
    ...common,
  }),
});
