/** `rlpt select-data`: scored pool to a subset, its provenance, scores and a histogram. */
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fillGaps } from "../data/selection/curves.ts";
import {
  roundTo,
  type SelectionRule,
  scoreHistogram,
  selectAtRandom,
  selectByScore,
  sizesAround,
} from "../data/selection/select.ts";
import { DataError } from "../lib/errors.ts";
import { writeFileAtomic } from "../lib/files.ts";
import { VERSION } from "../lib/version.ts";
import { csvLine } from "../run/append-log.ts";
import { hashFile } from "../run/manifest.ts";
import type { ScoredPool } from "./pool.ts";

export interface SelectionSettings {
  rule: SelectionRule;
  /** Decimals that scores are rounded to before selecting; null: none. */
  round: number | null;
  /** Draw a uniform subset of the size that the rule gives instead. */
  random: number | null;
  /** Largest share of prompts without a score. */
  maxInvalid: number;
  /** Recorded as they were given: signal, epochs, stage ... */
  source: Readonly<Record<string, unknown>>;
}

export interface Selection {
  flags: boolean[];
  /** After rounding. */
  scores: (number | null)[];
  size: number;
  /** Threshold that the rule stands for: its own, or the lowest selected score. */
  threshold: number | null;
  around: { threshold: number; size: number }[];
  histogram: { low: number; high: number; count: number }[];
  /** "kind=learnable": how many in the pool, how many selected. */
  slices: Record<string, { pool: number; selected: number }>;
}

const BIN_WIDTH = 0.1;

/** @throws DataError when too many prompts have no score */
export function selectFromPool(pool: ScoredPool, settings: SelectionSettings): Selection {
  const share = pool.invalid / pool.distinct;
  if (share > settings.maxInvalid) {
    const seen =
      pool.seen === null
        ? []
        : [`  prompts by epochs seen: ${pool.seen.map((count, k) => `${k}: ${count}`).join(", ")}`];
    throw new DataError(
      [
        `${pool.inputs[0]}: ${pool.invalid} of ${pool.distinct} prompts (${(100 * share).toFixed(1)}%) have no score, more than --max-invalid ${settings.maxInvalid} allows.`,
        ...seen,
        "  A sampler that drops the tail of an epoch, or a run that ended inside one, makes gaps; a gap in the last epoch is never filled.",
        `  Measure whole epochs, count fewer with --epochs, or raise --max-invalid.`,
      ].join("\n"),
    );
  }
  const scores = pool.scores.map((score) =>
    score === null || settings.round === null ? score : roundTo(score, settings.round),
  );
  const ruled = selectByScore(scores, settings.rule);
  const taken = ruled.filter(Boolean).length;
  const flags = settings.random === null ? ruled : selectAtRandom(scores.length, taken, settings.random);
  const lowest = scores.reduce<number | null>(
    (least, score, i) => (ruled[i] && score !== null && (least === null || score < least) ? score : least),
    null,
  );
  const threshold = settings.rule.kind === "threshold" ? settings.rule.threshold : lowest;
  const slices: Selection["slices"] = {};
  pool.rows.forEach((row, i) => {
    for (const [name, value] of Object.entries(row.slices)) {
      slices[`${name}=${value}`] ??= { pool: 0, selected: 0 };
      const slice = slices[`${name}=${value}`]!;
      slice.pool++;
      if (flags[i]) slice.selected++;
    }
  });
  return {
    flags,
    scores,
    size: taken,
    threshold,
    around: threshold === null ? [] : sizesAround(scores, threshold),
    histogram: scoreHistogram(
      scores.filter((score) => score !== null),
      BIN_WIDTH,
    ),
    slices,
  };
}

/** Writes the subset, selection.json, scores.csv and histogram.csv. @returns the subset's path */
export async function writeSelection(
  directory: string,
  pool: ScoredPool,
  selection: Selection,
  settings: SelectionSettings,
): Promise<string> {
  mkdirSync(directory, { recursive: true });
  const rows = pool.rows.filter((_, i) => selection.flags[i]).map(({ text }) => text);
  const body =
    pool.format === "json" ? `[\n${rows.join(",\n")}\n]\n` : rows.map((row) => `${row}\n`).join("");
  const path = join(directory, `selected.${pool.format}`);
  const epochs = pool.curves === null ? [] : Array.from({ length: pool.average.length }, (_, k) => k);
  const scoreLines = pool.rows.map(({ id }, i) => {
    const curve = pool.curves?.[i] ?? null;
    const filled = curve === null ? null : fillGaps(curve);
    return csvLine([
      id,
      selection.scores[i],
      selection.flags[i],
      ...(curve === null ? [] : [curve.filter((value) => value !== null).length]),
      ...epochs.map((k) => filled![k]),
    ]);
  });
  const head = ["id", "score", "selected", ...(pool.curves === null ? [] : ["epochs_seen"])];
  writeFileAtomic(
    join(directory, "scores.csv"),
    csvLine([...head, ...epochs.map((k) => `epoch_${k}`)]) + scoreLines.join(""),
  );
  writeFileAtomic(
    join(directory, "histogram.csv"),
    csvLine(["low", "high", "count"]) +
      selection.histogram.map(({ low, high, count }) => csvLine([low, high, count])).join(""),
  );
  const inputs: Record<string, { bytes: number; sha256: string }> = {};
  for (const input of pool.inputs) inputs[input] = await hashFile(input);
  const { rule, round, random, maxInvalid, source } = settings;
  const provenance = {
    rlpt: VERSION,
    settings: { ...source, rule, round, random, max_invalid: maxInvalid },
    inputs,
    pool: pool.rows.length,
    distinct_prompts: pool.distinct,
    without_score: pool.invalid,
    selected: selection.size,
    threshold: selection.threshold,
    size_around: selection.around,
    epochs_seen: pool.seen,
    mean_curve: pool.average,
    measuring_completions: pool.completions,
    slices: selection.slices,
    output: { file: `selected.${pool.format}`, sha256: createHash("sha256").update(body).digest("hex") },
  };
  // the subset last: whoever finds it finds the rest
  writeFileAtomic(join(directory, "selection.json"), `${JSON.stringify(provenance, null, 2)}\n`);
  writeFileAtomic(path, body);
  return path;
}
