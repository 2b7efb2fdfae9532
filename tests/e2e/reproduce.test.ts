import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { afterAll, describe, expect, it } from "vitest";
import { claimFiles, findClaim, loadClaim } from "../../src/experiments/claim.ts";
import { planClaims } from "../../src/experiments/claim-plan.ts";
import { reproduce } from "../../src/experiments/reproduce.ts";
import { ConfigError } from "../../src/lib/errors.ts";
import { studentQuantile } from "../../src/lib/statistics.ts";
import type { Reproduction } from "../../src/report/verdict-record.ts";
import { command } from "../helpers/command.ts";
import { tinyGrpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const sized = tinyGrpo.replace("levels: [1, 2] }", "levels: [1, 2], size: 6 }");
space.write("tiny.yaml", `backend: wasm\n${sized}`);

const head = "statement: s\nsource: { paper: p, where: w }\nseeds: [1, 2]\nconfig: tiny.yaml\n";
const arms = `
  trained: {}
  still: { set: { optimizer.lr: 1.0e-9 } }
  start: { start_of: trained }
  sharper: { evaluate: trained, set: { eval.temperature: 0.2 } }
  chosen: { select: { from: trained, count: 3, random: true, max_invalid: 1 }, draws: 2 }
`;
const claim = (name: string, conditions: string, more = "") =>
  space.write(`${name}.yaml`, `claim: ${name}\n${head}${more}arms: ${arms}conditions:\n${conditions}`);

const holds = claim(
  "holds",
  "  - { say: not much longer, metric: tokens, of: trained, minus: still, direction: below, margin: 9 }\n" +
    "  - { say: not much less, metric: accuracy, slice: level=1, of: chosen, minus: start, direction: above, margin: -3 }\n" +
    "  - { say: cut no more than always, metric: truncated, of: sharper, direction: below, margin: 9 }\n",
);
const fails = claim(
  "fails",
  "  - { say: far longer, metric: tokens, of: trained, minus: still, times: 0.5, direction: above, margin: 90 }\n",
);

const root = space.path("out");
const options = { root, concurrency: 2, note: () => {} };

/** Mean, standard error and interval from values.csv alone: two-way analysis of variance, written anew. */
function byHand(file: string, condition: number, times: number, seeds: readonly number[]) {
  const rows = (parse(readFileSync(file), { columns: true }) as Record<string, string>[]).filter(
    (row) => row["condition"] === String(condition),
  );
  const x = rows.map((row) =>
    seeds.map((s) => Number(row[`first_s${s}`]) - times * Number(row[`second_s${s}`])),
  );
  const [n, k] = [x.length, seeds.length];
  const total = x.flat().reduce((sum, value) => sum + value, 0);
  const ofPrompt = x.map((row) => row.reduce((sum, value) => sum + value, 0));
  const ofSeed = seeds.map((_, s) => x.reduce((sum, row) => sum + row[s]!, 0));
  const correction = (total * total) / (n * k);
  const square = (values: readonly number[]) => values.reduce((sum, value) => sum + value * value, 0);
  const prompts = (square(ofPrompt) / k - correction) / (n - 1);
  const luck = (square(ofSeed) / n - correction) / (k - 1);
  const rest = (square(x.flat()) - correction - prompts * (n - 1) - luck * (k - 1)) / ((n - 1) * (k - 1));
  const ofLuck = Math.max(0, luck - (k < 3 ? 0 : rest / 2));
  const [t, u] = [studentQuantile(0.975, n - 1), studentQuantile(0.975, k - 1)];
  const half = Math.sqrt((t * t * prompts + u * u * ofLuck) / (n * k));
  const mean = total / (n * k);
  return { mean, low: mean - half, high: mean + half };
}

describe("rlpt reproduce", () => {
  it("runs arms once for all claims, judges, and leaves what the verdict can be recomputed from", async () => {
    const claims = [holds, fails].map((file) => loadClaim(file));
    const told: string[] = [];
    const { reproductions, failed } = await reproduce(claims, {
      ...options,
      note: (text) => told.push(text),
    });
    expect(failed).toEqual([]);
    expect(reproductions.map(({ verdict }) => verdict)).toEqual(["SUPPORTED", "NOT SUPPORTED"]);
    // trained, still and two draws of chosen, for each of two seeds, whatever the number of claims
    expect(readdirSync(join(root, "runs")).length).toBe(8);
    expect(readdirSync(join(root, "evaluations")).length).toBe(2);
    expect(told.filter((text) => text.endsWith("begins")).length).toBe(10);
    expect(told.join("\n")).toMatch(/^holds: still and fails: still, seed 2 \(tiny-s2-\w{10}\): begins$/m);

    const [first] = reproductions;
    expect(JSON.parse(readFileSync(join(root, "holds", "verdict.json"), "utf8"))).toEqual(
      JSON.parse(JSON.stringify(first)),
    );
    for (const [one, count] of [
      [reproductions[0]!, 1],
      [reproductions[1]!, 1],
    ] as const) {
      const condition = one.conditions[count - 1]!;
      const hand = byHand(join(one.directory, "values.csv"), count, condition.times, one.seeds);
      expect(condition.effect).toBeCloseTo(hand.mean, 10);
      expect(condition.low!).toBeCloseTo(hand.low, 8);
      expect(condition.high!).toBeCloseTo(hand.high, 8);
      expect(condition.effect).toBeCloseTo(
        condition.by_seed.reduce((sum, { effect }) => sum + effect, 0) / 2,
        10,
      );
    }
    expect(first!.conditions[2]).toMatchObject({ unit: "run", prompts: 0, second: null });

    // the values are those of the runs' own files
    const trained = first!.runs.find(({ arm, seed }) => arm === "trained" && seed === 2)!;
    const evaluations = parse(readFileSync(join(trained.directory, "eval.csv")), { columns: true }) as Record<
      string,
      string
    >[];
    const last = evaluations.filter(({ slice }) => slice === "all").at(-1)!;
    expect(first!.conditions[0]!.by_seed[1]!.first).toBeCloseTo(Number(last["tokens_mean"]), 10);
  });

  it("runs nothing twice, takes up what was begun, and comes to the same bytes", async () => {
    const verdict = () => readFileSync(join(root, "holds", "verdict.json"), "utf8");
    const before = verdict();
    const { runs, evaluations } = (await planClaims([loadClaim(holds)], root))[0]!;
    const [gone, cut, kept] = runs.filter(({ select }) => select === null).map(({ runDir }) => runDir);
    const touched = statSync(join(kept!, "eval.csv")).mtimeMs;
    rmSync(gone!, { recursive: true });
    rmSync(join(cut!, "checkpoints", "000004"), { recursive: true });
    rmSync(join(evaluations[0]!.directory, "eval-prompts.csv"));
    const told: string[] = [];
    await reproduce([loadClaim(holds)], { ...options, note: (text) => told.push(text) });
    const begun = told.flatMap(
      (text) => /\(([^)]+)\).*: (begins|goes on)$/.exec(text)?.slice(1).join(" ") ?? [],
    );
    const name = (path: string) => path.split("/").at(-1)!;
    expect(begun.sort()).toEqual(
      [`${name(gone!)} begins`, `${name(cut!)} goes on`, `${evaluations[0]!.run.id} begins`].sort(),
    );
    expect(statSync(join(kept!, "eval.csv")).mtimeMs).toBe(touched);
    expect(verdict()).toBe(before);
  });

  it("has an exit status for each verdict, a table for several claims, a list without one", async () => {
    const shown = await command("reproduce", fails, "--root", root, "--no-color");
    expect(shown.status).toBe(3);
    expect(shown.out).toMatch(/NOT SUPPORTED: "far longer" fails/);
    expect(shown.out).toMatch(/metric +arm +seed 1 +seed 2 +mean/);
    expect((await command("reproduce", holds, "--root", root)).status).toBe(0);
    const both = await command("reproduce", holds, fails, "--root", root, "--json");
    expect(both.status).toBe(3);
    expect((JSON.parse(both.out) as Reproduction[]).map(({ claim: name }) => name)).toEqual([
      "holds",
      "fails",
    ]);
    const single = await command("reproduce", holds, "--root", root, "--seeds", "1");
    expect(single.status).toBe(4);
    expect(single.out).toContain("one seed says nothing about others");
    const list = await command("reproduce", "--root", root);
    expect(list.status).toBe(0);
    for (const file of claimFiles()) expect(list.out).toContain(file.split("/").at(-1)!.replace(".yaml", ""));
  });

  it("takes seeds until a claim is decided, goes on after a kill, and says beforehand what it can find", async () => {
    const sequentialHead = head.replace("seeds: [1, 2]\n", "first_seed: 4\nlooks: [2, 3]\n");
    const looking = (name: string, margin: number) =>
      space.write(
        `${name}.yaml`,
        `claim: ${name}\n${sequentialHead}arms: { trained: {} }\nconditions:\n` +
          `  - { say: s, metric: tokens, of: trained, direction: above, margin: ${margin} }\n`,
      );
    const decided = looking("decided", -1000);
    const before = await command("reproduce", decided, "--root", root, "--dry-run");
    expect(before.out).toMatch(/looks after 2 and 3 seeds, until it is decided: .* standard deviations/);
    expect(before.out).toContain("3 runs at most");
    const [first] = (await reproduce([loadClaim(decided)], options)).reproductions;
    expect(first).toMatchObject({ verdict: "SUPPORTED", seeds: [4, 5], design: { look: 1, looks: [2, 3] } });

    // a margin at the mean of all three seeds, so that nothing is decided
    const mean = async () => {
      const fixed = loadClaim(decided, { seeds: [4, 5, 6] });
      return (await reproduce([fixed], options)).reproductions[0]!.conditions[0]!.effect;
    };
    const open = looking("open", await mean());
    const told: string[] = [];
    const note = (text: string) => told.push(text);
    const [last] = (await reproduce([loadClaim(open)], { ...options, note })).reproductions;
    expect(last).toMatchObject({ verdict: "INCONCLUSIVE", seeds: [4, 5, 6], design: { look: 2 } });
    expect(last!.design.level).toBeCloseTo(0.025 / 3, 12);
    expect(told).toContain("open: open after 2 seeds, so it takes 3");
    expect(told.filter((text) => text.endsWith("begins"))).toEqual([]);

    // killed in the second look: the run of the third seed lacks its end
    const record = readFileSync(join(root, "open", "verdict.json"), "utf8");
    rmSync(join(last!.runs.at(-1)!.directory, "checkpoints", "000004"), { recursive: true });
    rmSync(join(root, "open"), { recursive: true });
    told.length = 0;
    await reproduce([loadClaim(open)], { ...options, note });
    expect(told.filter((text) => text.endsWith("goes on")).length).toBe(1);
    expect(told.filter((text) => text.endsWith("begins"))).toEqual([]);
    expect(readFileSync(join(root, "open", "verdict.json"), "utf8")).toBe(record);

    expect(loadClaim(open, { firstSeed: 101 }).options.seeds).toEqual([101, 102, 103]);
    const both = await command("reproduce", open, "--seeds", "1,2", "--first-seed", "3");
    expect(both.status).toBe(2);
  });

  it("tells of a run that failed, and judges the claims that do not need it", async () => {
    const broken = claim(
      "broken",
      "  - { say: x, metric: tokens, of: worse, direction: above, margin: 0 }\n",
    );
    const text = readFileSync(broken, "utf8").replace(
      "  trained: {}",
      "  trained: {}\n  worse: { set: { optimizer.lr: 1.0e+12 } }",
    );
    space.write("broken.yaml", text);
    const both = await command("reproduce", fails, broken, "--root", root, "--seeds", "1");
    expect(both.status).toBe(1);
    expect(both.err).toContain("broken: no verdict");
    expect(both.out).toContain("INCONCLUSIVE");
    expect(both.err).toContain("failed (1); the end of");
    expect(existsSync(join(root, "broken", "verdict.json"))).toBe(false);
    const unmeasured = claim(
      "unmeasured",
      "  - { say: x, metric: tokens, slice: level=9, of: still, direction: above, margin: 0 }\n",
    );
    const slice = await command("reproduce", unmeasured, "--root", root, "--seeds", "1");
    expect(slice.status).toBe(1);
    expect(slice.err).toContain("has no tokens of slice level=9; it has level=1");
  });
});

