/** A folder of photos for each class, a tiny SmolVLM and `recipe: no-thinking`: as a user's run, with all that runs promise. */
import { type ChildProcess, spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { replay } from "../../src/replay/replay.ts";
import { command } from "../helpers/command.ts";
import { cutRun, expectSameRun } from "../helpers/same-run.ts";
import { rowsWithoutTime, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const MODEL = join(import.meta.dirname, "../../models/lab-pictures");
const STEPS = 4;

/** JPEG files of several kinds and sizes, in a folder for each class. */
const photos = readdirSync(join(import.meta.dirname, "../golden/pictures")).filter((name) =>
  /^4\d\d-.*-(17x33|67x50|64x32)\.jpg$/.test(name),
);
for (const [i, name] of photos.entries()) {
  const folder = space.path(`photos/${["coat", "bag", "shirt", "boot"][i % 4]}`);
  mkdirSync(folder, { recursive: true });
  copyFileSync(join(import.meta.dirname, "../golden/pictures", name), join(folder, name));
}

const config = (name: string, more = "") =>
  space.write(
    name,
    `recipe: no-thinking
seed: 1
steps: ${STEPS}
model: { path: ${MODEL} }
prompt: null
data:
  train: { kind: image-folder, path: photos, prompt: "<image> | coat bag shirt boot [direct]", chat: false, split: { part: train, eval_share: 0.3 } }
  eval: { kind: image-folder, path: photos, prompt: "<image> | coat bag shirt boot [direct]", chat: false, split: { part: eval, eval_share: 0.3 } }
rollout: { prompts_per_step: 4, group_size: 4, max_new_tokens: 5, max_prompt_tokens: 64, top_k: 0 }
optimizer: { lr: 1.0e-3 }
eval: { every: 2 }
run: { checkpoint_every: 1, keep_last: 9, samples_every: 1 }
${more}`,
  );

const train = (file: string, out: string, ...more: string[]) =>
  command("train", file, "--out", space.path(out), "--backend", "wasm", "--quiet", ...more);

describe("no-thinking on a folder of JPEGs", () => {
  beforeAll(async () => {
    expect(await train(config("c.yaml"), "whole")).toMatchObject({ status: 0 });
  }, 120_000);

  it("learns what pictures show: other pictures make another run", async () => {
    const rows = rowsWithoutTime(space.path("whole/metrics.csv"));
    expect(rows).toHaveLength(STEPS);
    // seven tokens stand for a picture
    const [sample] = readFileSync(space.path("whole/samples.jsonl"), "utf8").split("\n");
    expect((JSON.parse(sample!) as { prompt: string }).prompt).toContain("<image> |");
    for (const name of readdirSync(space.path("photos/coat"))) {
      mkdirSync(space.path("grey/coat"), { recursive: true });
      copyFileSync(join(import.meta.dirname, "../golden/pictures/grey.jpg"), space.path(`grey/coat/${name}`));
    }
    for (const other of ["bag", "shirt", "boot"]) {
      mkdirSync(space.path(`grey/${other}`), { recursive: true });
      for (const name of readdirSync(space.path(`photos/${other}`)))
        copyFileSync(
          join(import.meta.dirname, "../golden/pictures/grey.jpg"),
          space.path(`grey/${other}/${name}`),
        );
    }
    const grey = space.write(
      "grey.yaml",
      readFileSync(space.path("c.yaml"), "utf8").replaceAll("path: photos", "path: grey"),
    );
    expect(await train(grey, "grey-run")).toMatchObject({ status: 0 });
    expect(rowsWithoutTime(space.path("grey-run/metrics.csv"))).not.toEqual(rows);
  }, 120_000);

  it("gives the same bytes with the same seed, and after a kill", async () => {
    expect(await train(config("c.yaml"), "again")).toMatchObject({ status: 0 });
    expectSameRun(space.path("again"), space.path("whole"), STEPS);
    const cut = cutRun(space.path("whole"), space.path("cut"), 2, STEPS);
    const resumed = await command("train", "--resume", cut, "--backend", "wasm", "--quiet");
    expect(resumed).toMatchObject({ status: 0 });
    expectSameRun(cut, space.path("whole"), STEPS);
  }, 240_000);

  it("is taken up after kill -9 in the middle of a step", async () => {
    const out = space.path("killed");
    const args = ["bin/rlpt.js", "train", config("c.yaml"), "--out", out, "--backend", "wasm", "--quiet"];
    const child: ChildProcess = spawn(process.execPath, args, { stdio: "ignore" });
    const ended = new Promise((resolve) => child.once("exit", resolve));
    while (!existsSync(join(out, "checkpoints", "000001")) && child.exitCode === null)
      await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill("SIGKILL");
    await ended;
    expect(existsSync(join(out, "checkpoints", `00000${STEPS}`, "state.json"))).toBe(false);
    expect(await command("train", "--resume", out, "--backend", "wasm", "--quiet")).toMatchObject({
      status: 0,
    });
    expectSameRun(out, space.path("whole"), STEPS);
  }, 240_000);

  it("replays a step to the byte", async () => {
    const found = await replay({ runDir: space.path("whole"), step: 3, set: [], note: () => {} });
    expect(found).toMatchObject({ stored: { weights: true, metrics: [] } });
  }, 120_000);

  it("trains the decoder alone, or adapters on it, from the same file", async () => {
    const frozen = config("frozen.yaml");
    expect(await train(frozen, "frozen", "--set", "model.trained_parts=[decoder]")).toMatchObject({
      status: 0,
    });
    // what the frozen tower saw is kept from step to step; a resumed run sees again
    const cut = cutRun(space.path("frozen"), space.path("frozen-cut"), 2, STEPS);
    expect(await command("train", "--resume", cut, "--backend", "wasm", "--quiet")).toMatchObject({
      status: 0,
    });
    expectSameRun(cut, space.path("frozen"), STEPS);
    const lora = ["--set", "model.lora={rank: 2}", "--set", "model.trained_parts=[decoder, projector]"];
    expect(await train(frozen, "lora", ...lora)).toMatchObject({ status: 0 });
    const adapter = readdirSync(space.path("lora/checkpoints/000004"), { recursive: true }).map(String);
    expect(adapter.some((name) => name.endsWith("adapter_config.json"))).toBe(true);
    expect(adapter.some((name) => name.endsWith("preprocessor_config.json"))).toBe(true);
  }, 240_000);

  it("a picture that is damaged ends the run by name before a step, and a model without eyes is refused", async () => {
    mkdirSync(space.path("broken/coat"), { recursive: true });
    mkdirSync(space.path("broken/bag"), { recursive: true });
    for (const [i, name] of photos.entries())
      copyFileSync(
        join(import.meta.dirname, "../golden/pictures", name),
        space.path(`broken/${i % 2 === 0 ? "coat" : "bag"}/${name}`),
      );
    const text = readFileSync(space.path("c.yaml"), "utf8");
    const blind = text.replace(MODEL, join(import.meta.dirname, "../../models/lab-items"));
    const refused = await command("train", space.write("blind.yaml", blind), "--out", space.path("blind"));
    expect(refused.status).toBe(2);
    expect(refused.err).toContain("the model sees none");
    expect(existsSync(space.path("blind"))).toBe(false);
    space.write("broken/coat/zz.jpg", "no picture");
    const broken = space.write("broken.yaml", text.replaceAll("path: photos", "path: broken"));
    const stopped = await command("train", broken, "--out", space.path("stopped"));
    expect(stopped.status).toBe(2);
    expect(stopped.err).toContain("coat/zz.jpg");
  }, 120_000);
});
