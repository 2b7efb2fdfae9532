import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { ConfigFaultsError } from "../../src/config/faults.ts";
import { loadRecipe } from "../../src/config/load.ts";
import { printResolved } from "../../src/config/print.ts";
import { recipeJsonSchema } from "../../src/config/schema.ts";
import { allKeyPaths } from "../../src/config/schema-tree.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "rlpt-properties-"));
  mkdirSync(join(folder, "elsewhere"));
  mkdirSync(join(folder, "model"));
  writeFileSync(join(folder, "rows.jsonl"), "{}\n");
});
afterAll(() => rmSync(folder, { recursive: true }));

const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
const share = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
const positive = fc.double({ min: 1e-9, max: 5, noNaN: true });
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

const chain = fc.record({
  kind: fc.constant("chain"),
  levels: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 4 }),
  prompt: fc.constantFrom("plain", "ellipsis", "mixed"),
  seed: fc.nat(),
  traces: fc.record({ careful: share, repeat_last: fc.array(share, { maxLength: 2 }) }, { requiredKeys: [] }),
});
const file = fc.record(
  {
    path: fc.constant("rows.jsonl"),
    prompt: text.map((around) => `${around.replaceAll(/[{}]/g, "")} {question}`),
    system: text,
    slices: fc.array(text, { maxLength: 2 }),
    target: fc.constantFrom(null, "{answer}"),
  },
  { requiredKeys: ["path", "prompt", "target"] },
);
const evaluation = fc.record({
  every: fc.nat(50),
  samples: fc.integer({ min: 1, max: 9 }),
  temperature: positive,
});

/** Right recipes, written short, with texts that YAML must quote and numbers with every digit. */
const grpo = fc.record({
  seed: fc.nat(),
  steps: fc.integer({ min: 1, max: 1e6 }),
  backend: fc.constantFrom("auto", "wasm", { kind: "cpu" }),
  model: fc.record(
    {
      path: fc.constant("model"),
      lora: fc.record({ rank: fc.integer({ min: 1, max: 64 }), alpha: positive }, { requiredKeys: [] }),
      rematerialise: fc.boolean(),
    },
    { requiredKeys: ["path"] },
  ),
  data: fc.oneof(
    fc.record({ train: chain }),
    fc.record({ train: chain, eval: chain }),
    fc.record({ train: file, eval: chain }),
  ),
  rollout: fc.record({
    top_p: share.map((p) => 1 - p),
    stop: fc.array(text, { maxLength: 3 }),
    temperature: positive,
  }),
  rewards: fc.constantFrom(
    [{ kind: "exact", extract: "last-boxed" }],
    [{ kind: "tag-format" }, { kind: "math", requires: "tag-format", weight: 2.5 }],
    [{ kind: "number" }, { kind: "cosine-length", weight: -0.1 }, { kind: "repetition" }],
  ),
  algorithm: fc.record({
    kind: fc.constant("grpo"),
    clip: fc.record({ low: share, high: positive }),
    kl: fc.record({ coef: share, estimator: fc.constantFrom("k1", "k2", "k3") }),
    minibatches: fc.constantFrom(1, 2, 4),
    micro_batch_rows: optional(fc.constantFrom(1, 8, 32)),
  }),
  optimizer: fc.record({ lr: positive, clip_norm: fc.option(positive, { nil: null }), beta2: share }),
});

const sft = fc.record({
  steps: fc.integer({ min: 1, max: 1e6 }),
  model: fc.constant({ path: "model" }),
  data: fc.record({ train: chain }),
  algorithm: fc.record({ kind: fc.constant("sft"), rows_per_step: fc.integer({ min: 1, max: 99 }) }),
  optimizer: fc.record({ lr: positive, schedule: fc.constant("cosine"), final_lr_share: share }),
});

function yamlOf(recipe: object): string {
  return stringify(JSON.parse(JSON.stringify(recipe)), { lineWidth: 0 });
}

