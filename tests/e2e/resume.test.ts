/** What a run is taken up with: nothing that was changed or damaged passes silently, and nothing is removed. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RlptError } from "../../src/lib/errors.ts";
import { createRng } from "../../src/lib/rng.ts";
import { readProvenance } from "../../src/run/provenance.ts";
import { command } from "../helpers/command.ts";
import {
  checkpointBytes,
  rowsWithoutTime,
  runTraining,
  tinyGrpo,
  tinyModel,
  workspace,
} from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

/** Every file of a folder with its bytes, lock and temporary files aside. */
function bytesOf(folder: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile() || entry.name.startsWith("run.lock")) continue;
    const path = join(entry.parentPath, entry.name);
    found.set(path.slice(folder.length + 1), readFileSync(path).toString("base64"));
  }
  return found;
}

const logs = ["metrics.csv", "eval.csv", "eval-prompts.csv", "prompts.csv"];

/** What must be the same however a run came about. */
function outcome(runDir: string, step: string): unknown {
  return {
    // refused runs of this process leave their policies behind
    rows: logs.map((name) =>
      rowsWithoutTime(join(runDir, name)).map(({ "memory/tensors": _, ...row }) => row),
    ),
    samples: readFileSync(join(runDir, "samples.jsonl"), "utf8"),
    checkpoint: checkpointBytes(join(runDir, "checkpoints", step)),
  };
}

describe("a run with a flipped bit", () => {
  const begun = space.path("begun");
  const whole = space.path("whole");
  beforeAll(async () => {
    const config = space.write("flip.yaml", tinyGrpo.replace("checkpoint_every: 2", "checkpoint_every: 1"));
    await runTraining(config, { runDir: whole });
    cpSync(whole, begun, { recursive: true });
    // killed before its last checkpoint
    rmSync(join(begun, "checkpoints", "000004"), { recursive: true });
  }, 120_000);

  it("in any of its files is taken up exactly, or refused by name with everything left in its place", {
    timeout: 600_000,
  }, async () => {
    const expected = outcome(whole, "000004");
    const rng = createRng(5);
    const files = [...bytesOf(begun).keys()].sort();
    let exact = 0;
    let refused = 0;
    for (const [index, name] of files.entries()) {
      // one file of a checkpoint is as good as another
      const each = Number(process.env["RLPT_FLIPS_PER_FILE"] ?? (name.startsWith("checkpoints") ? 1 : 4));
      for (let flip = 0; flip < each; flip++) {
        const runDir = space.path("flipped");
        rmSync(runDir, { recursive: true, force: true });
        cpSync(begun, runDir, { recursive: true });
        const bytes = readFileSync(join(runDir, name));
        const bit = rng.integer(8 * bytes.length, 1000 * index + flip);
        bytes[bit >> 3]! ^= 1 << (bit & 7);
        writeFileSync(join(runDir, name), bytes);
        const before = bytesOf(runDir);
        const where = `${name}, bit ${bit}`;
        try {
          await runTraining(undefined, { resume: runDir });
          expect(outcome(runDir, "000004"), where).toEqual(expected);
          exact++;
        } catch (error) {
          if (!(error instanceof RlptError)) throw error;
          expect(error.message, where).toContain(name.split("/").at(-1)!);
          expect([...bytesOf(runDir)], where).toEqual([...before]);
          refused++;
        }
      }
    }
    expect(exact).toBeGreaterThanOrEqual(files.length);
    expect(refused).toBeGreaterThan(5);
  });

  it("in every manifest keeps every checkpoint, and says what to do", async () => {
    const runDir = space.path("manifests");
    cpSync(begun, runDir, { recursive: true });
    for (const step of readdirSync(join(runDir, "checkpoints"))) {
      const path = join(runDir, "checkpoints", step, "manifest.json");
      writeFileSync(path, readFileSync(path, "utf8").replace('"bytes"', '"bytfs"'));
    }
    const before = bytesOf(runDir);
    const { status, err } = await command(
      "train",
      "--resume",
      runDir,
      "--steps",
      "4",
      "--quiet",
      "--backend",
      "wasm",
    );
    expect(status).toBe(1);
    expect(err).toMatch(/none of its checkpoints is whole, and nothing was removed/);
    expect(err).toMatch(/000003: manifest\.json was changed/);
    expect([...bytesOf(runDir)]).toEqual([...before]);
    const anew = /rlpt train (.*recipe\.yaml) --out/.exec(err)![1]!;
    expect(existsSync(anew)).toBe(true);
  });
});

