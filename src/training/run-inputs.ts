/** Files that a run's steps are made with besides its data: weights, tokenizer, adapter, reward files. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { RecipeStage } from "../config/load.ts";
import { filesOf } from "../data/source.ts";
import type { ModelFiles } from "../policy/interfaces.ts";
import { rewardSources } from "../rewards/file-sources.ts";
import type { InputFile } from "../run/provenance.ts";

/** Files of all stages' data. */
export async function dataFiles(stages: readonly RecipeStage[]): Promise<string[]> {
  const sets = stages.flatMap(({ recipe: { data } }) => [
    data.train,
    ...(data.eval === undefined ? [] : [data.eval]),
  ]);
  return (await Promise.all(sets.map(filesOf))).flat();
}

/** Of a model's, tokenizer's or adapter's folder, what is read. */
const READ = /\.(safetensors|gguf|jinja|json)$|^(merges\.txt|tokenizer\.model)$/;

/** @param files the model of the first stage, opened */
export async function runInputs(stages: readonly RecipeStage[], files: ModelFiles): Promise<InputFile[]> {
  const inputs: InputFile[] = [];
  const folder = (what: string, path: string, name = path): void => {
    if (!statSync(path).isDirectory()) inputs.push({ what, name, path });
    else
      for (const file of readdirSync(path).sort())
        if (READ.test(file)) inputs.push({ what, name: join(name, file), path: join(path, file) });
  };
  const { model } = stages[0]!.recipe;
  // a Hub id's files lie in the cache, under the id's commit
  const opened = (files as ModelFiles & { path?: string }).path;
  if (model.path !== undefined) {
    if (existsSync(model.path)) folder("model file", model.path);
    else if (opened !== undefined) folder("model file", opened, model.path);
  }
  if (typeof model.tokenizer === "string") folder("tokenizer file", model.tokenizer);
  if (model.chat_template !== undefined)
    inputs.push({ what: "chat template", name: model.chat_template, path: model.chat_template });
  if (model.lora?.adapter !== undefined) folder("adapter file", model.lora.adapter);
  const rewards = stages.flatMap(({ recipe }) => recipe.rewards);
  const judges = new Set(
    rewards.flatMap((reward) =>
      reward.kind === "judge" && reward.judge.path !== undefined ? [reward.judge.path] : [],
    ),
  );
  for (const path of judges) if (existsSync(path)) folder("judge file", path);
  const environments = new Set(
    stages.flatMap(({ recipe: { environment } }) => (environment?.kind === "file" ? [environment.file] : [])),
  );
  for (const file of environments)
    for (const path of await rewardSources(file)) inputs.push({ what: "environment file", name: path, path });
  const rewardFiles = new Set(rewards.flatMap((reward) => (reward.kind === "file" ? [reward.file] : [])));
  for (const file of rewardFiles)
    for (const path of await rewardSources(file)) inputs.push({ what: "reward file", name: path, path });
  return inputs;
}