test("a resolved recipe, printed and loaded from another folder, is equal, and prints the same", () => {
  const check = (recipe: object) => {
    const path = join(folder, "config.yaml");
    writeFileSync(path, yamlOf(recipe));
    const first = loadRecipe(path);
    const again = join(folder, "elsewhere", "recipe.yaml");
    writeFileSync(again, printResolved(first));
    const second = loadRecipe(again);
    expect(second.stages).toEqual(first.stages);
    expect(printResolved(second)).toBe(printResolved(first));
  };
  const evaluated = fc.tuple(grpo, evaluation).map(([recipe, options]) => {
    return "eval" in recipe.data ? { ...recipe, eval: options } : recipe;
  });
  fc.assert(fc.property(fc.oneof(evaluated, sft), check), { numRuns: 150 });
});

const whole = `seed: 3
steps: 10
max_error_share: 0.2
model:
  path: model
  rematerialise: false
  lora:
    rank: 4
    use_rslora: false
data:
  train:
    kind: chain
    plain_share: 0.5
    traces:
      careful: 0.1
  eval:
    kind: chain
rollout:
  prompts_per_step: 8
  temperature: 0.9
rewards:
  - kind: exact
    ignore_case: true
    weight: 2
algorithm:
  kind: grpo
  advantage:
    baseline: group_mean
  clip:
    high: 0.28
optimizer:
  lr: 0.001
  warmup_steps: 2
eval:
  every: 5
run:
  checkpoint_every: 3
`;
const lines = whole.split("\n");
const keyLines = lines.flatMap((line, index) => (/^\s*(- )?\w+:/.test(line) ? [index] : []));
const known = new Set(allKeyPaths(recipeJsonSchema()).flatMap((path) => path.split(".")));

test("a misspelt key is always reported, with its file and line, and with the right key when it is near", () => {
  writeFileSync(join(folder, "whole.yaml"), whole);
  expect(loadRecipe(join(folder, "whole.yaml")).recipe.seed).toBe(3);
  expect(keyLines.length).toBeGreaterThan(30);
  const letter = fc.constantFrom(..."abcdefghijklmnopqrstuvwxyz_");
  const typo = fc.record({
    at: fc.constantFrom(...keyLines),
    letter,
    share,
    kind: fc.constantFrom("insert", "drop", "swap"),
  });
  fc.assert(
    fc.property(typo, (draw) => {
      const line = lines[draw.at]!;
      const key = /(\w+):/.exec(line)![1]!;
      const position = Math.floor(draw.share * key.length);
      const rest = draw.kind === "insert" ? key.slice(position) : key.slice(position + 1);
      const wrong = key.slice(0, position) + (draw.kind === "drop" ? "" : draw.letter) + rest;
      fc.pre(wrong !== "" && !known.has(wrong) && wrong !== "extends");
      const path = join(folder, "typo.yaml");
      const changed = lines.with(draw.at, line.replace(`${key}:`, `${wrong}:`)).join("\n");
      expect(Object.keys(parse(changed)).length).toBeGreaterThan(3);
      writeFileSync(path, changed);
      let message = "";
      try {
        loadRecipe(path);
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigFaultsError);
        message = (error as Error).message;
      }
      const reported = message.split("\n").find((each) => each.startsWith(`${path}:${draw.at + 1}  `));
      expect(reported ?? `no fault in line ${draw.at + 1}: ${message}`).toContain(`${wrong} is not a key`);
      if (key.length >= 5 || key === "kind") expect(reported).toContain("did you mean");
    }),
    { numRuns: 300 },
  );
});

test("whatever is written, the answer is a recipe or faults, never a crash", () => {
  const leaf = fc.oneof(fc.string(), fc.integer(), fc.double(), fc.boolean(), fc.constant(null));
  const keys = fc.oneof(fc.constantFrom(...known), fc.string({ maxLength: 6 }));
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { depthSize: "small" },
      leaf,
      fc.array(tie("tree"), { maxLength: 3 }),
      fc.dictionary(keys, tie("tree"), { maxKeys: 5 }),
    ),
  }));
  const config = fc.dictionary(fc.constantFrom(...Object.keys(recipeJsonSchema().properties!)), tree);
  const raw = fc.oneof(
    config.map((value) => stringify(value)),
    fc.string({ unit: "binary", maxLength: 60 }),
  );
  fc.assert(
    fc.property(raw, (yaml) => {
      const path = join(folder, "any.yaml");
      writeFileSync(path, yaml);
      try {
        loadRecipe(path);
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigFaultsError);
        for (const line of (error as Error).message.split("\n")) expect(line).toMatch(/[.?]$/);
      }
    }),
    { numRuns: 400 },
  );
});
