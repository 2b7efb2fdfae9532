/** `rlpt why` on recorded runs of the laboratory, on runs that have barely begun, and on damaged files. */
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { stringify } from "csv-stringify/sync";
import { afterAll, describe, expect, it } from "vitest";
import { causes } from "../../src/report/why/causes.ts";
import { sections } from "../../src/report/why/sections.ts";
import { explainRun, type Why } from "../../src/report/why/why.ts";
import { alarms } from "../../src/run/alarm-kinds.ts";
import { renderReading } from "../../tools/documents/reading.ts";
import { command } from "../helpers/command.ts";
import { writeRun } from "../helpers/run-files.ts";
import { workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const fixtures = "tests/fixtures/alarms";
type Cells = Record<string, string>;
const table = (file: string) => parse(readFileSync(file), { columns: true }) as Cells[];

/** A run directory around what was recorded of one. */
function recorded(name: string): string {
  const folder = space.path(name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "recipe.yaml"), "steps: 100\noptimizer: { lr: 1.0e-12 }\n");
  for (const file of ["metrics.csv", "eval.csv"])
    copyFileSync(join(fixtures, name, file), join(folder, file));
  return folder;
}

/** Each seed of a series. */
function series(kind: string): Why[] {
  const rows = { metrics: [] as Cells[], eval: [] as Cells[] };
  for (const file of ["metrics", "eval"] as const)
    rows[file] = table(join(fixtures, "series", `${kind}-${file}.csv`));
  const seeds = [...new Set(rows.metrics.map(({ seed }) => seed!))];
  expect(seeds.length).toBe(8);
  return seeds.map((wanted) => {
    const own = (all: Cells[]) =>
      stringify(
        all.filter(({ seed }) => seed === wanted).map(({ seed: _, ...row }) => row),
        { header: true },
      );
    const folder = space.path(`${kind} ${wanted}`);
    writeRun(folder, { metrics: own(rows.metrics), evaluations: own(rows.eval) });
    return explainRun(folder);
  });
}

const found = ({ changes }: Why) => changes.map(({ cause }) => cause);

describe("recorded runs", () => {
  it.each(["healthy", "ellipsis", "balanced", "thinks-more", "boundary-kept"])("%s is healthy", (name) => {
    const why = explainRun(recorded(name));
    expect(why).toMatchObject({ verdict: "healthy", changes: [], faults: [] });
    expect(why.summary).toMatch(/^Nothing looks wrong: (it learns|nearly all)/);
    expect(why.sections.map(({ id }) => id)).toEqual(
      expect.arrayContaining(["heldout", "groups", "reward", "tokens", "policy"]),
    );
  });

  it.each([
    ["collapse", ["mode_collapse"]],
    ["boundary", ["reward_hacking", "mode_collapse", "boundary_collapse"]],
    ["short", ["reward_hacking", "dead_groups_unparsed", "accuracy_collapse", "length_drift"]],
    ["long", ["reward_hacking", "dead_groups_truncated", "accuracy_collapse", "length_drift"]],
    ["solved", ["dead_groups_right"]],
    ["unreadable", ["dead_groups_wrong"]],
    ["cut", ["dead_groups_truncated"]],
  ])("%s is sick: %j", (name, expected) => {
    const why = explainRun(recorded(name));
    expect(why.verdict).toBe("sick");
    expect(found(why).slice(0, expected.length)).toEqual(expected);
  });

  it("of eight seeds each: what learns is healthy, what stands still and what is cheated is not", () => {
    expect(series("healthy").map(found)).toEqual(Array(8).fill([]));
    for (const why of series("null")) expect(found(why)).toEqual(["still"]);
    for (const kind of ["length", "format", "repeating"])
      for (const why of series(kind)) expect(found(why)[0], kind).toBe("reward_hacking");
  });

  it("figures are the means of the first and the last ten steps", () => {
    const rows = table(join(fixtures, "short", "metrics.csv"));
    const mean = (part: Cells[], name: string) =>
      part.reduce((sum, row) => sum + Number(row[name]), 0) / part.length;
    const name = "tokens/completion_mean";
    const change = explainRun(recorded("short")).changes.find(({ cause }) => cause === "length_drift")!;
    const { was, is } = change.figures[name] as { was: number; is: number };
    expect(was).toBeCloseTo(mean(rows.slice(0, 10), name), 10);
    expect(is).toBeCloseTo(mean(rows.slice(-10), name), 10);
    expect(change.sentence).toContain("began at step 23 and lasts (completions went from 18.5 to 2.0 tokens");
    expect(change.change).toBe(alarms.find((one) => one.name === "length_drift")!.remedy);
  });
});

