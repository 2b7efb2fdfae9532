/** Problems that an environment makes of their seeds alone: rows with nothing in them. */
import { z } from "zod";
import { defineDataset } from "./define.ts";

export const episodesOptions = z.strictObject({
  kind: z.literal("episodes"),
  size: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(256)
    .describe("problems; training and evaluation have different ones"),
});

export const episodes = defineDataset({
  kind: "episodes",
  options: episodesOptions,
  pool: ({ size }) => ({ key: "size", size }),
  slices: () => [],
  files: async () => [],
  open: ({ size }, { split }) => ({
    name: `episodes (${split})`,
    size,
    at: (index) => ({
      id: `episode-${split}-${index}`,
      // the environment's reset writes it
      input: { kind: "text", text: "" },
      answer: "",
      slices: {},
      fields: {},
    }),
  }),
});
