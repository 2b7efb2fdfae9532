/** The same numbers on two engines: losses, gradients and logprobs of training steps, and greedy completions. */
import { readFileSync, writeFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs";
import { type StartOptions, startBackend } from "../../src/backend/select.ts";
import { createRng } from "../../src/lib/rng.ts";
import { createAdamW } from "../../src/optim/adamw.ts";
import { optimizerOptions } from "../../src/optim/options.ts";
import { openModel } from "../../src/policy/files/model-directory.ts";
import { createPolicy } from "../../src/policy/policy.ts";
import { generate } from "../../src/rollouts/generate.ts";
import type { Prompt } from "../../src/types.ts";
import { fullRows } from "../bench/measure.ts";

export interface ParityTask {
  backend: StartOptions;
  /** Model directory. */
  model: string;
  rows: number;
  length: number;
  steps: number;
  /** Greedy completions: of these texts, or of random tokens where there is none. */
  prompts: readonly string[];
  newTokens: number;
  /** Where the numbers go: PATH.json, and PATH.bin with logprobs and gradients. */
  out: string;
}

interface Values {
  description: string;
  platform: string;
  losses: number[];
  norms: number[];
  completions: number[][];
  /** Name and length of each array in the .bin file, in order. */
  arrays: { name: string; length: number }[];
}

/** Computes them in this process, whose backend this sets. */
export async function parityValues(task: ParityTask): Promise<{ description: string; platform: string }> {
  const info = await startBackend(task.backend);
  const files = await openModel(task.model);
  const policy = createPolicy(files, { trainable: "full" });
  files.weights.close();
  const optimizer = createAdamW(policy.trainable, optimizerOptions.parse({ lr: 1e-3, clip_norm: 1 }));
  const arrays: { name: string; data: Float32Array }[] = [];
  const rng = createRng(3).fork("parity");
  const random = (purpose: number, count: number) =>
    Int32Array.from(
      { length: count },
      (_, i) => 3 + rng.integer(policy.vocabSize - 3, purpose * 1_000_000 + i),
    );

  const encoded = (task.prompts.length > 0 ? task.prompts : ["", "", "", ""]).map((text, i) => ({
    prompt: {
      id: String(i),
      input: { kind: "text", text },
      answer: "",
      slices: {},
      fields: {},
    } satisfies Prompt,
    tokens:
      text === ""
        ? random(100 + i, 16)
        : Int32Array.from(files.tokenizer.encode(text, { addSpecialTokens: true })),
  }));
  // top_k 1 is greedy: what is drawn does not matter
  const greedy = { temperature: 1, top_p: 1, top_k: 1, min_p: 0, stop: [], groupSize: 1 };
  const options = { ...greedy, maxNewTokens: task.newTokens, batchRows: encoded.length };
  const groups = await generate(policy, files.tokenizer, encoded, options, rng.fork("greedy"));

  const losses: number[] = [];
  const norms: number[] = [];
  for (let step = 0; step < task.steps; step++) {
    const batch = fullRows(random(step, task.rows * task.length), task.length);
    const { loss, gradients } = policy.lossAndGradients(
      () => tf.neg(tf.mean(policy.score(batch, { temperature: 1 }).logprobs)) as tf.Scalar,
    );
    const logprobs = tf.tidy(() => policy.score(batch, { temperature: 1 }).logprobs);
    losses.push((await loss.data())[0]!);
    arrays.push({ name: `logprobs ${step}`, data: await logprobs.data<"float32">() });
    for (const [name, gradient] of gradients) {
      arrays.push({ name: `gradient ${step} ${name}`, data: await gradient.data<"float32">() });
    }
    const norm = optimizer.step(gradients, 1e-3);
    norms.push((await norm.data())[0]!);
    tf.dispose([loss, norm, logprobs, ...gradients.values()]);
  }
  const values: Values = {
    description: info.description,
    platform: info.platform ?? "cpu",
    losses,
    norms,
    completions: groups.flatMap(({ completions }) => completions.map(({ tokens }) => [...tokens])),
    arrays: arrays.map(({ name, data }) => ({ name, length: data.length })),
  };
  writeFileSync(`${task.out}.json`, JSON.stringify(values));
  writeFileSync(
    `${task.out}.bin`,
    Buffer.concat(arrays.map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength))),
  );
  return { description: values.description, platform: values.platform };
}

