/** Benchmarks by name: prompts as published, extraction and metrics on replies by hand, likelihoods, results, faults. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { startBackend } from "../../src/backend/select.ts";
import { asdiv } from "../../src/benchmarks/asdiv.ts";
import type { Benchmark, BenchmarkRow } from "../../src/benchmarks/define.ts";
import { gsm8k } from "../../src/benchmarks/gsm8k.ts";
import { benchmarks } from "../../src/benchmarks/kinds.ts";
import { math500 } from "../../src/benchmarks/math500.ts";
import { mmluPro, mmluProCot } from "../../src/benchmarks/mmlu-pro.ts";
import { harnessJson, metricResult } from "../../src/benchmarks/results.ts";
import { svamp } from "../../src/benchmarks/svamp.ts";
import { createRng } from "../../src/lib/rng.ts";
import { randomWeights } from "../../src/policy/decoder-weights.ts";
import type { ModelFiles, TrainablePolicy } from "../../src/policy/interfaces.ts";
import { parseModelConfig } from "../../src/policy/model-config.ts";
import { createPolicy } from "../../src/policy/policy.ts";
import { benchmarksNamed, readBenchmark, runBenchmark } from "../../src/training/run-benchmark.ts";
import { command } from "../helpers/command.ts";
import { startHubServer } from "../helpers/hub-server.ts";
import { characters, fakePolicy, scriptedLogits } from "../helpers/scripted-policy.ts";
import { workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);
const data = "tests/fixtures/benchmarks";
const options = { limit: null, chat: false, batchRows: 4, onRows: () => {} };

const question = (category: string, i: number, answer: string): BenchmarkRow => ({
  question: `Question ${i}?`,
  options: ["one", "two", "three"],
  answer,
  category,
  cot_content: `A: Let's think step by step. The answer is (${answer}).`,
});
const shots = Array.from({ length: 7 }, (_, i) => question(i % 2 ? "law" : "math", i, "ABC"[i % 3]!));

/** Rows that the tests ask, without a file. */
const rows: Record<string, BenchmarkRow[]> = {
  asdiv: [{ body: "Seven apples and two pears. ", question: "How many?", answer: "9 (fruits)" }],
  "mmlu-pro": [question("math", 9, "B")],
  ifeval: [{ prompt: "Write.", instruction_id_list: ["punctuation:no_comma"], kwargs: [{}] }],
  "mmlu-pro-cot": [question("law", 9, "B")],
};
const fileRows = (name: string) =>
  readFileSync(`${data}/${name}.jsonl`, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as BenchmarkRow);

it("prompts are as published", async () => {
  const shown = benchmarks.map((benchmark: Benchmark) => {
    const row = (rows[benchmark.name] ?? fileRows(benchmark.name))[0]!;
    const { count = 0, of = () => true } = benchmark.shots ?? {};
    const input = benchmark.input(row, shots.filter((shot) => of(shot, row)).slice(0, count));
    return `=== ${benchmark.name}\n${typeof input === "string" ? input : input.map(({ role, content }) => `[${role}] ${String(content)}`).join("\n")}\n=== gold ${benchmark.gold(row)}`;
  });
  await expect(`${shown.join("\n\n")}\n`).toMatchFileSnapshot("../golden/benchmark-prompts.txt");
});

