import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { openModelDirectory } from "../../src/policy/files/model-directory.ts";
import { answerPairs, type CaseSummary, summarise } from "../../tools/peers/run.ts";
import {
  limCurves,
  type PeerResult,
  PRODUCT_SIDE,
  productOperands,
  promptTexts,
} from "../../tools/peers/tasks.ts";
import { cardPeak, stepWork } from "../../tools/peers/work.ts";

const folder = mkdtempSync(join(tmpdir(), "rlpt-bench-peers-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const rlpt = join(import.meta.dirname, "../../bin/rlpt.js");
const result: PeerResult = {
  engine: "x",
  description: "",
  seconds: { whole: [3, 1], update: [2, 1] },
  firstSeconds: 4,
  compileSeconds: 0,
  peakBytes: 10,
  deviceBytes: null,
  promptTokens: 12,
  check: 1.5,
};

it("makes prompts of the asked number of tokens, the same every time", () => {
  const { tokenizer, weights } = openModelDirectory("models/lab-small");
  weights.close();
  const texts = promptTexts(tokenizer, 20, 12);
  expect(new Set(texts).size).toBe(20);
  for (const text of texts) expect(tokenizer.encode(text, { addSpecialTokens: true })).toHaveLength(12);
  expect(promptTexts(tokenizer, 20, 12)).toEqual(texts);
});

it("takes the median and the spread over the runs of all rounds", () => {
  const other = {
    ...result,
    seconds: { whole: [2, 7, 4], update: [1, 5, 2] },
    peakBytes: 30,
    firstSeconds: 6,
  };
  const summary = summarise([result, other], { promptTokens: 12 });
  expect(summary).toMatchObject({
    seconds: { whole: { median: 3, least: 1, most: 7, count: 5 }, update: { median: 2, least: 1, most: 5 } },
    firstSeconds: 5,
    peakBytes: 30,
  });
});

it("refuses a side whose prompts have another length, or that failed in one round", () => {
  expect(summarise([result], { promptTokens: 13 })).toEqual({
    reason: "its prompts have 12 tokens, the case says 13",
  });
  expect(summarise([result, "out of memory"], { promptTokens: 12 })).toEqual({ reason: "out of memory" });
});

it("counts what an update computes: layers, output matrix, attention, and the gradients that are needed", () => {
  writeFileSync(
    join(folder, "config.json"),
    JSON.stringify({
      model_type: "llama",
      vocab_size: 10,
      hidden_size: 4,
      intermediate_size: 6,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      head_dim: 2,
      rms_norm_eps: 1e-5,
      max_position_embeddings: 64,
      tie_word_embeddings: true,
    }),
  );
  const step = { directory: folder, prompts: 2, groupSize: 3, promptTokens: 5, newTokens: 8 };
  // q and o 4 x 4, k and v 4 x 2, three of 4 x 6; 2 x 5 prompt tokens once, 6 x 8 completion tokens
  const layers = 2 * (2 * 16 + 2 * 8 + 3 * 24);
  const forward = 2 * (layers * (10 + 48) + 4 * 10 * 48);
  // each of 48 tokens sees 5 + 8/2 on average, those of 2 prompts 5/2
  const attention = 4 * 2 * 4 * (48 * 9 + (2 * 25) / 2);
  expect(stepWork({ ...step, lora: false })).toEqual({
    newTokens: 48,
    rowTokens: 6 * 13,
    updateFlops: 3 * forward + 3 * attention,
  });
  expect(stepWork({ ...step, lora: true }).updateFlops).toBe(2 * forward + 3 * attention);
});

it("knows the peak of a card by its driver's name", () => {
  expect(cardPeak("NVIDIA H100 80GB HBM3", "bf16")).toBe(989.4e12);
  expect(cardPeak("NVIDIA H100 80GB HBM3", "tf32")).toBe(989.4e12 / 2);
  expect(cardPeak("NVIDIA H100 80GB HBM3", "f32")! / 1e12).toBeCloseTo(66.9, 1);
  expect(cardPeak("cpu", "f32")).toBeNull();
});

it("takes a GPU's memory where both sides used one", () => {
  const task = { promptTokens: 12 };
  expect(summarise([result, { ...result, deviceBytes: 5 }], task)).toMatchObject({ deviceBytes: null });
  const onCard = [7, 5].map((deviceBytes) => ({ ...result, deviceBytes }));
  expect(summarise(onCard, task)).toMatchObject({ deviceBytes: 7, peakBytes: 10 });
});

it("grades as many right as wrong answers", () => {
  const file = join(folder, "answers.jsonl");
  writeFileSync(file, ["1", "\\frac{1}{2}", "x+1"].map((answer) => JSON.stringify({ answer })).join("\n"));
  const pairs = answerPairs(file);
  expect(pairs).toHaveLength(10_000);
  expect(pairs.filter(([gold, given]) => gold === given)).toHaveLength(5000);
  writeFileSync(file, '{"question": "1+1"}\n');
  expect(() => answerPairs(file)).toThrow("every line needs a key answer");
});

it("has reward curves of a published size", () => {
  const curves = limCurves();
  expect(curves).toHaveLength(8523);
  expect(curves.every((curve) => curve.length === 21)).toBe(true);
  expect(new Set(curves.flat())).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7, 8].map((n) => n / 8)));
});

