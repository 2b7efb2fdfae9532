/** Rules about batches, schedules, rewards and the loss. */
import { decidingPart, partName } from "../rewards/options.ts";
import type { Rule } from "./rules.ts";

/** Divisors of n nearest to `wanted`, smaller first: "8 or 16". */
export function nearestDivisors(n: number, wanted: number): string {
  const small = Array.from({ length: Math.floor(Math.sqrt(n)) }, (_, i) => i + 1).filter((d) => n % d === 0);
  const divisors = [...new Set([...small, ...small.map((d) => n / d).reverse()])];
  const below = divisors.filter((d) => d <= wanted).at(-1);
  const above = divisors.find((d) => d > wanted);
  return [below, above].filter((d) => d !== undefined).join(" or ");
}

const groupSize: Rule = ({ algorithm, rollout }, { report }) => {
  if (algorithm?.kind !== "grpo" || !rollout || rollout.group_size >= 2) return;
  const { baseline, scale } = algorithm.advantage;
  if (baseline === "none" && scale !== "group_std") return;
  report({
    rule: "group_size",
    path: "rollout.group_size",
    uses: ["algorithm.kind", "algorithm.advantage"],
    reason: "GRPO compares the completions of one prompt, and one alone has advantage 0",
    fix: "use 2 or more, or algorithm.advantage {baseline: none, scale: batch_std}",
  });
};

/** Rows of one optimizer step, or null when they do not come out even. */
const batchDivision: Rule = ({ algorithm, rollout }, { report }) => {
  if (!algorithm) return;
  const micro = algorithm.micro_batch_rows;
  if (algorithm.kind === "sft") {
    const rows = algorithm.rows_per_step;
    if (micro === undefined || rows % micro === 0) return;
    const reason = `it must divide rows_per_step = ${rows}, so that all passes have one shape`;
    const fix = `try ${nearestDivisors(rows, micro)}`;
    report({
      rule: "micro_batch",
      path: "algorithm.micro_batch_rows",
      uses: ["algorithm.rows_per_step"],
      reason,
      fix,
    });
    return;
  }
  if (!rollout) return;
  const batch = rollout.prompts_per_step * rollout.group_size;
  const product = `prompts_per_step * group_size = ${batch}`;
  const uses = ["rollout.prompts_per_step", "rollout.group_size", "algorithm.minibatches"];
  if (batch % algorithm.minibatches !== 0) {
    const reason = `it must divide ${product} rows evenly`;
    const fix = `try ${nearestDivisors(batch, algorithm.minibatches)}`;
    report({ rule: "minibatches", path: "algorithm.minibatches", uses, reason, fix });
    return;
  }
  const rows = batch / algorithm.minibatches;
  if (micro === undefined || rows % micro === 0) return;
  const what = algorithm.minibatches === 1 ? product : `the ${rows} rows of a minibatch`;
  const reason = `it must divide ${what}, so that all passes have one shape`;
  const fix = `try ${nearestDivisors(rows, micro)}`;
  report({ rule: "micro_batch", path: "algorithm.micro_batch_rows", uses, reason, fix });
};

const warmup: Rule = ({ algorithm, optimizer, steps }, { report }) => {
  if (!algorithm || !optimizer || steps === undefined) return;
  const perStep = algorithm.kind === "sft" ? 1 : algorithm.epochs * algorithm.minibatches;
  const total = steps * perStep;
  if (optimizer.warmup_steps <= total) return;
  const detail = perStep === 1 ? "" : ` (steps * epochs * minibatches)`;
  report({
    rule: "warmup",
    path: "optimizer.warmup_steps",
    uses: ["steps", "algorithm.epochs", "algorithm.minibatches"],
    reason: `the run has ${total} optimizer steps${detail} and would end inside the warm-up`,
    fix: `use ${total} or less`,
  });
};

const schedule: Rule = ({ optimizer }, { report }) => {
  if (optimizer?.schedule !== "constant" || optimizer.final_lr_share === 0) return;
  report({
    rule: "schedule",
    path: "optimizer.final_lr_share",
    uses: ["optimizer.schedule"],
    reason: "a constant schedule never goes down to it",
    fix: "use schedule: linear or cosine, or remove it",
  });
};

