/** Sampling inside a program draws what the host draws. */
import * as tf from "@tensorflow/tfjs";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Executor } from "../../../src/backend/stablehlo/executor.ts";
import type { LazyBackend } from "../../../src/backend/stablehlo/lazy-backend.ts";
import { sampleRow } from "../../../src/backend/stablehlo/sampling.ts";
import { startLazyBackend } from "../../../src/backend/xla/start.ts";
import { createRng } from "../../../src/lib/rng.ts";
import {
  type SamplingOptions,
  sampleToken,
  type TokenConstraint,
} from "../../../src/rollouts/sample-token.ts";
import { optionalPart } from "../../helpers/optional.ts";
import { openTestExecutor, xlaHere, xlaMissing } from "../../helpers/xla.ts";

/** Draws nearer to a border of the cumulative distribution than this may fall on either side. */
const BORDER = 1e-5;
const ROWS = 48;

const plain: SamplingOptions = { temperature: 1, top_p: 1, top_k: 0, min_p: 0 };
const variants: SamplingOptions[] = [
  plain,
  { ...plain, temperature: 0 },
  { ...plain, temperature: 0.7 },
  { ...plain, top_k: 5 },
  { ...plain, top_k: 1 },
  { ...plain, top_p: 0.8 },
  { ...plain, min_p: 0.1 },
  { temperature: 0.7, top_k: 12, top_p: 0.9, min_p: 0.05 },
];

interface Row {
  logits: Float32Array;
  u: number;
  constraint: TokenConstraint | undefined;
}

/** Normal logits; every fourth row of few values, so that many tie, every fifth with impossible tokens. */
function rowsOf(vocabulary: number, constrained: boolean): Row[] {
  const rng = createRng(vocabulary + Number(constrained));
  return Array.from({ length: ROWS }, (_, n) => {
    const own = rng.fork(n);
    const logits = Float32Array.from({ length: vocabulary }, (_, i) => {
      const value = 2 * own.normal(i);
      if (n % 5 === 4 && i % 3 === 1) return -Infinity;
      return n % 4 === 3 ? Math.round(value) : value;
    });
    const best = logits.indexOf(Math.max(...logits));
    const kinds: (TokenConstraint | undefined)[] = [
      undefined,
      { force: n % vocabulary },
      { ban: best },
      { ban: n % vocabulary },
    ];
    return { logits, u: rng.uniform(1000 + n), constraint: constrained ? kinds[n % 4] : undefined };
  });
}

let executor: Executor | null = null;
let backend: LazyBackend;
afterAll(() => executor?.close());

interface Drawn {
  token: ArrayLike<number>;
  logprob: ArrayLike<number>;
  entropy: ArrayLike<number>;
}

/** All variants as one program. */
function inProgram(rows: readonly Row[], options: readonly SamplingOptions[], constrained: boolean): Drawn[] {
  const vocabulary = rows[0]!.logits.length;
  const ids = (kind: "force" | "ban") =>
    backend.take(
      tf.tensor1d(
        rows.map(({ constraint }) => (constraint as Record<string, number> | undefined)?.[kind] ?? -1),
        "int32",
      ),
    );
  const tensors = tf.tidy(() => {
    const logits = backend.take(
      tf.tensor2d(
        rows.flatMap((row) => Array.from(row.logits)),
        [rows.length, vocabulary],
      ),
    );
    const uniform = backend.take(tf.tensor1d(rows.map(({ u }) => u)));
    const constraint = constrained ? { force: ids("force"), ban: ids("ban") } : null;
    return options.map((one) => {
      const { token, logprob, entropy } = sampleRow(logits, uniform, one, constraint);
      return [token, logprob, entropy].map((value) => tf.keep(backend.tensor(value)));
    });
  });
  const drawn = tensors.map(([token, logprob, entropy]) => ({
    token: token!.dataSync(),
    logprob: logprob!.dataSync(),
    entropy: entropy!.dataSync(),
  }));
  tf.dispose(tensors);
  return drawn;
}