const columns = [
  "step",
  "stage",
  "reward/mean",
  "reward/part/exact",
  "reward/part/format",
  "accuracy",
  "status/error",
  "group/equal_shaped",
  "group/all_wrong",
  "group/all_right",
  "completion/truncated",
  "tokens/total",
  "alarms",
  "alarm/length_drift",
];

/** A run of `n` steps that learns, with a format part that never differs. @param cells what a step has otherwise */
function written(name: string, n: number, cells: (step: number) => Record<string, number | string>): string {
  const rows = Array.from({ length: n }, (_, i) => {
    const right = 0.2 + (0.6 * i) / Math.max(1, n - 1);
    const usual = {
      step: i + 1,
      stage: "grpo",
      "reward/mean": right,
      "reward/part/exact": right,
      "reward/part/format": 1,
      accuracy: right,
      "status/error": 0,
      "group/equal_shaped": 0.4,
      "group/all_wrong": 0.3,
      "group/all_right": 0.1,
      "completion/truncated": 0,
      "tokens/total": 100,
      alarms: 0,
      "alarm/length_drift": 0,
    };
    return { ...usual, ...cells(i + 1) };
  });
  const samples = rows.flatMap(({ step }) =>
    [0, 1].map((k) => ({
      step,
      stage: "grpo",
      prompt_id: "p",
      sample_index: k,
      prompt: "1+1=",
      completion: String(k),
      tokens: 1,
      reward: k,
      status: "ok",
      correct: k === 1,
      parts: { exact: { value: k }, format: { value: 1 } },
    })),
  );
  return writeRun(space.path(name), {
    recipe: `steps: ${n}\nrewards: [{ kind: exact, weight: 1 }, { kind: tag-format, name: format, weight: 0.5 }]\n`,
    metrics: n === 0 ? `${columns.join(",")}\n` : stringify(rows, { header: true, columns }),
    samples,
  });
}

const sentences = ({ sections }: Why) =>
  sections.flatMap((one) => one.sentences.map(({ sentence }) => sentence));

describe("written runs", () => {
  it("names the reward part that is flat, and says what the others did", () => {
    const why = explainRun(written("flat", 24, () => ({})));
    expect(found(why)).toEqual(["flat_part"]);
    expect(why.changes[0]).toMatchObject({
      sentence: "A reward part is flat: format.",
      figures: { "reward/part/format": { was: 1, is: 1 } },
    });
    expect(sentences(why)).toContain(
      "Part format (weight 0.5) stays at 1: flat; it is the same for all completions in all 10 recorded groups of the last steps.",
    );
    expect(sentences(why).find((one) => one.startsWith("Part exact"))).toMatch(
      /goes from .* apart in 10 of 10 recorded groups/,
    );
    expect(sentences(why).find((one) => one.startsWith("Of 2,400 sampled tokens"))).toContain("40.0%");
    expect(sentences(why)).toContain(
      "There is no evaluation: add data.eval to know what the policy does on other problems.",
    );
  });

  it("failing rewards and cut completions are named from the first step on", () => {
    const why = explainRun(
      written("begun", 3, () => ({ "status/error": 0.5, "completion/truncated": 0.25 })),
    );
    expect(found(why)).toEqual(["reward_fails", "truncated"]);
    expect(why.summary).toBe(
      "2 things look wrong; the first to change stands first. Only 3 steps of stage grpo are in metrics.csv: what changes can be told from step 20 on.",
    );
  });

  it("a run that has barely begun, and one without a step", () => {
    const early = explainRun(written("early", 1, () => ({})));
    expect(early).toMatchObject({ verdict: "early", changes: [], steps: { done: 1, planned: 1 } });
    expect(early.summary).toContain("barely begun");
    const none = explainRun(written("none", 0, () => ({})));
    expect(none).toMatchObject({ verdict: "none", sections: [], changes: [] });
    const bare = explainRun(writeRun(space.path("bare"), {}));
    expect(bare.summary).toBe("No step is in metrics.csv: nothing can be said yet.");
  });

  it("alarms are those that metrics.csv has; one that is over is told and is no cause", () => {
    const raised = (from: number, to: number) => (step: number) => ({
      "alarm/length_drift": step >= from && step <= to ? 1 : 0,
      "reward/part/format": step,
    });
    const over = explainRun(written("over", 24, raised(21, 22)));
    expect(found(over)).toEqual([]);
    expect(sentences(over)).toContain(
      "The alarm length_drift was raised between steps 21 and 22 and is over.",
    );
    expect(found(explainRun(written("lasts", 24, raised(21, 24))))).toEqual(["length_drift"]);
  });
});