const ppoKl: Rule = ({ algorithm }, { report }) => {
  if (algorithm?.kind !== "ppo") return;
  const { coef, target, horizon } = algorithm.kl;
  if (target !== undefined && coef === 0) {
    const reason = "the coefficient is multiplied on its way to the target, and 0 stays 0";
    const fix = "use 0.2 (Ziegler et al.), or remove target";
    report({ rule: "kl_target", path: "algorithm.kl.coef", uses: ["algorithm.kl.target"], reason, fix });
  }
  if (target === undefined && horizon !== undefined) {
    const reason = "the coefficient is fixed where kl has no target";
    const fix = "add target, or remove it";
    report({ rule: "kl_target", path: "algorithm.kl.horizon", uses: ["algorithm.kl.target"], reason, fix });
  }
};

const criticWarmup: Rule = ({ algorithm, steps }, { report }) => {
  if (algorithm?.kind !== "ppo" || steps === undefined || algorithm.critic.warmup_steps < steps) return;
  report({
    rule: "critic_warmup",
    path: "algorithm.critic.warmup_steps",
    uses: ["steps"],
    reason: `in all ${steps} steps only the critic would learn`,
    fix: `use less than ${steps}`,
  });
};

const packing: Rule = ({ algorithm }, { report }) => {
  if (algorithm?.kind !== "sft") return;
  const { packing, row_length: length } = algorithm;
  if (packing && length === undefined) {
    const reason = "packing fills rows of a fixed length, and there is no row_length";
    report({
      rule: "packing",
      path: "algorithm.packing",
      uses: ["algorithm.row_length"],
      reason,
      fix: "add `row_length: 64`",
    });
  }
  if (!packing && length !== undefined) {
    const reason = "rows have a fixed length only when examples are packed";
    report({
      rule: "packing",
      path: "algorithm.row_length",
      uses: ["algorithm.packing"],
      reason,
      fix: "add `packing: true`, or remove it",
    });
  }
};

const klToRandomWeights: Rule = ({ algorithm, model }, { report }) => {
  if (!algorithm || algorithm.kind === "sft" || algorithm.kl.coef === 0 || model?.init === undefined) return;
  report({
    rule: "kl_reference",
    path: "algorithm.kl.coef",
    uses: ["model.init"],
    reason: "a KL needs a reference policy, and model.init has only random weights",
    fix: "use 0, or start from model.path",
  });
};

const rewardsPresent: Rule = ({ algorithm, rewards, data }, { report, written }) => {
  if (!algorithm || !rewards) return;
  const evaluates = data?.eval !== undefined;
  if (algorithm.kind === "sft" && data && !evaluates) {
    if (rewards.length > 0) {
      const reason = "supervised training looks at no reward, and there is no data.eval to score";
      report({
        rule: "rewards_unused",
        path: "rewards",
        uses: ["algorithm.kind", "data"],
        reason,
        fix: "add data.eval, or remove rewards",
      });
    }
    if (written("rollout")) {
      const reason = "supervised training samples nothing, and there is no data.eval to sample for";
      report({
        rule: "rollout_unused",
        path: "rollout",
        uses: ["algorithm.kind", "data"],
        reason,
        fix: "add data.eval, or remove rollout",
      });
    }
    return;
  }
  if (rewards.length === 0) {
    const reason =
      algorithm.kind !== "sft"
        ? `${algorithm.kind.toUpperCase()} learns from rewards, and there are none`
        : "data.eval needs a part that decides what is correct";
    report({
      rule: "rewards_missing",
      path: "rewards",
      uses: ["algorithm.kind", "data"],
      reason,
      fix: "add one, such as `- kind: exact`",
    });
    return;
  }
  if (evaluates && decidingPart(rewards) < 0) {
    const reason = "data.eval counts correct completions, and no part decides what is correct";
    report({
      rule: "correctness",
      path: "rewards",
      uses: ["data.eval"],
      reason,
      fix: "add an exact, number, math or file part (weight: 0 only measures)",
    });
  }
  if (algorithm.kind !== "sft" && rewards.every((part) => part.weight === 0)) {
    const reason = "every weight is 0, so every reward is 0 and nothing is learnt";
    report({
      rule: "weights",
      path: "rewards",
      uses: ["algorithm.kind"],
      reason,
      fix: "give one part a weight",
    });
  }
};

const lengthPenalty: Rule = ({ rewards, rollout }, { report }) => {
  if (!rewards || !rollout) return;
  for (const [index, part] of rewards.entries()) {
    if (part.kind !== "length" || part.unit !== "tokens" || part.limit < rollout.max_new_tokens) continue;
    report({
      rule: "length_limit",
      path: `rewards.${index}.limit`,
      uses: ["rollout.max_new_tokens"],
      reason: `no completion is longer than rollout.max_new_tokens = ${rollout.max_new_tokens}, so part ${partName(part)} never acts`,
      fix: "lower limit, or raise max_new_tokens",
    });
  }
};

