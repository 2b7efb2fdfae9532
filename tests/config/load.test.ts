import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ConfigFaultsError } from "../../src/config/faults.ts";
import { type LoadOptions, loadRecipe } from "../../src/config/load.ts";
import { packageRoot } from "../../src/lib/version.ts";

const base = `seed: 3
steps: 10
model:
  init: {model_type: llama, vocab_size: 24, hidden_size: 64}
  tokenizer: {tokens: [a, b], pad: a, eos: b}
data:
  train: {kind: chain}
rewards:
  - {kind: exact}
algorithm: {kind: grpo}
optimizer: {lr: 1.0e-3}
`;

let folder: string;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "rlpt-config-")));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function write(name: string, text: string | Uint8Array): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

function load(text: string, options: LoadOptions = {}) {
  return loadRecipe(write("my config.yaml", text), options).recipe;
}

function messageOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigFaultsError);
    expect((error as ConfigFaultsError).exitCode).toBe(2);
    return (error as Error).message.replaceAll(`${folder}/`, "");
  }
  throw new Error("nothing was refused");
}

describe("defaults", () => {
  test("every section is there, and the run is named after the file", () => {
    const recipe = load(base);
    expect(recipe.rollout.group_size).toBe(8);
    expect(recipe.backend).toEqual({
      kind: "auto",
      cblas: "auto",
      library: "auto",
      precision: "f32",
      devices: "auto",
      memory_limit: "off",
    });
    expect(recipe.run.name).toBe("my-config");
    expect(recipe.eval).toBeUndefined();
  });
  test("evaluation has defaults as soon as there is data for it", () => {
    expect(load(`${base}  \n`, { set: ["data.eval={kind: chain}"] }).eval?.every).toBe(10);
  });
  test("`backend: wasm` is short for its kind", () => {
    expect(load(`${base}backend: cpu\n`).backend.kind).toBe("cpu");
  });
  test("a path makes a dataset a file", () => {
    write("rows.jsonl", "{}\n");
    const recipe = load(base.replace("{kind: chain}", "{path: rows.jsonl}"));
    expect(recipe.data.train).toMatchObject({ kind: "file", path: join(folder, "rows.jsonl") });
  });
  test("a method's settings lie beneath the file's", () => {
    const methods = new Map([
      [
        "paper",
        { summary: "", defaults: { algorithm: { kind: "grpo", epochs: 3, minibatches: 2 }, steps: 99 } },
      ],
    ]);
    const recipe = load(`recipe: paper\n${base.replace("{kind: grpo}", "{epochs: 4}")}`, { methods });
    expect(recipe.algorithm).toMatchObject({ kind: "grpo", epochs: 4, minibatches: 2 });
    expect(recipe.steps).toBe(10);
  });
});

describe("flags", () => {
  test("--set reads YAML and reaches into lists; later ones win; short flags win over it", () => {
    const recipe = load(base, {
      set: ["rewards.0.weight=2", "rollout.stop=[x, y]", "steps=4", "steps=5", "optimizer.clip_norm=null"],
      seed: "7",
      backend: "wasm",
      name: "12",
    });
    expect(recipe.rewards[0]!.weight).toBe(2);
    expect(recipe.rollout.stop).toEqual(["x", "y"]);
    expect(recipe.steps).toBe(5);
    expect(recipe.seed).toBe(7);
    expect(recipe.backend.kind).toBe("wasm");
    expect(recipe.run.name).toBe("12");
    expect(recipe.optimizer.clip_norm).toBeNull();
  });
  test("the next index adds an entry", () => {
    expect(load(base, { set: ["rewards.1.kind=finished"] }).rewards).toHaveLength(2);
  });
  test("a fault names the flag", () => {
    expect(messageOf(() => load(base, { steps: "0", backend: "wsam" }))).toBe(
      [
        "--steps 0  steps = 0: it must be at least 1; write a whole number >= 1.",
        '--backend wsam  backend.kind = "wsam": there is no such choice (known: auto, xla, tensorflow, tfjs-node-gpu, webgpu, tfjs-node, wasm, cpu); did you mean wasm?',
      ].join("\n"),
    );
  });
});

describe("extends", () => {
  test("maps merge through a chain, lists and maps of another kind are replaced", () => {
    write("a.yaml", base);
    write("sub/b.yaml", "extends: ../a.yaml\nrollout: {group_size: 4, top_k: 5}\nrewards: [{kind: math}]\n");
    const c = write("c.yaml", "extends: sub/b.yaml\nrollout: {group_size: 2}\n");
    const { recipe, sources } = loadRecipe(c);
    expect(recipe.rollout).toMatchObject({ group_size: 2, top_k: 5 });
    expect(recipe.rewards.map((part) => part.kind)).toEqual(["math"]);
    expect(sources.map((source) => source.path)).toEqual(
      ["c.yaml", "sub/b.yaml", "a.yaml"].map((name) => join(folder, name)),
    );
    const d = write("d.yaml", "extends: a.yaml\nalgorithm: {kind: sft}\nrewards: []\n");
    expect(messageOf(() => loadRecipe(d))).toContain("rewards");
    write("grpo.yaml", base.replace("{kind: grpo}", "{kind: grpo, epochs: 2}").replace(/rewards:\n.*\n/, ""));
    const e = write("e.yaml", "extends: grpo.yaml\nalgorithm: {kind: sft}\n");
    expect(loadRecipe(e).recipe.algorithm).toMatchObject({ kind: "sft", rows_per_step: 16 });
  });
  test("null takes an inherited key away; an empty value does not", () => {
    write("a.yaml", `${base}rollout: {batch_rows: 4}\n`);
    const b = write("b.yaml", "extends: a.yaml\nrollout: {batch_rows: null}\n");
    expect(loadRecipe(b).recipe.rollout).not.toHaveProperty("batch_rows");
    const c = write("c.yaml", "extends: a.yaml\nrollout:\n  batch_rows:\n");
    expect(messageOf(() => loadRecipe(c))).toBe(
      "c.yaml:3  rollout.batch_rows: this is empty; write a whole number >= 1.",
    );
    expect(messageOf(() => load(base, { set: ["rollout.batch_rows=null"] }))).toContain("this is empty");
  });
  test("a path belongs to the file that holds it", () => {
    write("data/rows.jsonl", "{}\n");
    write("data/a.yaml", base.replace("{kind: chain}", "{path: rows.jsonl}"));
    const b = write("b.yaml", "extends: data/a.yaml\n");
    expect(loadRecipe(b).recipe.data.train).toMatchObject({ path: join(folder, "data/rows.jsonl") });
  });
});

