/** Training with each batch cut between devices: the numbers of one device, the same bytes again, and it resumes. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { readProvenance } from "../../src/run/provenance.ts";
import { cpuPluginMissing, pluginFor } from "../helpers/engines.ts";
import { optionalPart } from "../helpers/optional.ts";
import {
  checkpointBytes,
  rowsWithoutTime,
  runTraining,
  tinyGrpo,
  tinyModel,
  tinyPpo,
  tinySft,
  workspace,
} from "../helpers/tiny-run.ts";
import "../helpers/xla.ts"; // names the plugin

const space = workspace();
afterAll(space.remove);

const withoutEval = (yaml: string) =>
  yaml.replace("  eval: { kind: chain, levels: [1], size: 6 }\n", "").replace("eval: { every: 2 }\n", "");
/** Three prompts of four completions: they do not divide by two. */
const grpo = withoutEval(tinyGrpo);
const withLora = grpo.replace(
  tinyModel,
  "\n  path: models/lab-small\n  lora: { rank: 2, targets: [q_proj, down_proj] }\n  rematerialise: true\n",
);

/** Relative, of numbers above 0.01. */
const CLOSE = 1e-5;

optionalPart(
  "training on two devices",
  pluginFor("cpu") !== null,
  cpuPluginMissing,
)(() => {
  const run = async (name: string, yaml: string, devices: number, steps?: string) => {
    const runDir = space.path(`${name} ${devices}`);
    await runTraining(space.write(`${name}.yaml`, yaml), {
      runDir,
      backend: "xla",
      set: [`backend.devices=${devices}`],
      ...(steps === undefined ? {} : { steps }),
    });
    return runDir;
  };

  it.each([
    ["grpo", grpo, undefined],
    ["LoRA with rematerialised layers", withLora, "2"],
    ["ppo with a critic", withoutEval(tinyPpo), "2"],
    ["packed sft", tinySft, "2"],
  ])(
    "%s: every metric as on one device, and the same samples",
    { timeout: 240_000 },
    async (name, yaml, steps) => {
      const [one, two] = [await run(name, yaml, 1, steps), await run(name, yaml, 2, steps)];
      expect(readProvenance(two)!.backend["description"]).toContain(
        "batches cut between 2 virtual devices of the CPU",
      );
      const [want, got] = [one, two].map((dir) => rowsWithoutTime(join(dir, "metrics.csv"))) as [
        Record<string, string>[],
        Record<string, string>[],
      ];
      expect(want.length).toBeGreaterThanOrEqual(2);
      expect(got.length).toBe(want.length);
      let compared = 0;
      for (const [i, row] of want.entries()) {
        for (const [column, text] of Object.entries(row)) {
          // how far two engines are apart is rounding itself; memory is not the step's
          if (/sampler_gap|^backend\/|memory/.test(column)) continue;
          const expected = Number(text);
          if (Number.isNaN(expected)) {
            expect(got[i]![column], column).toBe(text);
            continue;
          }
          compared++;
          const off = Math.abs(Number(got[i]![column]) - expected);
          const message = `${column} of row ${i + 1}: ${got[i]![column]} instead of ${text}`;
          expect(off, message).toBeLessThan(CLOSE * Math.max(0.01, Math.abs(expected)) + 1e-9);
        }
      }
      expect(compared).toBeGreaterThan(12);
      const samples = (dir: string) => {
        const lines = readFileSync(join(dir, "samples.jsonl"), "utf8").split("\n").slice(0, -1);
        return lines.map((line) => (JSON.parse(line) as { completion: string }).completion);
      };
      expect(samples(two)).toEqual(samples(one));
      expect(samples(two).length > 0).toBe(yaml !== tinySft);
    },
  );

  it("the same seed gives the same bytes, also when resumed", { timeout: 240_000 }, async () => {
    const [whole, parted] = [await run("exact", grpo, 2), await run("parted", grpo, 2)];
    const last = join("checkpoints", "000004");
    const same = () => {
      for (const file of ["metrics.csv", "prompts.csv"]) {
        const rows = (folder: string) =>
          rowsWithoutTime(join(folder, file)).map(({ "backend/programs": _, ...row }) => row);
        expect(rows(parted), file).toEqual(rows(whole));
      }
      expect(checkpointBytes(join(parted, last))).toEqual(checkpointBytes(join(whole, last)));
    };
    same();
    rmSync(join(parted, last), { recursive: true });
    await runTraining(undefined, { resume: parted, backend: "xla" });
    same();
  });
});