describe("a resume with other inputs", () => {
  const reward = space.write(
    "reward.mjs",
    'import { factor } from "./factor.mjs";\nexport const reward = ({ completion }) => factor * completion.length;\n',
  );
  space.write("factor.mjs", "export const factor = 0.1;\n");
  const data = space.write("rows.csv", "question,answer\n1+1=,2\n2+1=,3\n2+2=,4\n");
  const base = space.path("base");
  const runDir = space.path("inputs");
  const resume = (...more: string[]) =>
    command("train", "--resume", runDir, "--steps", "4", "--quiet", "--backend", "wasm", ...more);

  beforeAll(async () => {
    const sft = `seed: 3\nsteps: 1\nmodel: ${tinyModel}\ndata: { train: { kind: chain, levels: [1] } }\nalgorithm: { kind: sft, rows_per_step: 2 }\noptimizer: { lr: 0.01 }\n`;
    const made = space.path("made");
    await runTraining(space.write("base.yaml", sft), { runDir: made });
    cpSync(join(made, "checkpoints", "000001", "model"), base, { recursive: true });
    const config = space.write(
      "lora.yaml",
      `seed: 3
steps: 3
model: { path: ${JSON.stringify(base)}, lora: { rank: 2 } }
data: { train: { kind: file, path: ${JSON.stringify(data)}, prompt: "{question}", chat: false } }
rollout: { prompts_per_step: 2, group_size: 2, max_new_tokens: 4 }
rewards: [{ kind: file, file: ${JSON.stringify(reward)} }]
algorithm: { kind: grpo }
optimizer: { lr: 0.01 }
run: { checkpoint_every: 1 }
`,
    );
    await runTraining(config, { runDir });
  }, 120_000);

  const edits: [string, () => string, (text: Buffer) => Buffer, RegExp][] = [
    [
      "an edited recipe",
      () => join(runDir, "recipe.yaml"),
      (b) => Buffer.from(b.toString().replace("max_new_tokens: 4", "max_new_tokens: 5")),
      /recipe\.yaml: rollout\.max_new_tokens: 4 -> 5/,
    ],
    [
      "an edited key that flags may change",
      () => join(runDir, "recipe.yaml"),
      (b) => Buffer.from(b.toString().replace("checkpoint_every: 1", "checkpoint_every: 7")),
      /recipe\.yaml: run\.checkpoint_every: 1 -> 7/,
    ],
    [
      "other base weights",
      () => join(base, "model.safetensors"),
      (b) => {
        const c = Buffer.from(b);
        c[c.length - 3]! ^= 1;
        return c;
      },
      /model file .*model\.safetensors/,
    ],
    [
      "another tokenizer",
      () => join(base, "tokenizer.json"),
      (b) => Buffer.from(`${b.toString()}\n`),
      /model file .*tokenizer\.json/,
    ],
    [
      "another reward file",
      () => reward,
      (b) => Buffer.from(`${b.toString()}// edited\n`),
      /reward file .*reward\.mjs/,
    ],
    [
      "another module that the reward imports",
      () => space.path("factor.mjs"),
      () => Buffer.from("export const factor = 0.2;\n"),
      /reward file .*factor\.mjs/,
    ],
    [
      "other data",
      () => data,
      (b) => Buffer.from(b.toString().replace("2+2=,4", "2+2=,5")),
      /data file .*rows\.csv/,
    ],
  ];
  it.each(edits)("is refused by name: %s", async (_, file, edit, message) => {
    const [path, before] = [file(), readFileSync(file())];
    const all = bytesOf(runDir);
    writeFileSync(path, edit(before));
    try {
      const { status, err } = await resume();
      expect({ status, err }).toMatchObject({ status: 2, err: expect.stringMatching(message) });
      expect(err).toContain("--accept-changes");
      writeFileSync(path, before);
      expect([...bytesOf(runDir)]).toEqual([...all]);
    } finally {
      writeFileSync(path, before);
    }
  });

  it("goes on with --accept-changes, which provenance.json records once", async () => {
    writeFileSync(data, readFileSync(data, "utf8").replace("2+2=,4", "2+2=,5"));
    const accepted = await resume("--accept-changes", "--set", "optimizer.lr=0.5");
    expect(accepted.status).toBe(0);
    expect(accepted.err).toMatch(/rows\.csv is not what it was; results may differ/);
    const { resumes } = readProvenance(runDir)!;
    expect(resumes.at(-1)!.accepted!.map(({ what }) => what)).toEqual([
      "optimizer.lr",
      expect.stringContaining("rows.csv"),
    ]);
    const again = await command("train", "--resume", runDir, "--steps", "5", "--quiet", "--backend", "wasm");
    expect(again).toMatchObject({ status: 0, err: "" });
    expect(readProvenance(runDir)!.resumes.at(-1)!.accepted).toBeUndefined();
  });
});

it("what is done says so, and exits with 0", async () => {
  const runDir = space.path("done");
  await runTraining(space.write("done.yaml", tinyGrpo), { runDir });
  // as a kill right after the last checkpoint leaves it
  mkdirSync(join(runDir, "checkpoints", ".tmp-removed-abcd"));
  const { status, out } = await command("train", "--resume", runDir, "--quiet", "--backend", "wasm");
  expect(status).toBe(0);
  expect(out).toMatch(/held-out accuracy/);
  expect(out).toMatch(/It has done its steps/);
  expect(readdirSync(join(runDir, "checkpoints"))).toEqual(["000002", "000004"]);
});
