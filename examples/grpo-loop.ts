/**
 * GRPO from top to bottom, on the library: a recipe's model and data, groups of completions, rewards, advantages inside
 * each group, one clipped policy step with AdamW. The reading copy of what `rlpt train` does; with the quickstart it makes
 * the same completions, rewards and weights.
 *
 *   node grpo-loop.ts quickstart --steps 20              (Node 22.18 or newer runs TypeScript)
 *   npx esbuild grpo-loop.ts --format=esm --outfile=grpo-loop.mjs && node grpo-loop.mjs     (any Node)
 *
 * Left out, and found in `rlpt train`: checkpoints, evaluation, metrics files, several passes and minibatches, the KL to a
 * reference, an entropy bonus, shaping, dynamic sampling. A recipe that asks for one of these is refused.
 */
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import {
  ConfigError,
  clippedPolicyLoss,
  createAdamW,
  createScorer,
  drawPrompts,
  groupAdvantages,
  learningRate,
  loadPolicy,
  loadRecipe,
  openData,
  padRows,
  type Recipe,
  RewardError,
  type ScoredCompletion,
  sample,
  spread,
  tf,
  tokenWeights,
} from "rlpt";

/** What is said of a step. */
export interface StepReport {
  step: number;
  reward: number; // mean over the completions
  accuracy: number;
  tokens: number; // per completion
  gradientNorm: number; // before clipping
}

/** One completion that can move the weights. */
interface Sample {
  promptTokens: Int32Array; // [S]
  completion: ScoredCompletion; // T tokens
  advantage: number;
  /** Of each of its tokens in the loss. */
  weight: number;
}

/**
 * Trains a recipe's model.
 * @param recipe file, or name of a config that comes with rlpt
 * @param save directory that the trained model goes to; null: nowhere
 * @returns a report for each step
 */
