/** One task of `rlpt bench-peers` on rlpt, in a process of its own. */

import * as tf from "@tensorflow/tfjs";
import { algorithmOptions } from "../../src/algorithms/kinds.ts";
import { startProfile } from "../../src/backend/profile.ts";
import { compilation } from "../../src/backend/read.ts";
import type { StartOptions } from "../../src/backend/select.ts";
import { startBackend } from "../../src/backend/select.ts";
import { currentLazyBackend } from "../../src/backend/stablehlo/lazy-backend.ts";
import { measure } from "../../src/data/selection/curves.ts";
import { peakMemory } from "../../src/lib/peak-memory.ts";
import { createRng } from "../../src/lib/rng.ts";
import { VERSION } from "../../src/lib/version.ts";
import type { MetricValues } from "../../src/metrics/define.ts";
import { createAdamW } from "../../src/optim/adamw.ts";
import { optimizerOptions } from "../../src/optim/options.ts";
import { openModel } from "../../src/policy/files/model-directory.ts";
import type { TokenBatch } from "../../src/policy/interfaces.ts";
import { createPolicy, type DecoderPolicy } from "../../src/policy/policy.ts";
import { closeGrader, gradeAnswers } from "../../src/rewards/math/grader.ts";
import { encodePrompt } from "../../src/rollouts/encode.ts";
import { generate } from "../../src/rollouts/generate.ts";
import { rolloutOptions } from "../../src/rollouts/options.ts";
import { runAlgorithm } from "../../src/training/run-stage.ts";
import { freshState, unloggedServices, unloggedSettings } from "../../src/training/unlogged-stage.ts";
import type { Prompt, Tokenizer } from "../../src/types.ts";
import { forwardBackward, fullRows } from "../bench/measure.ts";
import { limCurves, type PeerResult, type PeerTask, PRODUCT_SIDE, productOperands } from "./tasks.ts";
import { picturePrompt } from "./vision-model.ts";
import { cardPeak } from "./work.ts";

type Timed = Pick<PeerResult, "seconds" | "firstSeconds" | "promptTokens" | "check">;

/** @throws BackendError when the backend cannot start */
export async function ownSide(task: PeerTask, backend: StartOptions): Promise<PeerResult> {
  if (task.kind === "lim" || task.kind === "grade") {
    const timed = await (task.kind === "lim" ? scoreCurves(task) : gradePairs(task));
    return finished(`rlpt ${VERSION}, Node ${process.version}`, timed, 0);
  }
  const { threads, precision } = task;
  const info = await startBackend({ ...backend, threads, precision });
  if (task.kind === "product") {
    return finished(
      `rlpt ${VERSION}, Node ${process.version}, ${info.description}`,
      await products(task),
      compilation()?.seconds ?? 0,
    );
  }
  const files = await openModel(task.directory);
  const policy = createPolicy(files, {
    trainable: task.lora ? "lora" : "full",
    ...(task.lora ? { lora: { rank: 16, alpha: 32, targets: LINEAR, useRslora: false } } : {}),
    rng: createRng(1).fork("lora"),
  });
  files.weights.close();
  const tokenizer = endless(files.tokenizer);
  const prompts = task.texts.map(
    (text, i): Prompt =>
      task.model === "smolvlm"
        ? picturePrompt(text, String(i))
        : { id: String(i), input: { kind: "text", text }, answer: "", slices: {}, fields: {} },
  );
  try {
    const timed = await MODEL_TASKS[task.kind](task, policy, tokenizer, prompts);
    const compiled = policy.compilation()?.seconds ?? 0;
    const executor = currentLazyBackend()?.executor;
    const description = `rlpt ${VERSION}, Node ${process.version}, ${info.description}`;
    const onDevice = executor === undefined || executor.platform === "cpu" ? null : executor.memory();
    const result = finished(description, timed, compiled, onDevice?.peak ?? null);
    const peakFlops = cardPeak(info.device, precision);
    if (!task.profile) return { ...result, peakFlops };
    const profile = startProfile();
    await MODEL_TASKS[task.kind]({ ...task, runs: 0 }, policy, tokenizer, prompts);
    return { ...result, peakFlops, profile: profile().filter(({ calls }) => calls > 0) };
  } finally {
    policy.dispose();
  }
}

/** The layers' matrices: what both sides put adapters on. */
const LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

const MODEL_TASKS = {
  "grpo-step": trainSteps,
  pass: passes,
  logprobs: logprobPasses,
  generation: generations,
};

function finished(
  description: string,
  timed: Timed,
  compileSeconds: number,
  deviceBytes: number | null = null,
): PeerResult {
  return {
    engine: "rlpt",
    description,
    ...timed,
    compileSeconds,
    peakBytes: peakMemory(),
    deviceBytes,
  };
}

/** No token ends a completion, so that all have the same length. */
function endless(tokenizer: Tokenizer): Tokenizer {
  return Object.create(tokenizer, { eosIds: { value: [] } }) as Tokenizer;
}

