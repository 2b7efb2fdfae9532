import { z } from "zod";
import { MODEL_PARTS } from "./model-parts.ts";

/** The seven linear layers of a decoder layer, by the last part of their module name. */
export const linearTargets = [
  "q_proj",
  "k_proj",
  "v_proj",
  "o_proj",
  "gate_proj",
  "up_proj",
  "down_proj",
] as const;

/** keep: as the file has them, where it has codes. */
export const baseDtypes = ["keep", "q8_0", "q4_0", "nf4"] as const;
export type BaseDtype = (typeof baseDtypes)[number];

export const loraOptions = z.strictObject({
  rank: z.int().min(1).default(16).describe("rank r of the update B A; TRL's usual start for RL"),
  alpha: z
    .number()
    .positive()
    .default(32)
    .describe("the update is scaled by alpha / rank (alpha / sqrt(rank) with use_rslora); twice the rank"),
  targets: z
    .array(z.enum(linearTargets))
    .min(1)
    .default([...linearTargets])
    .describe(
      "linear layers that get an adapter; all seven learn best (arXiv:2106.09685 adapted q and v only)",
    ),
  use_rslora: z.boolean().default(false).describe("scale by alpha / sqrt(rank), arXiv:2312.03732"),
  adapter: z
    .string()
    .optional()
    .describe("PEFT adapter directory to go on from; rank, alpha, targets and use_rslora then come from it"),
});

export const wordLevelOptions = z.strictObject({
  tokens: z
    .array(z.string().min(1))
    .min(2)
    .describe("the vocabulary in the order of its ids; longest match first"),
  pad: z.string().describe("padding token, one of tokens"),
  bos: z.string().optional().describe("token put before every prompt, one of tokens"),
  eos: z.string().describe("token that ends a completion, one of tokens"),
  separator: z
    .enum(["none", "space"])
    .default("none")
    .describe("none: tokens stand side by side; space: one blank between them"),
});

export const modelOptions = z.strictObject({
  path: z
    .string()
    .optional()
    .describe("a Hugging Face directory, a .gguf file, or a Hub id org/name[@revision]; this or init"),
  init: z
    .record(z.string(), z.unknown())
    .optional()
    .describe("keys of config.json of a model with random weights, drawn from seed; this or path"),
  tokenizer: z
    .union([z.string(), wordLevelOptions])
    .optional()
    .describe("with init: a directory with tokenizer files, or a word-level vocabulary written here"),
  chat_template: z
    .string()
    .optional()
    .describe("a Jinja file in the place of the model's chat template; checkpoints keep it"),
  chat_template_kwargs: z
    .record(z.string(), z.unknown())
    .optional()
    .describe("what the chat template may read beside the messages, such as enable_thinking: false"),
  lora: loraOptions
    .optional()
    .describe("train low-rank adapters and keep the weights frozen; all weights are trained when absent"),
  trained_parts: z
    .array(z.enum(MODEL_PARTS))
    .min(1)
    .optional()
    .describe(
      "of a model that sees pictures: what is trained of decoder, projector and tower. With lora their linear layers get adapters (all of projector and tower, lora.targets of the decoder), and decoder alone is the default; without, all three are",
    ),
  base_dtype: z
    .enum(baseDtypes)
    .optional()
    .describe(
      "with lora: how the frozen matrices are held. q8_0 (8.5 bits a weight), q4_0 (4.5; embedding and output q8_0) and nf4 (4.5; embedding and output q8_0) are made when the model is loaded, or taken from the file where it has them; keep takes what the file has and makes none; float32 when absent. Backends that compile programs compute with the codes, others with the float32 that they stand for",
    ),
  rematerialise: z
    .boolean()
    .default(false)
    .describe("compute each layer again in the backward pass: memory of one layer, a third more time"),
  max_positions: z
    .int()
    .min(1)
    .optional()
    .describe("refuse rows longer than this; the model's max_position_embeddings when absent"),
});