const greedySamples: Rule = ({ eval: evaluation }, { report }) => {
  if (!evaluation || evaluation.temperature > 0 || evaluation.samples === 1) return;
  report({
    rule: "greedy_samples",
    path: "eval.samples",
    uses: ["eval.temperature"],
    reason: "at temperature 0 all completions of a prompt are equal",
    fix: "use 1, or a temperature above 0",
  });
};

/** Greedy decoding takes the likeliest token, whatever is kept beside it. */
const greedyTruncation: Rule = ({ eval: evaluation }, { report }) => {
  if (!evaluation || evaluation.temperature > 0) return;
  const off = { top_p: 1, top_k: 0, min_p: 0 };
  for (const key of ["top_p", "top_k", "min_p"] as const) {
    if (evaluation[key] === undefined || evaluation[key] === off[key]) continue;
    report({
      rule: "greedy_truncation",
      path: `eval.${key}`,
      uses: ["eval.temperature"],
      reason: "at temperature 0 the likeliest token is taken, and nothing else can be kept",
      fix: "remove it, or use a temperature above 0",
    });
  }
};

const evalNeedsData: Rule = ({ eval: evaluation, data }, { report }) => {
  if (!evaluation || !data || data.eval !== undefined) return;
  const reason = "there is no data.eval to evaluate on";
  report({ rule: "eval_data", path: "eval", uses: ["data"], reason, fix: "add data.eval, or remove eval" });
};

const modeSamples: Rule = ({ rollout }, { report }) => {
  if (rollout?.mode_samples === undefined) return;
  const { direct, thinking } = rollout.mode_samples;
  if (direct + thinking <= rollout.group_size) return;
  report({
    rule: "mode_samples",
    path: "rollout.mode_samples",
    uses: ["rollout.group_size"],
    reason: `${direct} direct and ${thinking} thinking completions do not fit into a group of ${rollout.group_size}`,
    fix: "lower them, or raise rollout.group_size",
  });
};

/** Labels that a part or the traces read, on a task that has none. */
const labels: Rule = ({ data, rewards, algorithm }, { report }) => {
  if (data?.train.kind !== "chain" || data.train.need !== undefined) return;
  const fix = "add data.train.need, such as [0, 0, 1] for levels from 3 on";
  if (data.train.traces.think_by_label) {
    const reason = "no problem has a label, as data.train.need is absent";
    report({ rule: "labels", path: "data.train.traces.think_by_label", reason, fix });
  }
  if (algorithm?.kind === "sft") return;
  for (const [index, part] of (rewards ?? []).entries()) {
    if (part.kind !== "trigger" || part.counts === "format") continue;
    if (part.label !== "needs_thinking") continue;
    const reason = "it compares with a label, and data.train has no need to make them from";
    report({ rule: "labels", path: `rewards.${index}.counts`, uses: ["data.train"], reason, fix });
  }
};

/** Kinds that each of backend's keys is for. */
const backendKeys = {
  cblas: { kinds: ["wasm"], why: "makes no use of a BLAS library of ours" },
  library: { kinds: ["xla", "tensorflow"], why: "opens no such library" },
  devices: { kinds: ["xla"], why: "computes on one device" },
  memory_limit: { kinds: ["xla"], why: "does not say what memory its kernels will take" },
  threads: { kinds: ["wasm", "xla", "tensorflow"], why: "cannot be told how many threads to use" },
} as const;

const backendKeysUsed: Rule = ({ backend }, { report }) => {
  if (!backend || backend.kind === "auto") return;
  for (const [key, { kinds, why }] of Object.entries(backendKeys)) {
    const value = backend[key as keyof typeof backendKeys];
    if (
      value === undefined ||
      value === "auto" ||
      value === "off" ||
      kinds.some((kind) => kind === backend.kind)
    )
      continue;
    report({
      rule: "backend_key",
      path: `backend.${key}`,
      uses: ["backend.kind"],
      reason: `the ${backend.kind} backend ${why}`,
      fix: `use kind: ${kinds.join(" or ")}, or remove it`,
    });
  }
};

export const trainingRules: readonly Rule[] = [
  groupSize,
  batchDivision,
  warmup,
  schedule,
  ppoKl,
  criticWarmup,
  packing,
  klToRandomWeights,
  rewardsPresent,
  lengthPenalty,
  greedySamples,
  greedyTruncation,
  evalNeedsData,
  modeSamples,
  labels,
  backendKeysUsed,
];