export async function grpo(
  recipeName: string,
  {
    steps,
    seed,
    backend,
    save = null,
  }: { steps?: number; seed?: number; backend?: string; save?: string | null },
  onStep: (report: StepReport) => void,
): Promise<StepReport[]> {
  const { recipe } = loadRecipe(recipeName, {
    ...(steps === undefined ? {} : { steps }),
    ...(seed === undefined ? {} : { seed }),
  });
  const options = supported(recipe);
  const { rollout } = recipe;
  const model = await loadPolicy(recipe, { trainable: true, ...(backend === undefined ? {} : { backend }) });
  const { policy, tokenizer } = model;
  const scorer = await createScorer(recipe);
  const prompts = drawPrompts(recipe, await openData(recipe, "train", model));
  const optimizer = createAdamW(policy.trainable, recipe.optimizer);
  const reports: StepReport[] = [];
  try {
    for (let step = 0; step < recipe.steps; step++) {
      // 1. P prompts, G completions of each; draws are a function of seed, stage, step, prompt and sample
      const drawn = prompts.draw(step, rollout.prompts_per_step).map(({ prompt }) => prompt);
      const groups = await sample(model, drawn, rollout, { seed: recipe.seed, stage: "grpo", step });

      // 2. rewards, [P][G]
      const scored = await scorer.groups(groups, tokenizer);
      const failed = scored.flat().find(({ status }) => status === "error" || status === "timeout");
      if (failed !== undefined)
        throw new RewardError(`no reward for ${failed.promptId}: a failure is no score`);
      const rewards = scored.map((group) => group.map(({ reward }) => reward));

      // 3. advantages: each reward against its group's mean, in units of the group's deviation, [P][G]
      const advantages = groupAdvantages(rewards, options.advantage);

      // 4. how much each token counts, so that the loss is a mean over the tokens, or what `aggregation` says
      const lengths = scored.flat().map(({ tokens }) => tokens.length);
      const weights = tokenWeights(lengths, options.aggregation, rollout.max_new_tokens);
      const samples = scored.flat().map((completion, i): Sample => {
        const p = Math.floor(i / rollout.group_size);
        const advantage = advantages[p]![i % rollout.group_size]!;
        return { promptTokens: groups[p]!.promptTokens, completion, advantage, weight: weights[i]! };
      });

      // 5. one optimizer step
      const rate = learningRate(recipe.optimizer, step, recipe.steps);
      const gradientNorm = await update(samples, rate);

      const report = {
        step: step + 1,
        reward: mean(rewards.flat()),
        accuracy: mean(scored.flat().map(({ correct }) => Number(correct))),
        tokens: mean(lengths),
        gradientNorm,
      };
      reports.push(report);
      onStep(report);
    }
    if (save !== null) await model.save(save);
    return reports;
  } finally {
    await scorer.close();
    optimizer.dispose();
    model.dispose();
  }

  /** The clipped surrogate over all tokens, its gradient, and AdamW. @returns the gradient's norm before clipping */
  async function update(samples: readonly Sample[], rate: number): Promise<number> {
    const length = ({ promptTokens, completion }: Sample) => promptTokens.length + completion.tokens.length;
    const sorted = [...samples].sort((a, b) => length(b) - length(a));
    // a completion of advantage 0 has no gradient and need not be computed; without any other, one stands for a gradient of 0
    const different = sorted.filter(({ advantage }) => advantage !== 0);
    const live = different.length > 0 ? different : sorted.slice(-1);
    const rows = live.map((one) => ({ prompt: one.promptTokens, completion: one.completion.tokens }));
    const { loss, gradients } = policy.lossAndGradients(() => {
      const padded = padRows(rows, policy.fewShapes, samples.length);
      // K scored tokens, those of all completions one after the other, padding with weight 0
      const perToken = (of: (sample: Sample, t: number) => number) =>
        tf.tensor1d(spread(padded, (i, t) => of(live[i]!, t))); // [K]
      const { logprobs } = policy.score(padded.batch, { temperature: rollout.temperature }); // [K]
      return clippedPolicyLoss(
        {
          logprobs,
          oldLogprobs: perToken(({ completion }, t) => completion.logprobs[t]!),
          referenceLogprobs: null,
          advantages: perToken(({ advantage }) => advantage),
          weights: perToken(({ weight }) => weight),
        },
        options.clip,
        options.kl,
      ).loss;
    });
    const norm = optimizer.step(gradients, rate);
    const value = (await norm.data())[0]!;
    tf.dispose([loss, norm, ...gradients.values()]);
    return value;
  }
}

/** @returns the recipe's GRPO options, where this loop knows all that they ask for */
function supported({ algorithm, shaping, rollout }: Recipe) {
  if (algorithm.kind !== "grpo")
    throw new ConfigError(`algorithm.kind is ${algorithm.kind}; this loop is GRPO`);
  const asked = [
    algorithm.epochs * algorithm.minibatches > 1 && "several updates of a step",
    algorithm.kl.coef > 0 && "algorithm.kl",
    algorithm.entropy_coef > 0 && "algorithm.entropy_coef",
    algorithm.mask_truncated && "algorithm.mask_truncated",
    algorithm.mask_decision.enabled && "algorithm.mask_decision",
    algorithm.dynamic_sampling !== undefined && "algorithm.dynamic_sampling",
    algorithm.micro_batch_rows !== undefined && "algorithm.micro_batch_rows",
    shaping.length > 0 && "shaping",
    rollout.mode_samples !== undefined && "rollout.mode_samples",
  ].filter((one) => one !== false);
  if (asked.length > 0) throw new ConfigError(`this loop leaves out ${asked.join(", ")}: use rlpt train`);
  return algorithm;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { steps: { type: "string", default: "20" }, seed: { type: "string" }, save: { type: "string" } },
  });
  const seed = values.seed === undefined ? {} : { seed: Number(values.seed) };
  await grpo(
    positionals[0] ?? "quickstart",
    { steps: Number(values.steps), save: values.save ?? null, ...seed },
    ({ step, reward, accuracy, tokens, gradientNorm }) =>
      console.log(
        `step ${step}: reward ${reward.toFixed(3)}, accuracy ${(100 * accuracy).toFixed(1)}%, ${tokens.toFixed(1)} tokens, gradient ${gradientNorm.toFixed(3)}`,
      ),
  );
}
