/** Metrics of a rollout by slice of the prompts, and by mode: with and without thinking. */
import { mean } from "../lib/math.ts";
import type { MetricValues } from "../run/metrics.ts";
import type { Group, PromptSource, ScoredCompletion } from "../types.ts";

/** Prompts of an endless source that are looked at for their slices. */
const PROBED = 512;
/** A key with more values than this gets no columns: it names prompts, not kinds of prompts. */
const MOST_VALUES = 12;

/** "level=3" and the like, in order. The same for every run on this source, so that columns are fixed beforehand. */
export function slicesOf(source: PromptSource): string[] {
  const values = new Map<string, Set<string>>();
  const size = source.size ?? PROBED;
  for (let index = 0; index < size; index++) {
    for (const [key, value] of Object.entries(source.at(index).slices)) {
      const seen = values.get(key) ?? new Set();
      values.set(key, seen.add(value));
    }
  }
  return [...values.keys()].sort().flatMap((key) => {
    const seen = [...values.get(key)!].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    return seen.length > MOST_VALUES ? [] : seen.map((value) => `${key}=${value}`);
  });
}

export function sliceColumns(slices: readonly string[]): string[] {
  return slices.flatMap((slice) => [
    `slice/${slice}/thinking`,
    `slice/${slice}/accuracy`,
    `slice/${slice}/tokens`,
  ]);
}

/** A slice that the step did not draw leaves its cells blank. */
export function sliceMetrics(
  slices: readonly string[],
  groups: readonly Group[],
  scored: readonly (readonly ScoredCompletion[])[],
): MetricValues {
  return Object.fromEntries(
    slices.flatMap((slice) => {
      const at = slice.indexOf("=");
      const [key, value] = [slice.slice(0, at), slice.slice(at + 1)];
      const own = scored.filter((_, p) => groups[p]!.prompt.slices[key] === value).flat();
      const modes = own.flatMap(({ thinks }) => (thinks === null ? [] : [thinks]));
      return [
        [`slice/${slice}/thinking`, share(modes)],
        [`slice/${slice}/accuracy`, share(own.map(({ correct }) => correct))],
        [`slice/${slice}/tokens`, average(own.map(({ tokens }) => tokens.length))],
      ] as const;
    }),
  );
}

const MODES = [
  ["thinking", true],
  ["direct", false],
] as const;

export function modeColumns(): string[] {
  return [
    "group/both_modes",
    ...MODES.flatMap(([name]) => [
      `mode/${name}/accuracy`,
      `mode/${name}/tokens`,
      `mode/${name}/reward`,
      `mode/${name}/unparsed`,
      `mode/${name}/advantage_right`,
      `mode/${name}/advantage_wrong`,
    ]),
  ];
}

/** Blank where the prompts know no modes, or a mode was not sampled. @param advantages [P][G] */
export function modeMetrics(
  scored: readonly (readonly ScoredCompletion[])[],
  advantages: readonly (readonly number[])[],
): MetricValues {
  const all = scored.flatMap((group, p) =>
    group.map((one, g) => ({ ...one, advantage: advantages[p]![g]! })),
  );
  const known = all.some(({ thinks }) => thinks !== null);
  const both = scored.map((group) => MODES.every(([, mode]) => group.some(({ thinks }) => thinks === mode)));
  return {
    "group/both_modes": known ? share(both) : null,
    ...Object.fromEntries(
      MODES.flatMap(([name, mode]) => {
        const own = all.filter(({ thinks }) => thinks === mode);
        const advantage = (right: boolean) =>
          average(own.filter(({ correct }) => correct === right).map((one) => one.advantage));
        return [
          [`mode/${name}/accuracy`, share(own.map(({ correct }) => correct))],
          [`mode/${name}/tokens`, average(own.map(({ tokens }) => tokens.length))],
          [`mode/${name}/reward`, average(own.map(({ reward }) => reward))],
          [`mode/${name}/unparsed`, share(own.map(({ status }) => status === "unparsed"))],
          [`mode/${name}/advantage_right`, advantage(true)],
          [`mode/${name}/advantage_wrong`, advantage(false)],
        ] as const;
      }),
    ),
  };
}

function average(values: readonly number[]): number | null {
  return values.length === 0 ? null : mean(values);
}

function share(values: readonly boolean[]): number | null {
  return average(values.map(Number));
}