describe("replies", () => {
  const right = async (benchmark: Benchmark, row: BenchmarkRow, reply: string) => {
    if (benchmark.output !== "generate_until") throw new Error("generates nothing");
    return Promise.all(benchmark.metrics.map(({ score }) => score(reply, row)));
  };

  // strict: the first "The answer is N."; flexible: the last number; commas, dollars, .0 and a full stop do not count
  it.each([
    ["The answer is 1,234.", [true, true]],
    ["The answer is 1234.0.", [true, true]],
    ["So it costs $1,234", [false, true]],
    ["The answer is 1234. Wait, 7", [true, false]],
    ["The answer is 7. The answer is 1234.", [false, true]],
    ["1234 apples, so 1235.", [false, false]],
    ["", [false, false]],
    ["It is twelve.", [false, false]],
  ])("gsm8k: %s", async (reply, expected) => {
    expect(await right(gsm8k, { question: "", answer: "Work.\n#### 1,234" }, reply)).toEqual(expected);
  });

  it.each([
    [svamp, { Answer: 145 }, "so \\boxed{145.0}", true],
    [svamp, { Answer: 145 }, "first 145, then \\boxed{12}", false],
    [svamp, { Answer: 145 }, "it must be 145 bananas", true],
    [svamp, { Answer: 145 }, "", false],
    [asdiv, { answer: "9 (apples)" }, "The answer is 9.", true],
    [asdiv, { answer: "9 (apples)" }, "\\boxed{9 \\text{ apples}}", true],
    [asdiv, { answer: "9 (apples)" }, "ninety", false],
    [asdiv, { answer: "Mrs. Hilt" }, "so \\boxed{mrs. hilt}", true],
    [asdiv, { answer: "3:30 p.m." }, "\\boxed{3:40 p.m.}", false],
    [math500, { answer: "\\frac{1}{2}" }, "\\boxed{0.5}", true],
    [math500, { answer: "(3, \\frac{\\pi}{2})" }, "\\boxed{\\left(3,\\tfrac{\\pi}{2}\\right)}", true],
    [math500, { answer: "2" }, "\\boxed{3}", false],
    [mmluProCot, { answer: "B" }, "so the answer is (B).", true],
    [mmluProCot, { answer: "B" }, "the answer is C, or the answer is B", false],
    [mmluProCot, { answer: "B" }, "B", false],
  ] as const)("%#", async (benchmark, row, reply, expected) => {
    expect(await right(benchmark, row, reply)).toEqual([expected]);
  });
});

it("every benchmark names its source, and its gold answer is right", async () => {
  for (const benchmark of benchmarks) {
    const { paper, dataset, licence, protocol } = benchmark.source;
    for (const text of [paper, dataset.hub, dataset.split, licence, protocol]) expect(text).not.toBe("");
    expect(benchmark.source.paper).toMatch(/arXiv:\d{4}\.\d{5}/);
    if (benchmark.output !== "generate_until" || benchmark.name === "ifeval") continue;
    for (const row of rows[benchmark.name] ?? fileRows(benchmark.name)) {
      const gold = benchmark.gold(row);
      const reply =
        benchmark.name === "gsm8k"
          ? `The answer is ${gold}.`
          : benchmark.name === "mmlu-pro-cot"
            ? `The answer is (${gold}).`
            : `\\boxed{${gold}}`;
      for (const metric of benchmark.metrics) expect(await metric.score(reply, row), reply).toBe(true);
    }
  }
});

