/** `rlpt eval`: a target, evaluated once. */

import { join } from "node:path";
import { stringify } from "csv-stringify/sync";
import type { Evaluation } from "../algorithms/evaluate.ts";
import { promptRows } from "../algorithms/stage.ts";
import { ConfigError } from "../lib/errors.ts";
import { writeFileAtomic } from "../lib/files.ts";
import { evaluationColumns, evaluationPromptColumns } from "../run/logs.ts";
import { sampleRecord } from "../run/samples.ts";
import { verdictsName } from "../run/verdict-log.ts";
import * as parts from "./assemble.ts";
import { openEpisodes } from "./episodes.ts";
import { judgeParts, openJudges } from "./judges.ts";
import { Preflight } from "./preflight.ts";
import { openStageSource } from "./stage-data.ts";
import { resolveTarget, type Target } from "./target.ts";

export async function evaluateTarget(
  path: string,
  options: Parameters<typeof resolveTarget>[1],
  output: { csv: string | null; prompts: string | null; completions: string | null },
  note: (text: string) => void,
): Promise<{ target: Target; evaluation: Evaluation }> {
  const target = await resolveTarget(path, options);
  const { recipe } = target;
  if (recipe.data.eval === undefined || recipe.eval === undefined) {
    throw new ConfigError(
      `${target.name}: the recipe has no data.eval; add one with --set data.eval.path=file.jsonl`,
    );
  }
  const stage = { name: recipe.algorithm.kind, recipe, until: undefined };
  const preflight = new Preflight({ fetch: true, weights: true, parts: ["eval"] });
  for (const text of await preflight.check({ ...target.loaded, recipe, stages: [stage] })) note(text);
  const files = await parts.openRecipeModel(recipe, note);
  const backend = await parts.assembleBackend(recipe, files);
  note(`backend ${backend.kind}: ${backend.description}`);
  const policy = parts.assemblePolicy(recipe, files, { trainable: false, reference: false });
  files.weights.close();
  const positions = recipe.model.max_positions ?? policy.config.maxPositions;
  const source = await openStageSource(recipe, "eval", files.tokenizer, positions, note);
  const stored = target.runDir === null ? null : join(target.runDir, verdictsName);
  const judges = judgeParts([target]).length === 0 ? null : openJudges(stored, note);
  const score = await parts.assembleScorer(recipe, judges);
  const episodes = await openEpisodes(recipe);
  try {
    const evaluation = await parts.runEvaluation(recipe, recipe.eval, {
      policy,
      files,
      source,
      score,
      episodes,
    });
    const step = target.checkpoint?.step ?? 0;
    if (output.csv !== null) {
      const rows = evaluation.rows.map((row) => ({ ...row, step, stage: recipe.algorithm.kind }));
      writeFileAtomic(output.csv, stringify(rows, { header: true, columns: [...evaluationColumns] }));
    }
    if (output.prompts !== null) {
      const rows = promptRows(evaluation, step, recipe.algorithm.kind);
      writeFileAtomic(
        output.prompts,
        stringify(rows, { header: true, columns: [...evaluationPromptColumns] }),
      );
    }
    if (output.completions !== null) {
      const lines = evaluation.prompts.flatMap(({ prompt, completions }) =>
        completions.map(({ completion, score }) =>
          JSON.stringify(sampleRecord(step, recipe.algorithm.kind, prompt, { ...completion, ...score })),
        ),
      );
      writeFileAtomic(output.completions, `${lines.join("\n")}\n`);
    }
    return { target, evaluation };
  } finally {
    policy.dispose();
    await score.close();
    await episodes?.host.close();
    judges?.close();
  }
}
