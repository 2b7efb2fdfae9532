/** The smallest run that has everything: evaluation, samples, a data file, an optimizer with state. A step takes milliseconds. */
export const TINY_MODEL = `
  init:
    { model_type: llama, vocab_size: 24, hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1,
      num_attention_heads: 2, num_key_value_heads: 1, hidden_act: silu, max_position_embeddings: 128, initializer_range: 0.3 }
  tokenizer:
    tokens: ["<pad>", "<bos>", "<eos>", "<think>", "</think>", "<answer>", "</answer>", "\\n", "0", "1", "2", "3", "4",
             "5", "6", "7", "8", "9", "+", "-", "*", "=", ".", " "]
    pad: "<pad>"
    bos: "<bos>"
    eos: "<eos>"
`;

/** Chains of sums that are made, not read. */
export const tinyRecipe = (steps: number): string => `seed: 3
steps: ${steps}
backend: { kind: wasm }
model: ${TINY_MODEL}
data:
  train: { kind: chain, levels: [1, 2], size: 24 }
  eval: { kind: chain, levels: [1], size: 6 }
rollout: { prompts_per_step: 3, group_size: 4, max_new_tokens: 8 }
rewards:
  - { kind: length, name: short, limit: 2, max: 8 }
  - { kind: exact, extract: whole }
algorithm: { kind: grpo }
optimizer: { lr: 0.01 }
eval: { every: 1 }
run: { checkpoint_every: 1, keep_last: 99 }
`;

/** The same from rows of a file. */
export function tinyFileRecipe(steps: number, data: { train: string; held: string }): string {
  const source = (path: string) => `{ kind: file, path: ${JSON.stringify(path)}, chat: false, id: id }`;
  return tinyRecipe(steps).replace(
    /data:\n.*\n.*\n/,
    `data:\n  train: ${source(data.train)}\n  eval: ${source(data.held)}\n`,
  );
}

/** Sums with the second term given, so that two files share none. */
export const tinyRows = (second: number) =>
  Array.from({ length: 9 }, (_, i) => ({
    id: `row-${i}-${second}`,
    prompt: `${i}+${second}=`,
    answer: String(i + second),
  }));
