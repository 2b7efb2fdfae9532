/** What rlpt and the Python side are both timed on: one JSON object, the same for both. */
import type { ProfileRow } from "../../src/backend/profile.ts";
import { createRng } from "../../src/lib/rng.ts";
import type { Tokenizer } from "../../src/types.ts";

export interface PeerCase {
  name: string;
  /** As in tables. */
  label: string;
  kind: "product" | "grpo-step" | "pass" | "logprobs" | "generation" | "lim" | "grade";
  /** Folder with weights and tokenizer that it needs. */
  model: "lab" | "smollm2" | "smolvlm" | null;
  lora: boolean;
  prompts: number;
  groupSize: number;
  promptTokens: number;
  newTokens: number;
  /** Rows of a forward and backward pass; all when null. */
  microBatchRows: number | null;
  /** Timed after one that is not, in each process. */
  runs: number;
  /** For cards: run only where it is named. */
  large?: boolean;
}

const step = { kind: "grpo-step", lora: false } as const;
const lab = { model: "lab", prompts: 16, groupSize: 8, promptTokens: 12, newTokens: 32 } as const;
const smollm2 = { model: "smollm2", prompts: 4, groupSize: 8, promptTokens: 64, newTokens: 128 } as const;
const none = { model: null, lora: false, prompts: 0, groupSize: 0, promptTokens: 0, newTokens: 0 } as const;

/** Rows and columns of the matrices of `product`. */
export const PRODUCT_SIDE = 2048;

/** Shortest first. Lengths are forced: no completion ends before its last token. */
export const peerCases: readonly PeerCase[] = [
  // the rate of this machine, which others are a share of
  {
    ...none,
    name: "product",
    label: `product of two matrices of ${PRODUCT_SIDE} x ${PRODUCT_SIDE}`,
    kind: "product",
    microBatchRows: null,
    runs: 30,
  },
  {
    ...step,
    ...lab,
    name: "step-lab",
    label: "laboratory step, 16 x 8, 12 + 32 tokens",
    microBatchRows: null,
    // the code of both sides becomes faster over its first ten
    runs: 40,
  },
  {
    ...smollm2,
    name: "pass",
    label: "SmolLM2 forward and backward, 4 x 128 tokens",
    kind: "pass",
    lora: false,
    prompts: 4,
    groupSize: 1,
    promptTokens: 128,
    newTokens: 0,
    microBatchRows: null,
    runs: 4,
  },
  {
    ...smollm2,
    name: "logprobs",
    label: "SmolLM2 logprob pass, 8 x 192 tokens",
    kind: "logprobs",
    lora: false,
    prompts: 8,
    groupSize: 1,
    promptTokens: 192,
    newTokens: 0,
    microBatchRows: null,
    runs: 4,
  },
  {
    ...smollm2,
    name: "generation",
    label: "SmolLM2 generation, 32 rows, 64 + 128 tokens",
    kind: "generation",
    lora: false,
    microBatchRows: null,
    runs: 2,
  },
  {
    ...step,
    ...smollm2,
    name: "step-lora",
    label: "SmolLM2 step, LoRA r 16, 4 x 8, 64 + 128 tokens",
    lora: true,
    microBatchRows: 8,
    runs: 2,
  },
  {
    ...step,
    ...smollm2,
    name: "step-full",
    label: "SmolLM2 step, all weights, 4 x 8, 64 + 128 tokens",
    microBatchRows: 8,
    runs: 2,
  },
  {
    ...step,
    model: "smolvlm",
    prompts: 4,
    groupSize: 4,
    // 67 of them stand for the picture
    promptTokens: 131,
    newTokens: 64,
    name: "step-vision",
    label:
      "SmolVLM-256M's shape, step, LoRA r 16 on the decoder, 4 x 4, a picture of 512 x 512, 64 + 64 tokens",
    lora: true,
    microBatchRows: null,
    runs: 2,
  },
  ...largeCases(),
  { ...none, name: "lim", label: "LIM scores of 8,523 x 21", kind: "lim", microBatchRows: null, runs: 5 },
  { ...none, name: "grade", label: "10,000 MATH answers", kind: "grade", microBatchRows: null, runs: 1 },
];

