import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { run } from "../../src/cli/main.ts";
import { readCsvTable } from "../../src/run/append-log.ts";
import { optionalPart } from "../helpers/optional.ts";
import { runTraining, tinyGrpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

let told = "";
beforeEach(() => {
  told = "";
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, "write").mockImplementation((text) => {
      told += String(text);
      return true;
    });
  }
});
afterEach(() => {
  vi.restoreAllMocks();
});

const selectData = (...args: string[]) => run(["node", "rlpt", "select-data", ...args]);
const read = (...path: string[]) => readFileSync(join(...path), "utf8");
const json = (...path: string[]) => JSON.parse(read(...path));

const shared = join(import.meta.dirname, "../../../shared/data");
optionalPart(
  "LIMR's released scores",
  existsSync(join(shared, "limr-scores.json")),
  "no ../shared/data beside the project",
)(() => {
  const scores = join(shared, "limr-scores.json");
  const prompts = join(shared, "math8k.json");

  it("select 1,389 of 8,523 problems, in the pool's order with all their fields, in under 2 seconds", async () => {
    const out = space.path("released");
    const args = ["--scores", scores, "--prompts", prompts, "--threshold", "0.6", "--out", out];
    expect(await selectData(...args)).toBe(0);
    // again, without the test tool's own translation; processor time, for other tests run beside this one
    const before = process.cpuUsage();
    expect(await selectData(...args)).toBe(0);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1e6).toBeLessThan(2);
    const pool = json(prompts) as { id: string }[];
    const chosen = json(out, "selected.json") as { id: string }[];
    expect(chosen.length).toBe(1389);
    const ids = new Set(chosen.map(({ id }) => id));
    expect(chosen).toEqual(pool.filter(({ id }) => ids.has(id)));
    const provenance = json(out, "selection.json");
    expect(provenance).toMatchObject({
      pool: 8523,
      distinct_prompts: 8522,
      without_score: 587,
      selected: 1389,
    });
    expect(provenance.size_around.map(({ size }: { size: number }) => size)).toEqual([1473, 1389, 1324]);
    expect(provenance.output.sha256).toBe(
      createHash("sha256").update(read(out, "selected.json")).digest("hex"),
    );
    expect(told).toContain("selected 1,389 of 8,523 problems");
    expect(told).toContain(">= 0.59: 1473  >= 0.6: 1389  >= 0.61: 1324");
    const counts = readCsvTable(join(out, "histogram.csv")).rows.map(({ count }) => Number(count));
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(7936); // one of 7,935 scores has two rows
  });

  it("a duplicated prompt takes both its rows", async () => {
    const out = space.path("duplicate");
    await selectData("--scores", scores, "--prompts", prompts, "--threshold", "0.06", "--out", out);
    const texts = (json(out, "selected.json") as { prompt: string }[]).map(({ prompt }) => prompt.trim());
    expect(texts.length - new Set(texts).size).toBe(1);
  });
});

describe("step dumps of another tool", () => {
  const dumps = space.path("dumps");
  const prompts = space.path("pool.jsonl");
  // curves of the card, section 7, as shares of two completions' rewards; 2 steps an epoch, 3 epochs
  const curves: Record<string, (number | null)[]> = {
    p1: [0.25, null, 0.5],
    p2: [0, 0, 0.5],
    p3: [1, 1, 1],
    p4: [0.5, 0.5, null],
    p5: [0.5, null, null],
  };
  const write = (names: string[]) => {
    mkdirSync(dumps, { recursive: true });
    for (let step = 1; step <= 6; step++) {
      const epoch = Math.floor((step - 1) / 2);
      const records = names.flatMap((prompt, i) => {
        const value = curves[prompt]![epoch]!;
        if (value === null || i % 2 !== (step - 1) % 2) return [];
        return Array.from({ length: 4 }, (_, g) => ({
          prompt: ` ${prompt}\n`,
          response: "r",
          reward: g < 4 * value ? 1 : 0,
          response_length: 1,
        }));
      });
      writeFileSync(join(dumps, `step_${step}.json`), JSON.stringify(records));
    }
    // spacing and order of keys are the file's own
    writeFileSync(prompts, names.map((prompt, i) => `{"n":${i}.0,  "prompt": "${prompt}"}\n`).join(""));
  };
  const args = ["--dumps", dumps, "--prompts", prompts, "--steps-per-epoch", "2"];

  it("keep and drop what the back-fill says, and leave lines as they were", async () => {
    write(["p1", "p2", "p3", "p4"]);
    const out = space.path("dumped");
    expect(await selectData(...args, "--max-invalid", "0.25", "--out", out)).toBe(0);
    expect(read(out, "selected.jsonl")).toBe('{"n":0.0,  "prompt": "p1"}\n');
    const { rows } = readCsvTable(join(out, "scores.csv"));
    expect(rows.map(({ score }) => Number(score).toFixed(6))).toEqual([
      "0.920792",
      "0.356436",
      "0.000000",
      "0.000000",
    ]);
    expect(rows[3]!["score"]).toBe(""); // dropped, not scored 0
    expect(rows.map((row) => row["epochs_seen"])).toEqual(["2", "3", "3", "2"]);
    expect(json(out, "selection.json").epochs_seen).toEqual([0, 0, 2, 2]);
    expect(told).toContain("prompts by epochs seen  0: 0  1: 0  2: 2  3: 2");
  });

  it("are refused when too many curves have gaps, with what to do", async () => {
    write(["p1", "p2", "p3", "p4", "p5"]);
    expect(await selectData(...args, "--out", space.path("refused"))).toBe(1);
    expect(told).toContain("2 of 5 prompts (40.0%) have no score, more than --max-invalid 0.2 allows");
    expect(told).toContain("0: 0, 1: 1, 2: 2, 3: 2");
    expect(existsSync(space.path("refused"))).toBe(false);
    expect(await selectData(...args, "--epochs", "4")).toBe(1);
    expect(told).toContain("holds 3 epochs, not 4");
  });

  it("are refused when nothing matches, and when a record has no reward", async () => {
    write(["p1", "p2", "p3", "p4"]);
    writeFileSync(prompts, '{"prompt":"q"}\n');
    expect(await selectData(...args)).toBe(1);
    expect(told).toContain(`none of its prompts is in column prompt of ${prompts}`);
    writeFileSync(join(dumps, "step_3.json"), '[{"prompt":"p1"}]');
    expect(await selectData(...args)).toBe(1);
    expect(told).toContain("record 0 needs a prompt (text) and a reward (number)");
  });
});