describe("a run", () => {
  beforeAll(async () => {
    await startBackend({ kind: "wasm" });
  });

  it("is greedy, ends at the stop texts, counts what the limit cut, and keeps the samples", async () => {
    const { rows: asked } = await readBenchmark(gsm8k, data);
    expect(asked.length).toBe(4);
    const start = (row: BenchmarkRow) => `Q: ${String(row["question"]).replaceAll("\u2019", "'")}`;
    const plainRows = asked.map((row) => ({ ...row, question: start(row).slice(3) }));
    const script = Object.fromEntries(
      plainRows.map((row, i) => [
        gsm8k.input(row),
        ["The answer is 18.Q: The answer is 9.", "it is 3", "x".repeat(300), "no idea"][i]!,
      ]),
    );
    const policy = Object.assign(fakePolicy(scriptedLogits(script)), { config: { maxPositions: 2048 } });
    const { result, samples } = await runBenchmark(
      gsm8k,
      { rows: plainRows, shots: [] },
      { policy: policy as unknown as TrainablePolicy, tokenizer: characters },
      options,
    );
    expect(samples.map(({ resps }) => resps)).toEqual([
      "The answer is 18.",
      "it is 3",
      "x".repeat(256),
      "no idea",
    ]);
    expect(result).toMatchObject({ rows: 4, original: 4, cut: 1 });
    expect(result.metrics.map(({ filter, right }) => [filter, right])).toEqual([
      ["strict-match", 1],
      ["flexible-extract", 2],
    ]);
    expect(samples[0]).toMatchObject({ target: "18", right: { "exact_match,strict-match": true } });
  });

  it("chooses by the log-likelihood that generation gives the letter", async () => {
    const config = parseModelConfig(
      {
        model_type: "llama",
        vocab_size: 128,
        hidden_size: 16,
        intermediate_size: 32,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        hidden_act: "silu",
        max_position_embeddings: 1024,
        initializer_range: 0.5,
      },
      "test",
    );
    const weights = randomWeights(config, createRng(4).fork("init"));
    const raw = {
      model_type: "llama",
      vocab_size: 128,
      hidden_size: 16,
      intermediate_size: 32,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      hidden_act: "silu",
      max_position_embeddings: 1024,
    };
    const policy = createPolicy(
      { source: "test", config: raw, weights, tokenizer: characters } as unknown as ModelFiles,
      { trainable: "none" },
    );
    const asked = Array.from({ length: 5 }, (_, i) => question("math", i, "ABC"[i % 3]!));
    const { result, samples } = await runBenchmark(
      mmluPro,
      { rows: asked, shots },
      { policy, tokenizer: characters },
      options,
    );
    let correct = 0;
    for (const [i, row] of asked.entries()) {
      const prompt = Int32Array.from(
        characters.encode(mmluPro.input(row, shots.slice(0, 5)), { addSpecialTokens: true }),
      );
      const session = await policy.startGeneration([prompt], { repeats: 1, maxNewTokens: 1 });
      const logits = [...session.logits];
      session.dispose();
      const top = Math.max(...logits);
      const total = Math.log(logits.reduce((sum, value) => sum + Math.exp(value - top), 0)) + top;
      const expected = [..."ABC"].map((letter) => logits[letter.charCodeAt(0)]! - total);
      for (const [c, value] of (samples[i]!.resps as number[]).entries())
        expect(value).toBeCloseTo(expected[c]!, 4);
      if (expected.indexOf(Math.max(...expected)) === mmluPro.right(row)) correct++;
    }
    expect(result.metrics.map(({ metric, right }) => [metric, right])).toEqual([
      ["acc", correct],
      ["acc_norm", correct], // letters are equally long
    ]);
    policy.dispose();
  });
});

it("results are the harness's, with its standard error and an exact interval", () => {
  const metric = metricResult("exact_match", "strict-match", [
    true,
    true,
    false,
    false,
    false,
    false,
    false,
    false,
  ]);
  expect(metric.value).toBe(0.25);
  expect(metric.stderr).toBeCloseTo(Math.sqrt((0.25 * 0.75) / 7), 12);
  expect([metric.low, metric.high].map((value) => value.toFixed(4))).toEqual(["0.0319", "0.6509"]);
  const result = { benchmark: gsm8k, original: 1319, rows: 8, leftOut: 0, cut: 1, metrics: [metric] };
  expect(harnessJson("m", [result], 8)).toMatchObject({
    results: {
      gsm8k: {
        alias: "gsm8k",
        "exact_match,strict-match": 0.25,
        "exact_match_stderr,strict-match": metric.stderr,
      },
    },
    configs: {
      gsm8k: { task: "gsm8k", dataset_path: "openai/gsm8k", output_type: "generate_until", num_fewshot: 0 },
    },
    versions: { gsm8k: 3 },
    "n-shot": { gsm8k: 0 },
    "n-samples": { gsm8k: { original: 1319, effective: 8 } },
    config: { model: "rlpt", model_args: "pretrained=m", limit: 8 },
  });
});

