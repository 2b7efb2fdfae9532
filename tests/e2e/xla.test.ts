/** Training on compiled programs: the numbers of the engine that computes op by op, and nothing of exactness lost. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
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
import { xlaHere, xlaMissing } from "../helpers/xla.ts";

const space = workspace();
afterAll(space.remove);

/** Supervised for a step, so that there is a reference to stay near to. */
const withKl = tinyGrpo
  .replace("steps: 4", "")
  .replace(
    "algorithm: { kind: grpo }",
    "stages: [{ name: warm, steps: 1, algorithm: { kind: sft, rows_per_step: 4 } }, { name: near, steps: 3, algorithm: { kind: grpo, kl: { coef: 0.1 } } }]",
  );
const withLora = tinyGrpo.replace(
  tinyModel,
  "\n  path: models/lab-small\n  lora: { rank: 2, targets: [q_proj, down_proj] }\n  rematerialise: true\n",
);

/** Columns that tell whether two engines computed the same. */
const compared = [
  "policy/loss",
  "sft/loss",
  "critic/loss",
  "optim/grad_norm",
  "policy/kl",
  "policy/entropy",
  "tokens/total",
];

optionalPart(
  "training on compiled programs",
  xlaHere,
  xlaMissing,
)(() => {
  it.each([
    ["grpo with KL in the loss", withKl],
    ["LoRA with rematerialised layers", withLora],
    ["ppo with a critic", tinyPpo],
    ["packed sft", tinySft],
  ])("%s: the first steps as on wasm, to 1e-4", { timeout: 240_000 }, async (name, yaml) => {
    const config = space.write(`${name}.yaml`, yaml);
    const rows = async (backend: string) => {
      const runDir = space.path(`${name} ${backend}`);
      await runTraining(config, { runDir, backend, ...(yaml === withKl ? {} : { steps: "2" }) });
      return rowsWithoutTime(join(runDir, "metrics.csv"));
    };
    const want = await rows("wasm");
    const got = await rows("xla");
    expect(got.length).toBe(want.length);
    expect(want.length).toBeGreaterThanOrEqual(2);
    for (const [i, row] of want.entries()) {
      const columns = compared.filter((column) => row[column] !== undefined && row[column] !== "");
      expect(columns.length).toBeGreaterThanOrEqual(2);
      for (const column of columns) {
        const expected = Number(row[column]);
        const off = Math.abs(Number(got[i]![column]) - expected);
        expect(off, `${column} of step ${i + 1}: ${got[i]![column]} instead of ${row[column]}`).toBeLessThan(
          1e-4 * Math.max(0.01, Math.abs(expected)),
        );
      }
    }
  });

  it("the same seed gives the same bytes, also when resumed", { timeout: 240_000 }, async () => {
    const config = space.write("exact.yaml", withKl);
    const [whole, parted] = [space.path("whole"), space.path("parted")];
    for (const runDir of [whole, parted]) await runTraining(config, { runDir, backend: "xla" });
    const last = join("checkpoints", "000004");
    const same = () => {
      for (const file of ["metrics.csv", "eval.csv", "prompts.csv"]) {
        const rows = (folder: string) =>
          rowsWithoutTime(join(folder, file)).map(({ "backend/programs": _, ...row }) => row);
        expect(rows(parted), file).toEqual(rows(whole));
      }
      expect(readFileSync(join(parted, "samples.jsonl"), "utf8")).toBe(
        readFileSync(join(whole, "samples.jsonl"), "utf8"),
      );
      expect(checkpointBytes(join(parted, last))).toEqual(checkpointBytes(join(whole, last)));
    };
    same();
    rmSync(join(parted, last), { recursive: true });
    await runTraining(undefined, { resume: parted, backend: "xla" });
    same();
  });
});
