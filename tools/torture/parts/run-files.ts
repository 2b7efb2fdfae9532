/** Bits flipped in the files of a run, and in the model and the data it is made with; then it is reported, sampled and resumed. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { command } from "../command.ts";
import { type Draw, drawFrom } from "../draw.ts";
import type { Attempt, Case, Outcome, Part } from "../part.ts";
import { checkpointFiles, filesOf, lostCheckpoint, runDifference } from "./same-run.ts";
import { tinyFileRecipe, tinyRows } from "./tiny-recipe.ts";

const BEGUN = 3;
const STEPS = 5;

const train = (...args: string[]): Promise<Awaited<ReturnType<typeof command>>> =>
  command(["train", "--quiet", ...args]);

/** Paths of the files that may be damaged, those of the newest checkpoint as often as all others. */
function oneFile(draw: Draw, files: readonly string[]): string {
  const newest = files.filter((name) => name.includes(`checkpoints/00000${BEGUN}`));
  return draw.one(draw.chance(0.4) ? newest : files);
}

function damage(draw: Draw, bytes: Buffer): { bytes: Buffer; done: string } {
  const at = draw.below(Math.max(1, bytes.length));
  if (bytes.length > 0 && draw.chance(0.9)) {
    const bit = draw.below(8);
    bytes[at] = bytes[at]! ^ (1 << bit);
    return { bytes, done: `bit ${bit} of byte ${at}` };
  }
  return { bytes: bytes.subarray(0, at), done: `cut to ${at} bytes` };
}

interface Places {
  /** What is damaged: always the same path, since a run knows its files by their paths. */
  live: string;
  base: string;
  calm: string;
  /** What `rlpt sample` says of the undamaged run. */
  sample: string;
}

const sampleArgs = (run: string): string[] => [
  "sample",
  run,
  "2+3=",
  "--max-new-tokens",
  "6",
  "--backend",
  "wasm",
];

/** A run of some steps, and the same one to its end. */
async function makeRuns(folder: string): Promise<Places> {
  const [live, base, calm] = ["live", "base", "calm"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  mkdirSync(live, { recursive: true });
  const data = { train: join(live, "rows.jsonl"), held: join(live, "held-out.jsonl") };
  for (const [i, path] of Object.values(data).entries())
    writeFileSync(
      path,
      tinyRows(i + 1)
        .map((row) => `${JSON.stringify(row)}\n`)
        .join(""),
    );
  const first = join(live, "first.yaml");
  writeFileSync(first, tinyFileRecipe(1, data));
  const run = join(live, "runs", "run");
  const must = async (...args: string[]): Promise<void> => {
    const { status, err, out } = await train(...args);
    if (status !== 0) throw new Error(`the whole run does not train: ${err}${out}`);
  };
  // its model lies in files, so that these can be damaged too
  await must(first, "--run-dir", join(folder, "first"));
  cpSync(join(folder, "first", "checkpoints", "000001", "model"), join(live, "model"), { recursive: true });
  const config = join(live, "run.yaml");
  writeFileSync(
    config,
    tinyFileRecipe(BEGUN, data).replace(
      /model: [\s\S]*?data:/,
      `model: { path: ${JSON.stringify(join(live, "model"))} }\ndata:`,
    ),
  );
  await must(config, "--run-dir", run);
  const { out } = await command(sampleArgs(run));
  cpSync(live, base, { recursive: true });
  await must("--resume", run, "--steps", String(STEPS));
  cpSync(run, calm, { recursive: true });
  return { live, base, calm, sample: out };
}

async function tryOne({ rng, folder, trying }: Case, { live, base, calm, sample }: Places): Promise<Outcome> {
  const draw = drawFrom(rng);
  rmSync(live, { recursive: true, force: true });
  cpSync(base, live, { recursive: true });
  const files = [...filesOf(live).keys()].filter((name) => !/^\w+\.yaml$/.test(name)).sort();
  const file = oneFile(draw, files);
  const { bytes, done } = damage(draw, readFileSync(join(live, file)));
  writeFileSync(join(live, file), bytes);
  const tried = `${file}: ${done}`;
  trying(tried);
  const run = join(live, "runs", "run");
  const before = checkpointFiles(run);
  const all = filesOf(run);
  const found = (fault: string): Outcome => {
    cpSync(live, folder, { recursive: true });
    return { kind: "fault", tried, fault };
  };
  for (const argv of [["report", run, "--out", "-"], ["runs", "ls", join(live, "runs")], sampleArgs(run)]) {
    const said = await command(argv);
    if (said.fault !== undefined) return found(said.fault);
    if (
      argv[0] === "sample" &&
      file.includes("checkpoints/") &&
      said.status === 0 &&
      said.out !== sample &&
      said.err.trim() === ""
    )
      return found("rlpt sample takes the damaged checkpoint and says nothing");
  }
  const after = filesOf(run);
  for (const [name, hash] of all)
    if (after.get(name) !== hash) return found(`reading the run changed ${name}`);
  const resumed = await train("--resume", run, "--steps", String(STEPS));
  if (resumed.fault !== undefined) return found(resumed.fault);
  const lost = lostCheckpoint(before, run);
  if (lost !== null)
    return found(`checkpoint ${lost} is gone after the resume: ${resumed.err.slice(0, 300)}`);
  if (resumed.status !== 0) {
    if (resumed.err.trim() === "") return found("the resume failed and said nothing");
    const now = filesOf(run);
    for (const [name, hash] of all) {
      if (now.get(name) !== hash && !name.startsWith("checkpoints"))
        return found(`a refused resume changed ${name}: ${resumed.err.slice(0, 200)}`);
    }
    return { kind: "refused", tried };
  }
  const difference = runDifference(run, calm, STEPS);
  if (difference !== null)
    return found(`accepted in silence: ${difference}; it said: ${resumed.err.slice(0, 300)}`);
  return { kind: "same", tried };
}

/** Each process has runs of its own, since they live at one path. */
async function open(shared: string): Promise<Attempt> {
  const places = await makeRuns(join(shared, String(process.pid)));
  return (one) => tryOne(one, places);
}

export const runFiles: Part = {
  name: "run-files",
  tries: "bit flips",
  full: 1000,
  perCase: 1,
  async prepare() {},
  open,
};
