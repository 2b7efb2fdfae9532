/** Which losses, estimators and filters go together, and with what else of a recipe. */
import { policyLossOf } from "../../losses/policy-kinds.ts";
import type { AlgorithmRule } from "../declaration.ts";
import type { GrpoOptions } from "./options.ts";

/** Groups of one, and what compares inside of groups. */
export const groupSize: AlgorithmRule<GrpoOptions> = ({ algorithm, rollout }, { report }) => {
  if (!algorithm || !rollout || rollout.group_size >= 2) return;
  const { baseline, scale } = algorithm.advantage;
  if (baseline === "none" && scale !== "group_std" && scale !== "group_mean") return;
  report({
    rule: "group_size",
    path: "rollout.group_size",
    uses: ["algorithm.kind", "algorithm.advantage"],
    reason: "GRPO compares the completions of one prompt, and one alone has advantage 0",
    fix: "use 2 or more, or algorithm.advantage {baseline: none, scale: batch_std}",
  });
};

/** Without a comparison inside the group every group has a gradient, or none has one. */
export const redrawnGroups: AlgorithmRule<GrpoOptions> = ({ algorithm, rollout }, { report }) => {
  if (algorithm?.dynamic_sampling === undefined || !rollout) return;
  const uses = ["rollout.group_size", "algorithm.advantage"];
  const say = (reason: string, fix: string) =>
    report({ rule: "dynamic_sampling", path: "algorithm.dynamic_sampling", uses, reason, fix });
  if (rollout.group_size < 2) {
    say(
      "it redraws groups whose completions all have the same reward, and a group of one always has",
      "use rollout.group_size 2 or more, or remove it",
    );
  } else if (algorithm.advantage.baseline === "none") {
    say(
      "with baseline none a group has a gradient although all its rewards are equal",
      "use baseline group_mean or leave_one_out, or remove it",
    );
  } else if (algorithm.advantage.parts === "decoupled") {
    say(
      "it looks at the sum of the rewards, and with parts: decoupled a group of equal sums has a gradient",
      "use parts: sum, or remove it",
    );
  }
};

/** The ratio of a whole completion is one number, and so is what is done with it. */
export const wholeCompletions: AlgorithmRule<GrpoOptions> = ({ algorithm }, { report }) => {
  if (!algorithm) return;
  const kind = policyLossOf(algorithm.loss);
  if (!kind.wholeCompletions) return;
  if (algorithm.aggregation !== "sequence") {
    report({
      rule: "loss_aggregation",
      path: "algorithm.aggregation",
      uses: ["algorithm.loss"],
      reason: `${kind.title} has one ratio for a whole completion, and its objective is a mean over completions`,
      fix: "use sequence",
    });
  }
  if (algorithm.sampler_correction !== undefined) {
    report({
      rule: "loss_sampler_correction",
      path: "algorithm.sampler_correction",
      uses: ["algorithm.loss"],
      reason: `it weighs each token, and ${kind.title} has one weight for a whole completion`,
      fix: "use a loss of tokens such as cispo, or remove it",
    });
  }
};

/** Bounds that nothing reads, or between which nothing lies. */
export const lossBounds: AlgorithmRule<GrpoOptions> = ({ algorithm }, { report, written }) => {
  if (!algorithm) return;
  const { loss } = algorithm;
  if (!policyLossOf(loss).clips && written("algorithm.clip")) {
    const own = "low" in loss ? "algorithm.loss.low and high" : "those under algorithm.loss";
    report({
      rule: "loss_clip",
      path: "algorithm.clip",
      uses: ["algorithm.loss"],
      reason: `loss ${loss.kind} has bounds of its own and does not read it`,
      fix: `use ${"positive" in loss ? "algorithm.loss.positive and negative" : own}, or remove it`,
    });
  }
  if (loss.kind === "clip-cov" && loss.above >= loss.below) {
    report({
      rule: "loss_covariance",
      path: "algorithm.loss.above",
      uses: ["algorithm.loss.below"],
      reason: `no covariance is above ${loss.above} and below ${loss.below}`,
      fix: `use less than ${loss.below}`,
    });
  }
};

