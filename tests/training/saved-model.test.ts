/** A checkpoint's model/ ends its completions elsewhere where they ended here. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { openModel } from "../../src/policy/files/model-directory.ts";
import { exportModel } from "../../src/training/export-model.ts";
import { runTraining, tinyGrpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const read = (...path: string[]) =>
  JSON.parse(readFileSync(join(...path), "utf8")) as Record<string, unknown>;

/** lab-small, whose own lists end at other ids than its tokenizer's <eos>, which has id 2. */
function model(name: string, ids: unknown): string {
  const folder = space.path(name);
  cpSync("models/lab-small", folder, { recursive: true });
  for (const file of ["config.json", "generation_config.json"]) {
    writeFileSync(join(folder, file), JSON.stringify({ ...read(folder, file), eos_token_id: ids }));
  }
  return folder;
}

it.each([
  ["another id", 6, [6, 2]],
  ["a list without it", [6, 7], [6, 7, 2]],
  ["a list with it", [2, 6], [2, 6]],
  ["the same", 2, 2],
])("where the model's list is %s", async (name, listed, expected) => {
  const from = model(name, listed);
  const config = space.write(
    `${name}.yaml`,
    tinyGrpo.replace(/model:[\s\S]*?(?=data:)/, `model: { path: ${JSON.stringify(from)} }\n`),
  );
  const { checkpoint, runDir } = await runTraining(config, { steps: "1", runDir: space.path(`run ${name}`) });
  const exported = space.path(`exported ${name}`);
  await exportModel(runDir, exported, { checkpoint: "latest", type: "f32" }, () => {});
  for (const folder of [join(checkpoint!, "model"), exported]) {
    expect(read(folder, "generation_config.json")["eos_token_id"]).toEqual(expected);
    const files = await openModel(folder);
    files.weights.close();
    expect(files.tokenizer.eosIds).toEqual([expected].flat());
  }
});