describe("damaged files", () => {
  const files = ["metrics.csv", "eval.csv", "prompts.csv", "samples.jsonl", "recipe.yaml", "provenance.json"];
  const damages: [string, (path: string) => void][] = [
    ["bytes", (path) => writeFileSync(path, Buffer.from([0, 255, 34, 10, 34, 1, 2, 200, 10]))],
    ["half a line", (path) => writeFileSync(path, 'step,stage\n1,"gr')],
    ["other cells", (path) => writeFileSync(path, "step,slice,accuracy,alarms\nx,all,y,z\n1,all,,\n2\n")],
    [
      "a directory",
      (path) => {
        rmSync(path, { force: true });
        mkdirSync(path);
      },
    ],
  ];

  it.each(files.flatMap((file) => damages.map(([how, damage]) => [file, how, damage] as const)))(
    "%s: %s ends nothing",
    async (file, how, damage) => {
      const folder = written(`damaged ${file} ${how}`, 24, () => ({}));
      damage(join(folder, file));
      const why = explainRun(folder);
      if (how === "a directory") expect(why.faults.join()).toContain(`${file}: cannot be read`);
      if (file !== "metrics.csv") expect(why.sections.map(({ id }) => id)).toContain("groups");
      const { status, out } = await command("why", folder);
      expect(status).toBe(0);
      if (why.faults.length > 0) expect(out).toContain("What could not be read");
    },
  );

  it("what is no run is refused", async () => {
    const { status, err } = await command("why", space.path("nothing here"));
    expect(status).toBe(2);
    expect(err).toContain("is not a run directory");
  });
});

it("--json is what the text says", async () => {
  const folder = recorded("short");
  const { out } = await command("why", folder, "--json");
  expect(JSON.parse(out)).toEqual(JSON.parse(JSON.stringify(explainRun(folder))));
  const text = (await command("why", folder)).out;
  expect(text).toContain("What to change first\n1. Compare reward/part/*");
  expect(text.split("\n").length).toBeLessThan(80);
});

it("text of files cannot steer a terminal", async () => {
  const folder = written("hostile", 24, () => ({ stage: "a\u001b[2J" }));
  const { out } = await command("why", folder);
  expect(out).not.toContain("\u001b[2J");
});

it("every alarm is a cause, and every cause has a section", () => {
  const names = causes.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(alarms.map(({ name }) => name)));
  expect(new Set(names).size).toBe(names.length);
  for (const { section } of causes) expect(sections.map(({ id }) => id)).toContain(section);
});

it("docs/reading-metrics.md says what the command says", async () => {
  const page = "docs/reading-metrics.md";
  await expect(renderReading(readFileSync(page, "utf8"))).toMatchFileSnapshot(`../../${page}`);
});
