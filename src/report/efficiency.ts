/** AutoThink's E-F1: what a policy gains in accuracy and saves in tokens, against its base with two prompts. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../lib/errors.ts";
import { isFolder } from "../lib/regular-file.ts";
import { number, percent, type Section } from "./document.ts";
import { numberCell, type Row, type RunFiles, readTable } from "./read-run.ts";
import { stageStarts } from "./series.ts";

/** Accuracy 0..1 or percent, whichever the caller uses throughout; mean tokens of a completion. */
export interface Operating {
  accuracy: number;
  tokens: number;
}

/** The base model with its standard prompt, and made to answer directly. */
export interface EfficiencyReference {
  standard: Operating;
  direct: Operating;
}

/**
 * E-F1 = 2ab / (a + b), a = max(0, (Acc - Acc_std) / (Acc_std - Acc_no)), b = max(0, (Tok_std - Tok) / (Tok_std - Tok_no));
 * 0 where neither is above 0. Reconstructed from the numbers of AutoThink's table (arXiv:2505.10832), which prints no
 * formula: it gives 39.6, 18.7, 7.5 and all zeros of it, and misses 31.6 by 0.3.
 * @returns null where thinking does not pay in the base: without a gain in accuracy, or without a cost in tokens
 */
export function efficiencyF1(
  { accuracy, tokens }: Operating,
  { standard, direct }: EfficiencyReference,
): number | null {
  const worth = standard.accuracy - direct.accuracy;
  const cost = standard.tokens - direct.tokens;
  if (!(worth > 0) || !(cost > 0)) return null;
  const a = Math.max(0, (accuracy - standard.accuracy) / worth);
  const b = Math.max(0, (standard.tokens - tokens) / cost);
  return a + b === 0 ? 0 : (2 * a * b) / (a + b);
}

/**
 * @param standard a CSV with the columns of eval.csv (`rlpt eval --csv`), or a run: its last evaluation of all prompts
 * @param direct the same with the prompt that answers directly
 * @throws ConfigError when one is missing, or thinking does not pay in the base
 */
export function readEfficiencyReference(standard: string, direct: string): EfficiencyReference {
  const reference = { standard: readOperating(standard), direct: readOperating(direct) };
  if (efficiencyF1(reference.standard, reference) === null) {
    const show = ({ accuracy, tokens }: Operating) =>
      `${(100 * accuracy).toFixed(1)}% in ${tokens.toFixed(1)} tokens`;
    throw new ConfigError(
      `E-F1 needs a base that thinks to its advantage: ${standard} has ${show(reference.standard)}, ${direct} has ${show(reference.direct)}; give the standard prompt first, then the direct one`,
    );
  }
  return reference;
}

function readOperating(path: string): Operating {
  const file = isFolder(path) ? join(path, "eval.csv") : path;
  if (!existsSync(file)) throw new ConfigError(`${file}: does not exist; write it with rlpt eval --csv`);
  const row = readTable(file).rows.findLast(({ slice }) => slice === "all");
  const [accuracy, tokens] = [numberCell(row, "accuracy"), numberCell(row, "tokens_mean")];
  if (accuracy === null || tokens === null) {
    throw new ConfigError(
      `${file}: no evaluation with accuracy and tokens_mean of slice all; write one with rlpt eval --csv`,
    );
  }
  return { accuracy, tokens };
}

/** `--efficiency standard.csv,direct.csv`. @throws ConfigError */
export function parseEfficiency(flag: string): EfficiencyReference {
  const paths = flag.split(",");
  const [standard, direct] = paths;
  if (paths.length !== 2 || !standard || !direct) {
    throw new ConfigError(
      `--efficiency ${flag}: give two evaluations of the base model, standard prompt and direct answers: --efficiency standard.csv,direct.csv`,
    );
  }
  return readEfficiencyReference(standard, direct);
}

/** E-F1 of each run's first evaluation, and of the last one of each stage. */
export function efficiencySection(runs: readonly RunFiles[], reference: EfficiencyReference): Section {
  const { standard, direct } = reference;
  const line = (name: string, at: Operating, score: string) => [
    name,
    percent(at.accuracy),
    number(at.tokens),
    score,
  ];
  const measured = runs.flatMap((run) =>
    stageEnds(run).flatMap(({ when, row }) => {
      const [accuracy, tokens] = [numberCell(row, "accuracy"), numberCell(row, "tokens_mean")];
      if (accuracy === null || tokens === null) return [];
      const at = { accuracy, tokens };
      return [line(`${run.label}, ${when}`, at, percent(efficiencyF1(at, reference)))];
    }),
  );
  return {
    id: "efficiency",
    title: "Accuracy gained and tokens saved",
    blocks: [
      {
        kind: "table",
        table: {
          header: ["policy", "accuracy", "tokens", "E-F1"],
          rows: [
            line("base model, standard prompt", standard, ""),
            line("base model, direct answers", direct, ""),
            ...measured,
          ],
          text: [0],
        },
        caption:
          "E-F1 is the harmonic mean of the share of thinking's worth that is gained on top of the standard prompt, and of the share of its tokens that is saved; 0 unless both are above 0.",
      },
    ],
  };
}

/** The run's first evaluation, and the last one of each stage; of all prompts. */
function stageEnds({ evaluations, metrics }: RunFiles): { when: string; row: Row }[] {
  const all = evaluations.filter(({ slice }) => slice === "all");
  const [first] = all;
  if (first === undefined) return [];
  const trained = all.slice(1);
  const ends = stageStarts(metrics).flatMap(({ stage }) => {
    const row = trained.findLast((one) => one["stage"] === stage);
    return row === undefined ? [] : [{ when: `after ${stage}, step ${row["step"]}`, row }];
  });
  return [{ when: `step ${first["step"]}`, row: first }, ...ends];
}
