/** The shapings of a recipe, one after the other, with what they remember. */
import type { Cells } from "../types.ts";
import type { MonitorPlan, Shapeable, Shaped } from "./shaping/kind.ts";
import { type ShapingSpec, shapingOf } from "./shaping-options.ts";

export interface Shaping {
  /** Metric names, in order. */
  readonly columns: readonly string[];
  /** @param groups [P][G] */
  shape(groups: readonly (readonly Shapeable[])[]): Shaped;
  /** Looks at the policy that shapings ask for from time to time. */
  readonly monitors: readonly Monitor[];
}

export interface Monitor extends MonitorPlan {
  /** Names the draws of its completions. */
  name: string;
  observe(groups: readonly (readonly Shapeable[])[]): void;
}

export function openShaping(specs: readonly ShapingSpec[], cells: Cells): Shaping {
  const opened = specs.map((spec, i) => {
    const kind = shapingOf(spec);
    const name = `shaping/${i}/${spec.kind}`;
    const state = kind.monitor === undefined ? { value: null } : cells.cell(name, kind.monitor.initial);
    return { spec, kind, name, state };
  });
  return {
    columns: opened.flatMap(({ kind }) => kind.columns),
    shape(groups) {
      let current = groups;
      let metrics: Record<string, number> = {};
      for (const { spec, kind, state } of opened) {
        const shaped = kind.shape(current, spec, state.value);
        metrics = { ...metrics, ...shaped.metrics };
        current = current.map((group, p) =>
          group.map((one, g) => ({ ...one, reward: shaped.rewards[p]![g]! })),
        );
      }
      return { rewards: current.map((group) => group.map(({ reward }) => reward)), metrics };
    },
    monitors: opened.flatMap(({ spec, kind: { monitor }, name, state }) =>
      monitor === undefined
        ? []
        : [
            {
              name,
              ...monitor.plan(spec),
              observe: (groups) => {
                state.value = monitor.observe(groups, spec, state.value);
              },
            } satisfies Monitor,
          ],
    ),
  };
}
