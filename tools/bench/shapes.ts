/** Models and batches that the benchmark runs: those of the figures in docs/benchmarks.md. */

export interface BenchShape {
  name: string;
  /** As in tables. */
  label: string;
  /** Keys of config.json. */
  config: Readonly<Record<string, unknown>>;
  /** Forward and backward pass. */
  rows: number;
  length: number;
  generation: { prompts: number; repeats: number; promptTokens: number; newTokens: number };
}

function llama(vocab: number, hidden: number, intermediate: number, layers: number, heads: number) {
  return {
    model_type: "llama",
    architectures: ["LlamaForCausalLM"],
    vocab_size: vocab,
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: heads,
    head_dim: hidden / heads,
    max_position_embeddings: 256,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
    hidden_act: "silu",
    bos_token_id: 0,
    eos_token_id: 1,
  };
}

/** Smallest first: the small ones warm up what the large ones use. */
export const benchShapes: readonly BenchShape[] = [
  {
    name: "lab",
    label: "0.14 M",
    config: llama(24, 64, 160, 3, 4),
    rows: 128,
    length: 62,
    generation: { prompts: 16, repeats: 8, promptTokens: 12, newTokens: 32 },
  },
  {
    name: "small",
    label: "0.87 M",
    config: llama(512, 128, 352, 4, 4),
    rows: 32,
    length: 64,
    generation: { prompts: 8, repeats: 4, promptTokens: 16, newTokens: 32 },
  },
  {
    name: "medium",
    label: "5.1 M",
    config: llama(1024, 256, 704, 6, 8),
    rows: 16,
    length: 128,
    generation: { prompts: 4, repeats: 4, promptTokens: 32, newTokens: 32 },
  },
];

/** One thing that grows, in steps of two. */
export interface Growth {
  /** As in tables. */
  label: string;
  shapes: readonly BenchShape[];
}

interface Sizes {
  rows: number;
  length: number;
  groupSize: number;
  newTokens: number;
  layers: number;
  hidden: number;
}

const middle: Sizes = { rows: 32, length: 64, groupSize: 8, newTokens: 32, layers: 4, hidden: 128 };

function grown(what: keyof Sizes, factor: number): BenchShape {
  const sizes = { ...middle, [what]: middle[what] * factor };
  const { rows, length, groupSize, newTokens, layers, hidden } = sizes;
  return {
    name: `${what}-${sizes[what]}`,
    label: String(sizes[what]),
    config: { ...llama(512, hidden, 3 * hidden, layers, hidden / 32), max_position_embeddings: 1024 },
    rows,
    length,
    generation: { prompts: 4, repeats: groupSize, promptTokens: 16, newTokens },
  };
}

const factors = [1, 2, 4, 8];

/** What time and memory are plotted against in docs/benchmarks.md. */
export const growths: readonly Growth[] = (
  [
    ["rows", "rows of a pass"],
    ["length", "tokens of a row"],
    ["groupSize", "completions of a prompt"],
    ["newTokens", "new tokens"],
    ["layers", "layers"],
    ["hidden", "width (parameters grow with its square)"],
  ] as const
).map(([what, label]) => ({ label, shapes: factors.map((factor) => grown(what, factor)) }));

export const allShapes: readonly BenchShape[] = [...benchShapes, ...growths.flatMap(({ shapes }) => shapes)];
