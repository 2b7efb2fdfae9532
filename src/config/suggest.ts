/** What the user may have meant by a name that does not exist. */
import { distance } from "fastest-levenshtein";

/**
 * Names that other trainers use for our keys, so that a config carried over is corrected in one go.
 * Left: the last part of a key as written there. Right: our path.
 */
export const otherNames: Readonly<Record<string, string>> = {
  learning_rate: "optimizer.lr",
  max_grad_norm: "optimizer.clip_norm",
  lr_scheduler_type: "optimizer.schedule",
  adam_beta1: "optimizer.beta1",
  adam_beta2: "optimizer.beta2",
  adam_epsilon: "optimizer.epsilon",
  num_generations: "rollout.group_size",
  max_completion_length: "rollout.max_new_tokens",
  max_tokens: "rollout.max_new_tokens",
  max_prompt_length: "rollout.max_prompt_tokens",
  stop_strings: "rollout.stop",
  batch_size: "rollout.prompts_per_step",
  beta: "algorithm.kl.coef",
  kl_coef: "algorithm.kl.coef",
  kl_coeff: "algorithm.kl.coef",
  epsilon_high: "algorithm.clip.high",
  epsilon_low: "algorithm.clip.low",
  clip_eps: "algorithm.clip.low",
  clip_range: "algorithm.clip.low",
  loss_agg_mode: "algorithm.aggregation",
  loss_type: "algorithm.aggregation",
  loss_mode: "algorithm.loss",
  importance_sampling_level: "algorithm.loss",
  multi_objective_aggregation: "algorithm.advantage.parts",
  scale_rewards: "algorithm.advantage.scale",
  num_iterations: "algorithm.epochs",
  mask_truncated_completions: "algorithm.mask_truncated",
  per_device_train_batch_size: "algorithm.micro_batch_rows",
  micro_batch_size: "algorithm.micro_batch_rows",
  max_steps: "steps",
  output_dir: "run.root",
  save_steps: "run.checkpoint_every",
  save_total_limit: "run.keep_last",
  run_name: "run.name",
  name: "run.name",
  checkpoint: "run.checkpoint_every",
  model_name_or_path: "model.path",
  lora_alpha: "model.lora.alpha",
  lora_r: "model.lora.rank",
  system_prompt: "prompt.system",
  reward_funcs: "rewards",
  eval_steps: "eval.every",
};

/** The nearest of `known` within a third of the word's length (at least 2 edits), or null. */
export function nearest(word: string, known: readonly string[]): string | null {
  const limit = Math.max(2, Math.floor(word.length / 3));
  let best: string | null = null;
  let bestDistance = limit + 1;
  for (const candidate of known) {
    const edits = distance(word.toLowerCase(), candidate.toLowerCase());
    // a short word shares little with a word it must change half of
    if (edits < bestDistance && edits < Math.max(word.length, candidate.length) * 0.6) {
      best = candidate;
      bestDistance = edits;
    }
  }
  return best;
}

/**
 * @param key the unknown key
 * @param siblings keys that exist in its map
 * @param everyPath all key paths of the recipe
 * @returns a sibling's name, the full path of a key elsewhere, or null
 */
export function suggestKey(
  key: string,
  siblings: readonly string[],
  everyPath: readonly string[],
): string | null {
  const sibling = nearest(key, siblings);
  if (sibling !== null) return sibling;
  const elsewhere = everyPath.filter((path) => path === key || path.endsWith(`.${key}`));
  if (elsewhere.length === 1) return elsewhere[0]!;
  const translated = otherNames[key];
  return translated !== undefined && everyPath.includes(translated) ? translated : null;
}