describe("without a folder", () => {
  it("rows come from the Hub: configuration, split, revision and worked examples as each benchmark names them", async () => {
    const hub = await startHubServer();
    const cached = space.path("hub");
    vi.stubEnv("HF_ENDPOINT", hub.url);
    vi.stubEnv("HF_HUB_CACHE", cached);
    try {
      const text = (...lines: BenchmarkRow[]) =>
        new TextEncoder().encode(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
      const sum = (answer: string) => ({ question: "1 + 1?", answer });
      const card =
        "---\nconfigs:\n- config_name: main\n  data_files:\n  - split: train\n    path: main/train-*\n  - split: test\n    path: main/test-*\n- config_name: socratic\n  data_files: socratic/*\n---\n";
      hub.datasets.set(
        "openai/gsm8k",
        new Map([
          ["README.md", new TextEncoder().encode(card)],
          ["main/train-00000-of-00001.jsonl", text(sum("#### 1"))],
          ["main/test-00000-of-00001.jsonl", text(sum("#### 2"), sum("#### 2"))],
          ["socratic/test.jsonl", text(sum("#### 4"))],
        ]),
      );
      hub.datasets.set(
        "TIGER-Lab/MMLU-Pro",
        new Map([
          ["data/test-00000-of-00001.jsonl", text(question("math", 9, "B"))],
          ["data/validation-00000-of-00001.jsonl", text(...shots)],
        ]),
      );
      hub.datasets.set(
        "EleutherAI/asdiv",
        new Map([["asdiv/validation/0000.jsonl", text(rows["asdiv"]![0]!)]]),
      );
      const told: string[] = [];
      const sums = await readBenchmark(gsm8k, null, (line) => told.push(line));
      expect(sums.rows.map((row) => row["answer"])).toEqual(["#### 2", "#### 2"]);
      expect(told).toContain("gsm8k: hf://openai/gsm8k, split test");
      const chosen = await readBenchmark(mmluProCot, null);
      expect([chosen.rows.length, chosen.shots.length]).toEqual([1, 7]);
      expect(chosen.rows[0]).toMatchObject(question("math", 9, "B"));
      await expect(readBenchmark(asdiv, null)).rejects.toThrow(/no such dataset or revision/);
      hub.revisions.add("refs/convert/parquet");
      expect((await readBenchmark(asdiv, null)).rows).toHaveLength(1);
      // a folder that is named is the only place
      await expect(readBenchmark(gsm8k, space.path("none"))).rejects.toThrow("fetched from the Hub");
    } finally {
      vi.unstubAllEnvs();
      hub.close();
    }
  });
});

describe("bad input, before a model is loaded", () => {
  it("a name, a folder, flags that do not belong", async () => {
    expect(() => benchmarksNamed("gsm8k, gsm9k")).toThrow(
      "--benchmark gsm9k: there is no such benchmark; known: gsm8k",
    );
    await expect(readBenchmark(asdiv, space.path("none"))).rejects.toThrow(
      /holds no asdiv.jsonl.*the split validation of EleutherAI\/asdiv \(licence CC BY-NC 4.0\)/,
    );
    const flags = ["--benchmark", "gsm8k", "--benchmark-data", data];
    const refused = await command("eval", "nowhere", ...flags, "--temperature", "1", "--set", "seed=2");
    expect(refused).toMatchObject({ status: 2 });
    expect(refused.err).toContain("remove --temperature, --set");
    expect((await command("eval", "nowhere", ...flags, "--limit", "0")).err).toContain("--limit 0");
  });

  it("a row without a column, and few-shot rows that are missing", async () => {
    const folder = space.path("rows");
    mkdirSync(folder);
    writeFileSync(`${folder}/gsm8k.jsonl`, '{"question":"a","answer":"1"}\n{"question":"b"}\n');
    await expect(readBenchmark(gsm8k, folder)).rejects.toThrow(
      "gsm8k.jsonl, row 2: has no column answer, which gsm8k reads; it has question",
    );
    writeFileSync(`${folder}/mmlu-pro.jsonl`, `${JSON.stringify(question("law", 1, "A"))}\n`);
    await expect(readBenchmark(mmluPro, folder)).rejects.toThrow(
      "holds no mmlu-pro-validation.jsonl, .json, .csv or .parquet, which mmlu-pro needs: the split validation of TIGER-Lab/MMLU-Pro",
    );
  });
});
