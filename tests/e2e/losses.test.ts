/** Every policy loss and estimator trains, on the tensors that recipes choose, and steps can be compared. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { policyLosses } from "../../src/losses/policy-kinds.ts";
import { lossRecords, renderReplay } from "../../src/replay/render.ts";
import { replay } from "../../src/replay/replay.ts";
import { optionalPart } from "../helpers/optional.ts";
import { rowsWithoutTime, runTraining, tinyGrpo, workspace } from "../helpers/tiny-run.ts";
import { xlaHere, xlaMissing } from "../helpers/xla.ts";

const space = workspace();
afterAll(space.remove);

/** Two optimizer steps a rollout, so that the second finds ratios beside 1. */
const tiny = (algorithm: string) => {
  const config = tinyGrpo.replace(
    "algorithm: { kind: grpo }",
    `algorithm: { kind: grpo, minibatches: 2, epochs: 2${algorithm && `, ${algorithm}`} }`,
  );
  // a share of successes is of rewards that are not below 0
  return algorithm.includes("group_mean")
    ? config.replace(
        "{ kind: length, name: short, limit: 2, max: 8 }",
        "{ kind: trigger, counts: format, weight: 1 }",
      )
    : config;
};

const losses: Record<string, string> = {
  ...Object.fromEntries(
    policyLosses.map(({ kind }) => [kind, `aggregation: sequence, loss: { kind: ${kind} }`]),
  ),
  "clip-cov, some tokens": "loss: { kind: clip-cov, share: 0.2, above: 0, below: 9 }",
  "dppo by kl": "loss: { kind: dppo, divergence: kl }",
  "gspo in micro-batches": "aggregation: sequence, micro_batch_rows: 2, loss: { kind: gspo }",
};

/** They do not touch a tensor. */
const estimators: Record<string, string> = {
  GFPO: "filter: { keep: 2, by: efficiency }",
  GDPO: "advantage: { parts: decoupled }",
  MaxRL: "advantage: { scale: group_mean }",
  OPO: "advantage: { baseline: length_weighted, scale: none }",
  "REINFORCE++": "advantage: { baseline: none, scale: none, whiten: true }",
  "truncated importance sampling": "sampler_correction: { max: 2 }",
};

