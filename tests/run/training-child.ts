/**
 * A training loop without a model, run as a child process and killed: state is a vector that every step
 * changes by random numbers of that step, and it writes what a real run writes.
 * argv: run directory, last step, checkpoint interval. KILL_AT=<step>:<place> kills itself at that place.
 */
import { createHash } from "node:crypto";
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createRng } from "../../src/lib/rng.ts";
import { pruneCheckpoints, writeCheckpoint } from "../../src/run/checkpoint.ts";
import { createInterrupt } from "../../src/run/interrupt.ts";
import { openRun } from "../../src/run/run-directory.ts";
import type { SampleRecord } from "../../src/run/samples.ts";

const [runDir = "", lastText = "", everyText = ""] = process.argv.slice(2);
const last = Number(lastText);
const every = Number(everyText);
const [killStep, killPlace] = (process.env["KILL_AT"] ?? ":").split(":");
const fillBytes = Number(process.env["FILL_BYTES"] ?? 0);
const width = 64;
const shards = 12;

function maybeDie(step: number, place: string): void {
  if (Number(killStep) === step && killPlace === place) process.kill(process.pid, "SIGKILL");
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const interrupt = createInterrupt(() => process.stdout.write("interrupted\n"));
const run = await openRun(runDir, { note: (text) => process.stdout.write(`note: ${text}\n`) });
const weights = new Float32Array(width);
let step = 0;
let seen: string[] = [];
if (run.from !== null) {
  const state = run.from.state as { step: number; seen: string[] };
  step = state.step;
  seen = state.seen;
  for (let shard = 0; shard < shards; shard++) {
    const bytes = readFileSync(join(run.from.directory, "weights", `${shard}.bin`));
    weights.set(new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4), (shard * width) / shards);
  }
}
process.stdout.write(`begin ${step}\n`);

async function checkpoint(): Promise<void> {
  run.logs.sync();
  await writeCheckpoint(runDir, step, {
    files: {
      "config.json": JSON.stringify({ width }),
      fill: async (directory) => {
        if (fillBytes > 0) writeFileSync(join(directory, "fill.bin"), Buffer.alloc(fillBytes, 1));
      },
      weights: async (directory) => {
        mkdirSync(join(directory, "weights"));
        for (let shard = 0; shard < shards; shard++) {
          const slice = weights.slice((shard * width) / shards, ((shard + 1) * width) / shards);
          const bytes = Buffer.from(slice.buffer);
          const path = join(directory, "weights", `${shard}.bin`);
          writeFileSync(path, bytes.subarray(0, 8));
          await pause(1);
          if (shard === 5) maybeDie(step, "half");
          appendFileSync(path, bytes.subarray(8));
        }
        maybeDie(step, "files");
      },
    },
    state: { step, seen },
    metrics: { accuracy: createRng(3).fork("accuracy").uniform(step) },
    logs: run.logs.counts(),
  });
  maybeDie(step, "renamed");
  await pruneCheckpoints(runDir, { keepLast: 2, best: { metric: "accuracy", mode: "max" } });
}

// two stages: the second one brings a column of its own
for (const stage of ["warm", "train"]) {
  const end = stage === "warm" ? Math.floor(last / 2) : last;
  if (step >= end && stage === "warm") continue;
  run.logs.startStage(stage, [
    "reward/mean",
    "accuracy",
    ...(stage === "train" ? ["policy/kl"] : []),
    "time/step_s",
  ]);
  while (step < end) {
    const started = performance.now();
    step++;
    const rng = createRng(7).fork("step", step);
    for (let i = 0; i < width; i++) weights[i] = weights[i]! * 0.9 + rng.normal(i);
    await pause(2);
    seen = [...seen, `p${step % 5}`].slice(-10);
    const reward = weights.reduce((sum, value) => sum + value, 0) / width;
    run.logs.samples(
      [0, 1].map(
        (sampleIndex): SampleRecord => ({
          step,
          stage,
          prompt_id: `p${step % 5}`,
          sample_index: sampleIndex,
          prompt: 'line\nbreak, "quote" \u2028 é',
          answer: "4",
          completion: "x".repeat(rng.integer(400, sampleIndex)),
          tokens: 3,
          finish_reason: "eos",
          reward,
          status: "ok",
          correct: reward > 0,
          parts: { answer: { value: reward, status: "ok" } },
        }),
      ),
    );
    maybeDie(step, "samples");
    run.logs.prompts([
      {
        step,
        stage,
        epoch: Math.floor(step / 5),
        prompt_id: `p,"${step % 5}"\n`,
        completions: 2,
        reward_mean: reward,
        accuracy: reward > 0 ? 1 : 0,
        unparsed: 0,
      },
    ]);
    if (step % 4 === 0)
      run.logs.evaluation([
        { step, stage, dataset: "held-out", slice: "all", prompts: 5, completions: 5, correct: step % 5 },
      ]);
    run.logs.metrics(step, {
      "reward/mean": reward,
      accuracy: reward > 0 ? 1 : 0,
      ...(stage === "train" ? { "policy/kl": reward * reward } : {}),
      "time/step_s": (performance.now() - started) / 1000,
    });
    maybeDie(step, "metrics");
    const stopping = await interrupt.poll();
    if (step % every === 0 || step === last || stopping) await checkpoint();
    if (process.env["BUSY_AFTER_INTERRUPT"] && stopping) for (;;);
    if (stopping) {
      run.close();
      process.exit(130);
    }
  }
}
interrupt.dispose();
run.close();
process.stdout.write(`done ${createHash("sha256").update(new Uint8Array(weights.buffer)).digest("hex")}\n`);