export interface ParityGap {
  /** Relative, the largest over the steps. */
  loss: number;
  norm: number;
  /** Largest and mean absolute difference, nats. */
  logprobLargest: number;
  logprobMean: number;
  /** ||a - b|| / ||b|| over all gradients of a step, the largest over the steps, and the weight where it is largest. */
  gradient: number;
  worstGradient: { name: string; gap: number };
  /** Greedy tokens up to each row's first difference, of all. */
  equalTokens: number;
  tokens: number;
}

/** @param of and reference paths without their ending, of the same task */
export function parityGap(of: string, reference: string): ParityGap {
  const a = readValues(of);
  const b = readValues(reference);
  const gap: ParityGap = {
    loss: largestRelative(a.losses, b.losses),
    norm: largestRelative(a.norms, b.norms),
    logprobLargest: 0,
    logprobMean: 0,
    gradient: 0,
    worstGradient: { name: "", gap: 0 },
    equalTokens: 0,
    tokens: 0,
  };
  let [logprobs, total] = [0, 0];
  const steps = new Map<string, { difference: number; norm: number }>();
  for (const [name, mine] of a.data) {
    const other = b.data.get(name);
    if (other?.length !== mine.length)
      throw new RangeError(`${reference} has no ${name} of ${mine.length} numbers`);
    let [difference, norm] = [0, 0];
    for (let i = 0; i < mine.length; i++) {
      const away = mine[i]! - other[i]!;
      difference += away * away;
      norm += other[i]! * other[i]!;
      if (!name.startsWith("logprobs")) continue;
      // not a number must not pass as no difference
      if (!(Math.abs(away) <= gap.logprobLargest)) gap.logprobLargest = Math.abs(away);
      total += Math.abs(away);
      logprobs++;
    }
    if (name.startsWith("logprobs")) continue;
    const step = name.split(" ")[1]!;
    const sums = steps.get(step) ?? { difference: 0, norm: 0 };
    steps.set(step, { difference: sums.difference + difference, norm: sums.norm + norm });
    const relative = Math.sqrt(difference / Math.max(norm, Number.MIN_VALUE));
    if (!(relative <= gap.worstGradient.gap)) gap.worstGradient = { name, gap: relative };
  }
  gap.logprobMean = total / logprobs;
  gap.gradient = Math.max(...[...steps.values()].map(({ difference, norm }) => Math.sqrt(difference / norm)));
  for (const [row, mine] of a.completions.entries()) {
    const other = b.completions[row]!;
    const first = mine.findIndex((token, i) => token !== other[i]);
    gap.equalTokens += first < 0 ? Math.min(mine.length, other.length) : first;
    gap.tokens += Math.max(mine.length, other.length);
  }
  return gap;
}

function largestRelative(a: readonly number[], b: readonly number[]): number {
  return Math.max(...a.map((value, i) => Math.abs(value / b[i]! - 1)));
}

function readValues(path: string): Values & { data: Map<string, Float32Array> } {
  const values = JSON.parse(readFileSync(`${path}.json`, "utf8")) as Values;
  const bytes = readFileSync(`${path}.bin`);
  const data = new Map<string, Float32Array>();
  let at = 0;
  for (const { name, length } of values.arrays) {
    data.set(
      name,
      new Float32Array(bytes.buffer.slice(bytes.byteOffset + at, bytes.byteOffset + at + 4 * length)),
    );
    at += 4 * length;
  }
  return { ...values, data };
}