it("times training steps of forced length on our side", { timeout: 60_000 }, () => {
  const args = [
    "--own",
    "--cases",
    "product,step-lab,lim",
    "--rounds",
    "1",
    "--runs",
    "1",
    "--backend",
    "wasm",
    "--json",
  ];
  const { summaries } = JSON.parse(
    execFileSync(process.execPath, [rlpt, "bench-peers", ...args], { encoding: "utf8", stdio: "pipe" }),
  ) as { summaries: CaseSummary[] };
  const [product, step, lim] = summaries.map(({ own }) => own);
  if (!("seconds" in product!) || !("seconds" in step!) || !("seconds" in lim!))
    throw new Error(JSON.stringify(summaries));
  const { whole, generation, update } = step.seconds;
  expect(whole!.count).toBe(1);
  expect(generation!.median).toBeGreaterThan(0);
  expect(whole!.median).toBeGreaterThanOrEqual(generation!.median + update!.median);
  expect(step.firstSeconds).toBeGreaterThan(whole!.median);
  // one element of the product, exact
  const [a, b] = productOperands();
  const column = Array.from({ length: PRODUCT_SIDE }, (_, k) => b[k * PRODUCT_SIDE + 7]!);
  expect(product.check).toBe(column.reduce((sum, x, k) => sum + a[5 * PRODUCT_SIDE + k]! * x, 0));
  // the mean score of curves against their own mean
  const curves = limCurves();
  const mean = curves[0]!.map((_, k) => curves.reduce((sum, curve) => sum + curve[k]!, 0) / curves.length);
  const room = mean.reduce((sum, a) => sum + (1 - a) ** 2, 0);
  const away = curves.map((curve) => curve.reduce((sum, r, k) => sum + (r - mean[k]!) ** 2, 0));
  expect(lim.check).toBeCloseTo(1 - away.reduce((sum, x) => sum + x, 0) / curves.length / room, 9);
});

it("says what is missing of the other side", () => {
  const python = join(folder, "python");
  writeFileSync(python, "#!/bin/sh\necho 'ModuleNotFoundError: No module named trl' >&2\nexit 1\n", {
    mode: 0o755,
  });
  const args = ["bench-peers", "--cases", "lim", "--python", python];
  const { status, stderr } = spawnSync(process.execPath, [rlpt, ...args], { encoding: "utf8" });
  expect(status).toBe(1);
  expect(stderr).toContain(`${python} cannot import what the other side needs: ModuleNotFoundError`);
  expect(stderr).toContain("requirements.txt");
  const wrong = spawnSync(process.execPath, [rlpt, "bench-peers", "--cases", "lab"], { encoding: "utf8" });
  expect(wrong.status).toBe(2);
  expect(wrong.stderr).toContain("--cases: lab is not one of product, step-lab, pass");
});