describe("a run of ours", () => {
  it("is scored from prompts.csv, and its subset trains", async () => {
    const runDir = space.path("measured");
    await runTraining(space.write("m.yaml", tinyGrpo), { runDir, set: ["data.train.size=6"] }); // 4 x 3 = 2 epochs
    expect(await selectData(runDir, "--count", "2")).toBe(0);
    const out = join(runDir, "selection");
    const chosen = read(out, "selected.jsonl")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(chosen.length).toBe(2);
    const { rows } = readCsvTable(join(out, "scores.csv"));
    expect(rows.length).toBe(6);
    const best = rows.map(({ score }) => Number(score)).sort((a, b) => b - a);
    const taken = rows.filter(({ selected }) => selected === "1");
    expect(taken.map(({ score }) => Number(score)).sort((a, b) => b - a)).toEqual(best.slice(0, 2));
    expect(chosen.map(({ id }) => id)).toEqual(taken.map(({ id }) => id));
    const again = {
      kind: "file",
      path: join(out, "selected.jsonl"),
      chat: false,
      id: "id",
      prompt: "{prompt}",
      answer: "{answer}",
    };
    const { outcome } = await runTraining(space.path("m.yaml"), {
      runDir: space.path("on subset"),
      set: [`data.train=${JSON.stringify(again)}`, "rollout.prompts_per_step=2"],
    });
    expect(outcome).toBe("finished");
    const drawn = readCsvTable(join(space.path("on subset"), "prompts.csv")).rows.map(
      (row) => row["prompt_id"],
    );
    expect(new Set(drawn)).toEqual(new Set(chosen.map(({ id }) => id)));
  });

  it("--random draws as many from the whole pool, the same for the same draw", async () => {
    const runDir = space.path("measured");
    const draws = [];
    for (const draw of ["1", "1", "2", "3"]) {
      await selectData(runDir, "--top", "0.5", "--random", draw);
      draws.push(read(runDir, "selection", "selected.jsonl"));
    }
    expect(draws[0]).toBe(draws[1]);
    expect(new Set(draws).size).toBeGreaterThan(1);
    for (const draw of draws) expect(draw.trim().split("\n").length).toBe(3);
  });

  it("of an endless task says why there is no curve", async () => {
    const runDir = space.path("endless");
    await runTraining(space.write("e.yaml", tinyGrpo), { runDir, steps: "1" });
    expect(await selectData(runDir)).toBe(2);
    expect(told).toContain("Set data.train.size");
  });
});

it("says what is wrong with its flags", async () => {
  const wrong: [string[], string][] = [
    [[], "needs one source"],
    [["run", "--scores", "x"], "needs one source"],
    [["nowhere"], "there is nothing at that path"],
    [["run", "--top", "0.2", "--count", "3"], "--top and --count: each is a rule by itself"],
    [["run", "--top", "1.2"], "--top 1.2: give a number above 0, at most 1"],
    [["run", "--count", "0"], "--count 0: give a whole number from 1"],
    [["run", "--signal", "luck"], "--signal luck: use reward or accuracy"],
    [["--scores", "x"], "--prompts is missing"],
    [["--dumps", "x", "--prompts", "y"], "--dumps needs --steps-per-epoch"],
    [["run", "--prompts", "y"], "--prompts y: has no meaning here"],
  ];
  for (const [args, message] of wrong) {
    told = "";
    expect(await selectData(...args), args.join(" ")).toBe(2);
    expect(told).toContain(message);
  }
});