/** As many rows as fill a card: minutes a step on a CPU. */
function largeCases(): PeerCase[] {
  const sizes = { prompts: 16, groupSize: 16, promptTokens: 256, newTokens: 512, runs: 2, large: true };
  const label = "16 x 16, 256 + 512 tokens";
  const common = { ...smollm2, ...sizes, microBatchRows: null } as const;
  return [
    {
      ...common,
      kind: "generation",
      lora: false,
      name: "generation-large",
      label: `SmolLM2 generation, ${label}`,
    },
    {
      ...step,
      ...common,
      lora: true,
      microBatchRows: 64,
      name: "step-lora-large",
      label: `SmolLM2 step, LoRA r 16, ${label}`,
    },
    {
      ...step,
      ...common,
      microBatchRows: 64,
      name: "step-full-large",
      label: `SmolLM2 step, all weights, ${label}`,
    },
  ];
}

export type PeerPrecision = "f32" | "tf32" | "bf16";

/** What a process of either side is given. */
export interface PeerTask extends PeerCase {
  threads: number;
  precision: PeerPrecision;
  /** One more run on our side, whose programs are timed one by one. */
  profile: boolean;
  /** Folder of weights and tokenizer; "" where none is needed. */
  directory: string;
  /** Texts of exactly `promptTokens` tokens each; more than one step's. */
  texts: readonly string[];
  /** Gold and given answer of each pair that is graded. */
  pairs: readonly (readonly [string, string])[];
}

/** What it answers. */
export interface PeerResult {
  engine: string;
  /** Versions and the like. */
  description: string;
  /** Seconds of every timed run by part; `whole` is always there. */
  seconds: Record<string, number[]>;
  /** From the process's start to the end of the first run. */
  firstSeconds: number;
  /** Of these, compiling. */
  compileSeconds: number;
  /** Largest resident size. */
  peakBytes: number;
  /** Most bytes in use on a GPU; null where everything is on the CPU. */
  deviceBytes: number | null;
  /** Of the first card at the task's precision, operations a second, where the card is known (our side alone). */
  peakFlops?: number | null;
  /** Programs of the run that was profiled, the most expensive first. */
  profile?: ProfileRow[];
  /** Tokens of the first prompt, as the side itself has counted them. */
  promptTokens: number;
  /** A number that both sides must agree on, where there is one: a loss, a mean logprob, a count. */
  check: number | null;
}

/** Reward curves of 8,523 prompts over 21 epochs: multiples of 1/8, as groups of 8 give. [8523][21] */
export function limCurves(): number[][] {
  const rng = createRng(5).fork("lim");
  return Array.from({ length: 8523 }, (_, i) =>
    Array.from({ length: 21 }, (__, k) => rng.integer(9, i * 21 + k) / 8),
  );
}

/** Multiples of 1/8 from -6/8 to 6/8: their product is exact in float32, so that both sides agree to the last digit. */
export function productOperands(): [Float32Array, Float32Array] {
  const matrix = (row: number, column: number) =>
    Float32Array.from(
      { length: PRODUCT_SIDE ** 2 },
      (_, i) => (((Math.floor(i / PRODUCT_SIDE) * row + (i % PRODUCT_SIDE) * column) % 13) - 6) / 8,
    );
  return [matrix(31, 17), matrix(7, 29)];
}

/**
 * Random prompts of so many tokens that tokenize again as they were made.
 * @param encode a text as the policy reads it, with what stands around it
 */
export function promptTexts(
  tokenizer: Tokenizer,
  count: number,
  tokens: number,
  encode: (text: string) => ArrayLike<number> = (text) => tokenizer.encode(text, { addSpecialTokens: true }),
): string[] {
  const added = encode("").length;
  const pieces = Array.from({ length: tokenizer.size }, (_, id) => tokenizer.decode([id]));
  const words = pieces.filter((text) => /^ [a-z]{2,}$/.test(text)).slice(0, 2000);
  // a vocabulary without words has digits and signs
  const used = words.length > 0 ? words : pieces.filter((text) => /^[0-9+*-]$/.test(text));
  const rng = createRng(6).fork("prompts");
  return Array.from({ length: count }, (_, i) => {
    const length = tokens - added;
    const text = Array.from({ length }, (__, k) => used[rng.integer(used.length, i * tokens + k)]!).join("");
    const got = encode(text).length;
    if (got !== tokens) throw new RangeError(`a prompt of ${tokens} tokens came back as ${got}`);
    return text;
  });
}