describe("a run of four steps", () => {
  it.each(Object.entries({ ...losses, ...estimators }))(
    "%s: learns, and what it measures is finite",
    async (name, algorithm) => {
      const runDir = space.path(name.replaceAll(" ", "-"));
      await runTraining(space.write("tiny.yaml", tiny(algorithm)), { runDir });
      const rows = rowsWithoutTime(join(runDir, "metrics.csv"));
      expect(rows.length).toBe(4);
      const numbers = (column: string) => rows.map((row) => Number(row[column]));
      expect(Math.max(...numbers("optim/grad_norm"))).toBeGreaterThan(0);
      // what sampled and what learns agree: else no ratio means anything
      expect(Math.max(...numbers("policy/sampler_gap"))).toBeLessThan(1e-3);
      const kind = /loss: \{ kind: ([a-z-]+)/.exec(algorithm)?.[1] ?? "clipped";
      const weighs = !["clipped", "clip-cov"].includes(kind);
      expect("policy/ess" in rows[0]!, kind).toBe(weighs);
      for (const share of weighs ? numbers("policy/ess") : []) {
        expect(share).toBeGreaterThan(0);
        expect(share).toBeLessThanOrEqual(1 + 1e-6);
      }
      expect("policy/selected" in rows[0]!).toBe(kind.endsWith("-cov"));
      // a share of 2e-4 is one token, a share of 0.2 is not
      if (name === "clip-cov, some tokens")
        expect(Math.max(...numbers("policy/selected"))).toBeGreaterThan(0.05);
    },
  );
});

optionalPart(
  "losses as compiled programs",
  xlaHere,
  xlaMissing,
)(() => {
  it.each(["gspo in micro-batches", "dppo by kl", "sapo"])(
    "%s: the first steps as on wasm, to 1e-4",
    { timeout: 300_000 },
    async (name) => {
      const config = space.write("compiled.yaml", tiny(losses[name]!));
      const rowsOn = async (backend: string) => {
        const runDir = space.path(`${backend} ${name}`);
        await runTraining(config, { runDir, backend, steps: "2" });
        return rowsWithoutTime(join(runDir, "metrics.csv"));
      };
      const [want, got] = [await rowsOn("wasm"), await rowsOn("xla")];
      expect(want.length).toBe(2);
      for (const [i, row] of want.entries()) {
        for (const column of ["policy/loss", "optim/grad_norm", "policy/ess", "policy/ratio_max"]) {
          const expected = Number(row[column]);
          const off = Math.abs(Number(got[i]![column]) - expected);
          expect(off, `${column} of step ${i + 1}`).toBeLessThan(1e-4 * Math.max(0.01, Math.abs(expected)));
        }
      }
    },
  );
});

describe("rlpt replay --losses", () => {
  const runDir = space.path("compared");
  const again = (losses: Parameters<typeof replay>[0]["losses"], ...set: string[]) =>
    replay({ runDir, step: 3, set, note: () => {}, ...(losses === undefined ? {} : { losses }) });
  beforeAll(async () => {
    await runTraining(space.write("compared.yaml", tiny("")), { runDir });
  });

  it("compares every loss at the updates of the step, and changes nothing of it", async () => {
    const compared = await again(null);
    expect(compared.stored).toMatchObject({ weights: null, metrics: [] });
    const losses = compared.losses!;
    expect(losses.map(({ loss }) => loss)).toEqual(policyLosses.map(({ kind }) => kind));
    const [own, ...others] = losses;
    expect(own).toMatchObject({ own: true, updates: 4 });
    expect(own!.cosine).toBeCloseTo(1, 12);
    // the run's own numbers
    const row = compared.original.metrics;
    expect(own!.gradientNorm).toBeCloseTo(Number(row["optim/grad_norm"]), 5);
    expect(own!.value).toBeCloseTo(Number(row["policy/loss"]), 5);
    for (const other of others) {
      expect(other.own).toBe(false);
      expect(other.cosine!).toBeGreaterThan(0);
      expect(other.cosine!).toBeLessThanOrEqual(1 + 1e-9);
      expect(other.held).toBeGreaterThanOrEqual(0);
      expect(other.held).toBeLessThanOrEqual(1);
      expect(other.effectiveSampleSize!).toBeLessThanOrEqual(1 + 1e-6);
    }
    // bounds of 3e-4 hold what those of 0.2 leave alone
    const of = (kind: string) => losses.find(({ loss }) => loss === kind)!;
    expect(of("gspo").held).toBeGreaterThan(of("clipped").held);
    expect(of("gspo").effectiveSampleSize!).toBeLessThan(of("cispo").effectiveSampleSize!);
    const text = renderReplay(compared, 4);
    expect(text).toContain("clipped (its own)");
    expect(lossRecords(losses)[0]).toMatchObject({ loss: "clipped", own: 1, updates: 4 });
  });

  it("is one gradient for all where the step has one update: ratios are 1", async () => {
    const one = await again(null, "algorithm.minibatches=1", "algorithm.epochs=1");
    for (const { loss, cosine, held, effectiveSampleSize, updates } of one.losses!) {
      expect(updates).toBe(1);
      if (loss === "clip-cov") continue;
      expect(cosine!, loss).toBeCloseTo(1, 5);
      expect(held, loss).toBe(0);
      expect(effectiveSampleSize!, loss).toBeCloseTo(1, 5);
    }
    expect(renderReplay(one, 0)).toContain("--set algorithm.minibatches=4");
  });

  it("takes some by name, and the recipe's own with them", async () => {
    const some = await again(["sapo"]);
    expect(some.losses!.map(({ loss }) => loss)).toEqual(["clipped", "sapo"]);
    expect(readFileSync(join(runDir, "recipe.yaml"), "utf8")).toContain("clipped");
  });
});