/** Training steps as `rlpt train` makes them; every completion has a reward of its own, so that all take part. */
async function trainSteps(
  task: PeerTask,
  policy: DecoderPolicy,
  tokenizer: Tokenizer,
  prompts: readonly Prompt[],
): Promise<Timed> {
  const rows: MetricValues[] = [];
  let firstSeconds = 0;
  const options = optimizerOptions.parse({ lr: 1e-4, clip_norm: 1 });
  const optimizer = createAdamW(policy.trainable, options);
  const rollout = rolloutOptions.parse({
    prompts_per_step: task.prompts,
    group_size: task.groupSize,
    max_new_tokens: task.newTokens,
  });
  const algorithm = algorithmOptions.parse({
    kind: "grpo",
    ...(task.microBatchRows === null ? {} : { micro_batch_rows: task.microBatchRows }),
  });
  await runAlgorithm({
    settings: {
      ...unloggedSettings,
      name: "grpo",
      seed: 1,
      steps: task.runs + 1,
      algorithm,
      rollout,
      optimizer: options,
      sampler: { kind: "shuffled" },
      shaping: [],
      partNames: [],
      partWeights: [],
      maxPromptTokens: task.promptTokens,
      everyRow: false,
    },
    services: unloggedServices(
      (_, values) => {
        if (rows.push(values) === 1) firstSeconds = performance.now() / 1000;
      },
      () => performance.now() / 1000,
      options,
    ),
    state: freshState(),
    policy,
    optimizer,
    tokenizer,
    train: { name: "prompts", size: prompts.length, at: (i) => prompts[i]! },
    score: async (inputs) =>
      inputs.map((_, i) => ({
        reward: i % task.groupSize,
        status: "ok" as const,
        parts: {},
        correct: false,
        thinks: null,
      })),
  });
  optimizer.dispose();
  const column = (name: string) => rows.slice(1).map((row) => Number(row[name]));
  return {
    seconds: {
      whole: column("time/step_s"),
      generation: column("time/rollout_s"),
      update: column("time/update_s"),
    },
    firstSeconds,
    promptTokens: encodePrompt(tokenizer, prompts[0]!, task.promptTokens).tokens.length,
    check: null,
  };
}

/** The prompts' tokens, a row each. */
function rowsOf(task: PeerTask, tokenizer: Tokenizer, prompts: readonly Prompt[]): TokenBatch {
  const length = task.promptTokens;
  const rows = prompts.slice(0, task.prompts).map((prompt) => encodePrompt(tokenizer, prompt, length).tokens);
  const tokens = new Int32Array(rows.length * length);
  for (const [r, row] of rows.entries()) tokens.set(row, r * length);
  return fullRows(tokens, length);
}

async function passes(
  task: PeerTask,
  policy: DecoderPolicy,
  tokenizer: Tokenizer,
  prompts: readonly Prompt[],
): Promise<Timed> {
  const batch = rowsOf(task, tokenizer, prompts);
  return repeated(task, task.promptTokens, async () => (await forwardBackward(policy, batch)).loss);
}

/** C = A B on the backend. All of C is made, since a tensor holds it; one number of it is read. */
async function products(task: PeerTask): Promise<Timed> {
  const side: [number, number] = [PRODUCT_SIDE, PRODUCT_SIDE];
  const [a, b] = productOperands().map((numbers) => tf.tensor2d(numbers, side)) as [tf.Tensor2D, tf.Tensor2D];
  return repeated(task, 0, async () => {
    const c = tf.matMul(a, b);
    const one = tf.slice(c, [5, 7], [1, 1]);
    const [value] = await one.data();
    tf.dispose([c, one]);
    return value!;
  });
}

async function logprobPasses(
  task: PeerTask,
  policy: DecoderPolicy,
  tokenizer: Tokenizer,
  prompts: readonly Prompt[],
): Promise<Timed> {
  const batch = rowsOf(task, tokenizer, prompts);
  return repeated(task, task.promptTokens, async () => {
    const tensor = tf.tidy(() => policy.score(batch, { temperature: 1 }).logprobs);
    const logprobs = await tensor.data<"float32">();
    tensor.dispose();
    return logprobs.reduce((sum, x) => sum + x, 0) / logprobs.length;
  });
}

async function generations(
  task: PeerTask,
  policy: DecoderPolicy,
  tokenizer: Tokenizer,
  prompts: readonly Prompt[],
): Promise<Timed> {
  const encoded = prompts
    .slice(0, task.prompts)
    .map((prompt) => ({ prompt, ...encodePrompt(tokenizer, prompt, task.promptTokens) }));
  const { groupSize, newTokens: maxNewTokens } = task;
  const options = { temperature: 1, top_p: 1, top_k: 0, min_p: 0, stop: [], groupSize, maxNewTokens };
  let run = 0;
  return repeated(task, task.promptTokens, async () => {
    const stream = createRng(7).fork("generation", run++);
    const batchRows = task.prompts * groupSize;
    const groups = await generate(policy, tokenizer, encoded, { ...options, batchRows }, stream);
    return groups.flatMap(({ completions }) => completions).reduce((sum, c) => sum + c.tokens.length, 0);
  });
}

/** One run to warm up and `runs` that are timed. @param work gives the number that both sides must agree on */
async function repeated(task: PeerTask, promptTokens: number, work: () => Promise<number>): Promise<Timed> {
  let check = await work();
  const firstSeconds = performance.now() / 1000;
  const whole: number[] = [];
  for (let run = 0; run < task.runs; run++) {
    const began = performance.now();
    check = await work();
    whole.push((performance.now() - began) / 1000);
  }
  return { seconds: { whole }, firstSeconds, promptTokens, check };
}

async function scoreCurves(task: PeerTask): Promise<Timed> {
  const curves = new Map(limCurves().map((curve, i) => [String(i), curve]));
  return repeated(task, 0, async () => {
    const { scores } = measure(curves);
    return [...scores.values()].reduce((sum, score) => sum + score, 0) / scores.size;
  });
}

async function gradePairs(task: PeerTask): Promise<Timed> {
  const pairs = task.pairs.map(([gold, candidate]) => ({ gold, candidate }));
  try {
    return await repeated(task, 0, async () => {
      const verdicts = await gradeAnswers(pairs, 5000);
      return verdicts.filter((verdict) => verdict.equal).length;
    });
  } finally {
    await closeGrader();
  }
}
