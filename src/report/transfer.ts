/** Tables of base-to-new and cross-dataset protocols (CLS-RL, arXiv:2503.16188, tables 1, 2 and 4). */

/** One trained policy's accuracies, 0..1 or percent, whichever the caller uses throughout. */
export interface TransferRun {
  arm: string;
  /** The dataset it was trained on. */
  dataset: string;
  seed: number;
  base: number;
  /** New classes of the dataset that was trained on. */
  fresh: number;
  /** Accuracy on each dataset that it was not trained on, by name. */
  others: Readonly<Record<string, number>>;
  tokens: number;
}

export interface ArmSummary {
  arm: string;
  runs: number;
  base: number;
  fresh: number;
  /** Harmonic mean of the averaged base and the averaged new accuracy, as the paper averages it. */
  harmonic: number;
  other: number;
  tokens: number;
}

/** 2 B N / (B + N); 0 when both are 0. */
export function harmonicMean(base: number, fresh: number): number {
  return base + fresh === 0 ? 0 : (2 * base * fresh) / (base + fresh);
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** The mean over a run's other datasets. */
export function otherMean({ others }: Pick<TransferRun, "others">): number {
  return mean(Object.values(others));
}

/** One row per arm, in the order in which arms first occur. */
export function summariseArms(runs: readonly TransferRun[]): ArmSummary[] {
  return [...new Set(runs.map(({ arm }) => arm))].map((arm) => {
    const armRuns = runs.filter((run) => run.arm === arm);
    const base = mean(armRuns.map((run) => run.base));
    const fresh = mean(armRuns.map((run) => run.fresh));
    return {
      arm,
      runs: armRuns.length,
      base,
      fresh,
      harmonic: harmonicMean(base, fresh),
      other: mean(armRuns.map(otherMean)),
      tokens: mean(armRuns.map(({ tokens }) => tokens)),
    };
  });
}

/**
 * The "free lunch" matrix: accuracy minus zero-shot accuracy, trained on the row, tested on the column; the
 * cell of a dataset with itself is about its new classes. Means over seeds.
 * @param zeroShot runs of the untrained policy, one for each dataset and seed
 */
export function transferMatrix(
  runs: readonly TransferRun[],
  zeroShot: readonly TransferRun[],
): Record<string, Record<string, number>> {
  const names = [...new Set(runs.map(({ dataset }) => dataset))].sort();
  const cell = (run: TransferRun, column: string) =>
    column === run.dataset ? run.fresh : run.others[column]!;
  return Object.fromEntries(
    names.map((row) => {
      const differences = (column: string) =>
        runs
          .filter(({ dataset }) => dataset === row)
          .map((run) => {
            const start = zeroShot.find((zero) => zero.dataset === row && zero.seed === run.seed);
            if (start === undefined) throw new RangeError(`no zero-shot run of ${row}, seed ${run.seed}`);
            return cell(run, column) - cell(start, column);
          });
      const tested = [...new Set(runs.flatMap((run) => [run.dataset, ...Object.keys(run.others)]))].sort();
      return [row, Object.fromEntries(tested.map((column) => [column, mean(differences(column))]))];
    }),
  );
}

/** In how many pairs of runs (same dataset and seed) the first is larger, and the mean difference with its standard error. */
export function pairedDifference(
  first: readonly TransferRun[],
  second: readonly TransferRun[],
  value: (run: TransferRun) => number,
): { larger: number; pairs: number; mean: number; standardError: number } {
  const differences = first.flatMap((run) => {
    const other = second.find(({ dataset, seed }) => dataset === run.dataset && seed === run.seed);
    return other === undefined ? [] : [value(run) - value(other)];
  });
  const centre = mean(differences);
  const squares = differences.reduce((sum, d) => sum + (d - centre) ** 2, 0);
  const n = differences.length;
  return {
    larger: differences.filter((d) => d > 0).length,
    pairs: n,
    mean: centre,
    standardError: n < 2 ? Number.NaN : Math.sqrt(squares / (n - 1) / n),
  };
}