describe("claim files", () => {
  it("that come with rlpt are in order, and share runs", async () => {
    const claims = claimFiles().map((file) => loadClaim(file));
    expect(claims.length).toBeGreaterThanOrEqual(9);
    const plans = await planClaims(claims, root);
    const all = plans.flatMap(({ runs }) => runs);
    expect(new Set(all).size).toBeLessThan(all.length);
    expect(new Set(all.map(({ id }) => id)).size).toBe(new Set(all).size);
  });

  it("are refused with every fault, its line and a way out", () => {
    const wrong = (text: string): string => {
      try {
        loadClaim(space.write("wrong.yaml", text));
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
        return (error as Error).message.replaceAll(space.path(""), "");
      }
      return "nothing";
    };
    const base = `claim: c\n${head}`;
    const good = "conditions: [{ say: s, metric: tokens, of: a, direction: above }]\n";
    expect(wrong(`${base}arms: { a: { sett: {} } }\n${good}`)).toContain(
      "wrong.yaml:6  arms.a.sett is not a key; did you mean set?",
    );
    expect(wrong(`${base}arms: { a: {} }\n${good.replace("of: a", "of: b")}`)).toContain(
      'wrong.yaml:7  conditions.0.of = "b": there is no such arm; there are a.',
    );
    expect(wrong(`${base}arms: { a: {} }\n${good.replace("tokens", "accuarcy")}`)).toContain(
      'conditions.0.metric = "accuarcy": it is no metric of an evaluation; did you mean accuracy?',
    );
    expect(wrong(`${base.replace("tiny", "tinny")}arms: { a: {} }\n${good}`)).toContain(
      'wrong.yaml:5  config = "tinny.yaml": this file does not exist; did you mean tiny.yaml?',
    );
    expect(wrong(`${base}arms: { a: { set: { optimizer.rate: 1 } } }\n${good}`)).toMatch(
      /arms.a: its recipe is wrong; correct its set, or the config:\n.*optimizer.rate/,
    );
    expect(wrong(`${base.replace("seeds: [1, 2]", "looks: [3, 5, 5]")}arms: { a: {} }\n${good}`)).toContain(
      "looks.2 = 5: each look needs more seeds than the one before it, which has 5",
    );
    const many = wrong(
      `${base}arms:\n  a: { start_of: b }\n  b: { evaluate: a }\n  c: { start_of: d, draws: 2 }\n${good}`,
    );
    expect(many.split("\n").length).toBe(4);
    expect(many).toContain('arms.b.evaluate = "a": a trains nothing; name an arm with a config.');
    expect(() => findClaim("limr-selecton")).toThrow("did you mean limr-selection?");
  });
});
