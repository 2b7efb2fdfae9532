/** Rules about batches, schedules, rewards and the loss. */
import { updatesOf } from "../algorithms/declaration.ts";
import { algorithmOf } from "../algorithms/kinds.ts";
import { kindsWithKey } from "../backend/options.ts";
import { decidingPart, partName } from "../rewards/options.ts";
import type { Rule } from "./rules.ts";

const warmup: Rule = ({ algorithm, optimizer, steps, rollout }, { report }) => {
  if (!algorithm || !optimizer || !rollout || steps === undefined) return;
  const perStep = updatesOf(algorithmOf(algorithm).batch(algorithm, rollout));
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

const rewardsPresent: Rule = ({ algorithm, rewards, data }, { report, written }) => {
  if (!algorithm || !rewards) return;
  const evaluates = data?.eval !== undefined;
  const { title, learnsFrom } = algorithmOf(algorithm);
  if (learnsFrom !== "rewards" && data && !evaluates) {
    if (rewards.length > 0) {
      const reason = `${title} looks at no reward, and there is no data.eval to score`;
      report({
        rule: "rewards_unused",
        path: "rewards",
        uses: ["algorithm.kind", "data"],
        reason,
        fix: "add data.eval, or remove rewards",
      });
    }
    if (written("rollout")) {
      const reason = `${title} samples nothing, and there is no data.eval to sample for`;
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
      learnsFrom === "rewards"
        ? `${title} learns from rewards, and there are none`
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
  if (learnsFrom === "rewards" && rewards.every((part) => part.weight === 0)) {
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

const samplerUsed: Rule = ({ algorithm, sampler }, { report }) => {
  if (!algorithm || !sampler || sampler.kind === "shuffled") return;
  const { samples, title } = algorithmOf(algorithm);
  if (samples) return;
  report({
    rule: "sampler_unused",
    path: "sampler.kind",
    uses: ["algorithm.kind"],
    reason: `${title} reads every row once an epoch, in an order drawn from the seed`,
    fix: "remove sampler",
  });
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
  if (algorithm !== undefined && algorithmOf(algorithm).learnsFrom !== "rewards") return;
  for (const [index, part] of (rewards ?? []).entries()) {
    if (part.kind !== "trigger" || part.counts === "format") continue;
    if (part.label !== "needs_thinking") continue;
    const reason = "it compares with a label, and data.train has no need to make them from";
    report({ rule: "labels", path: `rewards.${index}.counts`, uses: ["data.train"], reason, fix });
  }
};

/** Why an engine that does not read a key of `backend` cannot do what it asks for. */
const backendKeys = {
  cblas: "makes no use of a BLAS library of ours",
  library: "opens no such library",
  devices: "computes on one device",
  memory_limit: "does not say what memory its kernels will take",
  threads: "cannot be told how many threads to use",
} as const;

const backendKeysUsed: Rule = ({ backend }, { report }) => {
  if (!backend || backend.kind === "auto") return;
  for (const [key, why] of Object.entries(backendKeys) as [keyof typeof backendKeys, string][]) {
    const value = backend[key];
    const kinds = kindsWithKey(key);
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
  warmup,
  schedule,
  rewardsPresent,
  lengthPenalty,
  samplerUsed,
  greedySamples,
  greedyTruncation,
  evalNeedsData,
  modeSamples,
  labels,
  backendKeysUsed,
];