/** Could the host have drawn this token, had its numbers been rounded a little otherwise? */
function nearBorder({ logits, u, constraint }: Row, options: SamplingOptions, token: number): boolean {
  const changes: [number, Partial<SamplingOptions>][] = [-BORDER, BORDER].flatMap((d) => [
    [Math.min(1 - 1e-9, Math.max(0, u + d)), {}],
    [u, { top_p: Math.min(1, options.top_p + d) }],
    [u, { min_p: options.min_p * (1 + d) }],
  ]);
  return changes.some(([uniform, change]) => {
    const other = sampleToken(logits, 0, logits.length, { ...options, ...change }, uniform, constraint);
    return other.token === token;
  });
}

optionalPart(
  "sampling in programs",
  xlaHere,
  xlaMissing,
)(() => {
  beforeAll(async () => {
    executor = openTestExecutor();
    backend = await startLazyBackend(executor);
  });

  it.each([
    [24, false],
    [300, true],
    [5000, true],
  ])("of %d tokens, constrained %s: the host's token, logprob and entropy", (vocabulary, constrained) => {
    const rows = rowsOf(vocabulary, constrained);
    const drawn = inProgram(rows, variants, constrained);
    let atBorders = 0;
    for (const [v, options] of variants.entries()) {
      for (const [n, row] of rows.entries()) {
        const want = sampleToken(row.logits, 0, vocabulary, options, Math.fround(row.u), row.constraint);
        const token = drawn[v]!.token[n]!;
        const what = `row ${n} of ${JSON.stringify(options)} with ${JSON.stringify(row.constraint)}`;
        expect(Math.abs(drawn[v]!.entropy[n]! - want.entropy), `${what}: entropy`).toBeLessThan(1e-5);
        if (token !== want.token) {
          expect(nearBorder(row, options, token), `${what}: ${token} instead of ${want.token}`).toBe(true);
          atBorders++;
        } else if (want.logprob === -Infinity) {
          expect(drawn[v]!.logprob[n], what).toBe(-Infinity);
        } else {
          expect(Math.abs(drawn[v]!.logprob[n]! - want.logprob), `${what}: logprob`).toBeLessThan(1e-5);
        }
      }
    }
    // fewer than 1 draw in 100 lies so near to a border
    expect(atBorders).toBeLessThan(0.01 * ROWS * variants.length);
  });

  it("as often as the probabilities say, also where all tie", () => {
    const draws = 4000;
    const logits = Float32Array.of(1, 1, 1, 1, -2, 1);
    const rng = createRng(9);
    const rows = Array.from({ length: draws }, (_, n) => ({
      logits,
      u: rng.uniform(n),
      constraint: undefined,
    }));
    const [all, two] = inProgram(rows, [plain, { ...plain, top_k: 2 }], false);
    const counts = (drawn: Drawn) => {
      const found = Array<number>(6).fill(0);
      for (let n = 0; n < draws; n++) found[drawn.token[n]!]!++;
      return found.map((count) => count / draws);
    };
    const mass = 5 * Math.exp(1) + Math.exp(-2);
    for (const [id, share] of counts(all!).entries()) {
      expect(Math.abs(share - Math.exp(logits[id]!) / mass)).toBeLessThan(0.03);
    }
    const [first, second, ...others] = counts(two!);
    expect(Math.abs(first! - 0.5)).toBeLessThan(0.03);
    expect(first! + second!).toBe(1);
    expect(others).toEqual([0, 0, 0, 0]);
  });

  it("logits without a finite maximum give token -1", () => {
    const sick = [
      [NaN, 1, 2],
      [1, 2, NaN],
      [Infinity, 0, 1],
      [-Infinity, -Infinity, -Infinity],
      [0, 1, -Infinity],
    ];
    const rows = sick.map((logits) => ({ logits: Float32Array.from(logits), u: 0.5, constraint: undefined }));
    for (const { token } of inProgram(rows, variants, false)) {
      expect(Array.from(token).map((id) => id < 0)).toEqual([true, true, true, true, false]);
    }
  });
});