/** A filter that leaves nothing to compare, or leaves nothing out. */
export const keptCompletions: AlgorithmRule<GrpoOptions> = ({ algorithm, rollout }, { report }) => {
  if (algorithm?.filter === undefined || !rollout) return;
  const { keep } = algorithm.filter;
  const say = (reason: string, fix: string) =>
    report({
      rule: "filter_keep",
      path: "algorithm.filter.keep",
      uses: ["rollout.group_size", "algorithm.advantage"],
      reason,
      fix,
    });
  if (keep >= rollout.group_size) {
    say(
      `a group has ${rollout.group_size} completions, so nothing would be left out`,
      `use less than ${rollout.group_size}, or a larger rollout.group_size`,
    );
  } else if (keep < 2 && algorithm.advantage.baseline !== "none") {
    say("the kept completions of a group are compared, and one alone has advantage 0", "use 2 or more");
  }
};

/** A success rate below 0 would turn the sign of every advantage. */
export const successRate: AlgorithmRule<GrpoOptions> = ({ algorithm, rewards }, { report }) => {
  if (algorithm?.advantage.scale !== "group_mean") return;
  const say = (path: string, reason: string, fix: string) =>
    report({ rule: "advantage_group_mean", path, uses: ["algorithm.advantage"], reason, fix });
  if (algorithm.kl.coef > 0 && algorithm.kl.place === "reward") {
    say(
      "algorithm.kl.place",
      "scale group_mean divides by the group's mean reward, which a KL in the reward may bring below 0",
      "use place: loss",
    );
  }
  const negative = rewards?.findIndex(({ weight }) => weight < 0) ?? -1;
  if (negative >= 0) {
    say(
      `rewards[${negative}].weight`,
      "scale group_mean divides by the group's mean reward, which a negative weight may bring below 0",
      "use another algorithm.advantage.scale",
    );
  }
};

/** What compares reward parts by themselves needs several, and nothing that knows only their sum. */
export const decoupledParts: AlgorithmRule<GrpoOptions> = ({ algorithm, rewards, shaping }, { report }) => {
  if (algorithm?.advantage.parts !== "decoupled") return;
  const { advantage, kl } = algorithm;
  const say = (path: string, reason: string, fix: string) =>
    report({ rule: "advantage_parts", path, uses: ["algorithm.advantage", "rewards"], reason, fix });
  if (advantage.baseline !== "group_mean" || advantage.scale !== "group_std") {
    say(
      "algorithm.advantage.parts",
      `decoupled compares each part by group mean and standard deviation (GDPO), not by ${advantage.baseline} and ${advantage.scale}`,
      "use baseline group_mean and scale group_std, or parts: sum",
    );
  }
  if (rewards !== undefined && rewards.filter(({ weight }) => weight !== 0).length < 2) {
    say(
      "algorithm.advantage.parts",
      "decoupled compares several reward parts, and only one has a weight",
      "add a reward, or use parts: sum",
    );
  }
  if (shaping !== undefined && shaping.length > 0) {
    say(
      "algorithm.advantage.parts",
      "shaping changes the sum of the reward parts, which decoupled does not look at",
      "remove shaping, or use parts: sum",
    );
  }
  if (kl.coef > 0 && kl.place === "reward") {
    say(
      "algorithm.kl.place",
      "a KL in the reward belongs to the sum of the parts, which decoupled does not look at",
      "use place: loss, or parts: sum",
    );
  }
};

/** Returns of turns are compared within their group, and are sums of all parts. */
export const creditedTurns: AlgorithmRule<GrpoOptions> = ({ algorithm, environment }, { report }) => {
  if (algorithm === undefined || environment?.credit !== "turn-discount") return;
  const { parts, whiten, scale } = algorithm.advantage;
  const say = (reason: string, fix: string) =>
    report({
      rule: "environment_credit",
      path: "environment.credit",
      uses: ["algorithm.advantage"],
      reason,
      fix: `use credit: outcome, or ${fix}`,
    });
  if (parts === "decoupled") {
    say("advantage.parts decoupled compares whole completions", "algorithm.advantage.parts: sum");
  } else if (whiten || scale === "batch_std") {
    say("turns are compared within their group alone", "an advantage without whiten and batch_std");
  }
};
