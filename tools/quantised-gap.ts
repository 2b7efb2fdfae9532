import { readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs";
import { startBackend } from "../src/backend/select.ts";
import { openModel } from "../src/policy/files/model-directory.ts";
import type { BaseDtype } from "../src/policy/options.ts";
import { createPolicy } from "../src/policy/policy.ts";

/** Tokens of the text that are looked at. */
const TOKENS = 256;

/** What holding a model's matrices quantised does to its logits over a text. */
export async function main([path, text]: string[]): Promise<void> {
  if (path === undefined || text === undefined) throw new Error("name a model and a text file");
  await startBackend({ kind: "wasm" });
  const files = await openModel(path);
  const ids = [...files.tokenizer.encode(readFileSync(text, "utf8"), { addSpecialTokens: true })].slice(
    0,
    TOKENS,
  );
  const length = ids.length;
  const at = Int32Array.from({ length: length - 1 }, (_, i) => i);
  const batch = {
    rows: 1,
    length,
    tokens: Int32Array.from(ids),
    segments: new Int32Array(length).fill(1),
    positions: Int32Array.from({ length }, (_, i) => i),
    scoredAt: at,
    targets: Int32Array.from(ids.slice(1)),
  };
  const logitsOf = (baseDtype?: BaseDtype): { logits: number[][]; logprob: number } => {
    const policy = createPolicy(files, { trainable: "none", ...(baseDtype && { baseDtype }) });
    const logits = policy.logits(batch, at);
    const values = logits.arraySync();
    const logprob = tf.tidy(() => tf.mean(policy.score(batch, { temperature: 1 }).logprobs).dataSync()[0]!);
    logits.dispose();
    policy.dispose();
    return { logits: values, logprob };
  };
  const base = logitsOf();
  const print = (line: string) => process.stdout.write(`${line}\n`);
  print(`${path}: ${length} tokens of ${text}, mean logprob ${base.logprob.toFixed(4)}`);
  print(
    "base_dtype, rms and largest difference of logits (their mean taken off), mean KL to float32 (nats), same first choice, mean logprob",
  );
  for (const dtype of ["keep", "q8_0", "q4_0", "nf4"] as const) {
    const own = logitsOf(dtype);
    let [squares, largest, kl, same] = [0, 0, 0, 0];
    for (const [n, row] of own.logits.entries()) {
      const want = base.logits[n]!;
      const shift = mean(row) - mean(want);
      for (const [v, logit] of row.entries()) {
        const gap = logit - want[v]! - shift;
        squares += gap * gap;
        largest = Math.max(largest, Math.abs(gap));
      }
      const [p, q] = [logSoftmax(want), logSoftmax(row)];
      for (const [v, logp] of p.entries()) kl += Math.exp(logp) * (logp - q[v]!);
      if (argMax(row) === argMax(want)) same++;
    }
    const rows = own.logits.length;
    const rms = Math.sqrt(squares / (rows * own.logits[0]!.length));
    print(
      [
        dtype,
        rms.toFixed(4),
        largest.toFixed(3),
        (kl / rows).toFixed(5),
        `${((100 * same) / rows).toFixed(1)}%`,
        own.logprob.toFixed(4),
      ].join("  "),
    );
  }
  files.weights.close();
}

const mean = (row: readonly number[]): number => row.reduce((sum, x) => sum + x, 0) / row.length;

function logSoftmax(row: readonly number[]): number[] {
  const max = row.reduce((a, b) => Math.max(a, b));
  const lse = max + Math.log(row.reduce((sum, x) => sum + Math.exp(x - max), 0));
  return row.map((x) => x - lse);
}

const argMax = (row: readonly number[]): number => row.reduce((best, x, i) => (x > row[best]! ? i : best), 0);