describe("paths", () => {
  test("beside the file, then the working directory; of a flag only the latter", () => {
    const train = base.replace("{kind: chain}", "{path: package.json, format: json}");
    expect(load(train).data.train).toMatchObject({ path: join(process.cwd(), "package.json") });
    write("package.json", "[]");
    expect(load(train).data.train).toMatchObject({ path: join(folder, "package.json") });
    expect(load(train, { set: ["data.train.path=package.json"] }).data.train).toMatchObject({
      path: join(process.cwd(), "package.json"),
    });
    expect(messageOf(() => load(train, { set: ["data.train.path=my config.yaml"] }))).toContain(
      "--set data.train.path=my config.yaml  data.train.path",
    );
  });
  test("what comes with rlpt is found from anywhere, so that a copied config works", () => {
    const before = process.cwd();
    const file = write("x.yaml", base.replace("{kind: chain}", "{path: ../package.json, format: json}"));
    try {
      process.chdir(tmpdir());
      expect(loadRecipe(file).recipe.data.train).toMatchObject({ path: join(packageRoot(), "package.json") });
    } finally {
      process.chdir(before);
    }
  });
  test("a Hub id stays as it is, a missing folder is a fault", () => {
    const model = (path: string) => base.replace(/model:\n.*\n.*\n/, `model: {path: ${path}}\n`);
    expect(load(model("HuggingFaceTB/SmolLM2-135M-Instruct@main")).model.path).toBe(
      "HuggingFaceTB/SmolLM2-135M-Instruct@main",
    );
    write("models/lab/config.json", "{}");
    expect(load(model("models/lab")).model.path).toBe(join(folder, "models/lab"));
    // what reports show
    expect(loadRecipe(write("my config.yaml", model("models/lab"))).givenModel).toBe("models/lab");
    expect(messageOf(() => load(model("models/lag")))).toContain("did you mean models/lab?");
    expect(messageOf(() => load(model("./x/y")))).toContain("there is no such model");
    expect(messageOf(() => load(model("y.gguf")))).toContain("there is no such model");
  });
});

describe("prompt", () => {
  const rows = base.replace("{kind: chain}", '{path: rows.jsonl, prompt: "{q}"}');
  test("is written into file datasets", () => {
    write("rows.jsonl", "{}\n");
    const recipe = load(
      `${rows}prompt: {template: "{{x}} {prompt} {hint}", system: Be brief., chat: true}\n`,
    );
    expect(recipe.data.train).toMatchObject({ prompt: "{{x}} {q} {hint}", system: "Be brief.", chat: true });
    expect(recipe).not.toHaveProperty("prompt");
  });
  test("does not overrule a dataset", () => {
    write("rows.jsonl", "{}\n");
    const own = rows.replace('"{q}"', '"{q}", chat: true, system: Mine.');
    const recipe = load(`${own}prompt: {system: Yours., chat: false}\n`);
    expect(recipe.data.train).toMatchObject({ system: "Mine.", chat: true });
    expect(messageOf(() => load(`${rows}prompt: {system: Yours., chat: false}\n`))).toContain(
      "prompt.system",
    );
  });
});

describe("files that are none", () => {
  test("missing, a directory, not text", () => {
    expect(messageOf(() => loadRecipe(join(folder, "no.yaml")))).toBe(
      "no.yaml:1  no such file or directory; name a YAML file; `rlpt recipes ls` lists those that come with rlpt.",
    );
    expect(messageOf(() => loadRecipe(folder))).toContain("it is a directory");
    const binary = write("b.yaml", Uint8Array.of(0xff, 0xfe, 0x00));
    expect(messageOf(() => loadRecipe(binary))).toContain("it is not UTF-8 text");
  });
  test("a byte order mark and CRLF do no harm", () => {
    expect(load(`\uFEFF${base.replaceAll("\n", "\r\n")}`).seed).toBe(3);
    expect(messageOf(() => load(`\uFEFF${base}\r\nstepss: 3\r\n`))).toMatch(/^my config\.yaml:13 /);
  });
});

test("keys of JavaScript objects are unknown keys like others", () => {
  for (const key of ["__proto__", "constructor", "toString"]) {
    expect(
      messageOf(() => load(`${base}${key}: {seed: 9}\n`)),
      key,
    ).toContain(`${key} is not a key`);
  }
});
