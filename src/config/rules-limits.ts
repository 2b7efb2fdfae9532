/** Numbers beyond what any run can hold: each would end in a memory error or never. Looked at before other rules. */
import type { Rule } from "./rules.ts";

/** Rows of a step: ten times the largest that a paper reports. */
const LARGEST_BATCH = 1_000_000;
/** Weights and rewards above it leave no digits for what they are compared with. */
const LARGEST_REWARD = 1e6;
/** Any other number. Whole numbers above are not exact in a run's files. */
const LARGEST_NUMBER = 1e12;

const largest: Readonly<Record<string, number>> = {
  steps: 100_000_000,
  "rollout.prompts_per_step": LARGEST_BATCH,
  "rollout.group_size": 100_000,
  "rollout.max_new_tokens": 10_000_000,
  "rollout.max_prompt_tokens": 10_000_000,
  "algorithm.rows_per_step": LARGEST_BATCH,
  "algorithm.row_length": 10_000_000,
  "algorithm.epochs": 10_000,
  "eval.samples": 100_000,
  "eval.limit": 10_000_000,
  "data.train.size": 10_000_000,
  "data.eval.size": 10_000_000,
  "data.train.shots": 100_000,
  "data.eval.items_per_cell": 1_000_000,
  "backend.threads": 4096,
  "backend.devices": 4096,
  "model.lora.rank": 65_536,
  "run.samples_prompts": LARGEST_BATCH,
};

/** Dotted path and value of every number. */
function* numbersIn(value: unknown, path: string): Generator<[string, number]> {
  if (typeof value === "number") yield [path, value];
  if (value === null || typeof value !== "object") return;
  for (const [key, child] of Object.entries(value))
    yield* numbersIn(child, path === "" ? key : `${path}.${key}`);
}

/** The bound on a key, and why it has one. */
function boundOf(path: string): { bound: number; why: string } {
  if (Object.hasOwn(largest, path)) return { bound: largest[path]!, why: "no run can hold more" };
  if (/^(rewards|shaping)\./.test(path)) {
    return { bound: LARGEST_REWARD, why: "sums with such a number lose all others to rounding" };
  }
  return { bound: LARGEST_NUMBER, why: "it is far beyond anything that it can mean" };
}

const words = (bound: number): string => bound.toLocaleString("en");

export const limitRules: readonly Rule[] = [
  (recipe, { report }) => {
    for (const [path, value] of numbersIn(recipe, "")) {
      const { bound, why } = boundOf(path);
      if (Math.abs(value) <= bound) continue;
      report({ rule: "too_large", path, reason: why, fix: `use ${words(bound)} or less` });
    }
  },
  ({ rollout, algorithm }, { report }) => {
    if (!rollout || !algorithm) return;
    const { prompts_per_step: prompts, group_size: group } = rollout;
    if (prompts > LARGEST_BATCH || group > 100_000 || prompts * group <= LARGEST_BATCH) return;
    report({
      rule: "too_large",
      path: "rollout.group_size",
      uses: ["rollout.prompts_per_step"],
      reason: `prompts_per_step * group_size = ${words(prompts * group)} completions a step, and no run can hold them`,
      fix: `use ${words(LARGEST_BATCH)} or less in all`,
    });
  },
];
