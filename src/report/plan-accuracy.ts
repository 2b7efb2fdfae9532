/** How far off a run's plan was: plan.json against usage.json, both of its directory. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { RlptError } from "../lib/errors.ts";
import { type Block, number, percent } from "./document.ts";
import { type PlannedNumbers, planShape, type UsedNumbers, usageShape } from "./json-shapes.ts";
import { type RunFiles, readShape } from "./read-run.ts";

export interface PlanRow {
  quantity:
    | "peak memory"
    | "time per step"
    | "time in all"
    | "time at its live share"
    | "processor time"
    | "processor time at it"
    | "disk";
  unit: "bytes" | "s";
  /** null: the run made another number of steps than was planned. */
  planned: number | null;
  took: number;
}

/**
 * Null where a run has no usage.json; rows without `planned` where it has no plan.json.
 * @throws RlptError for a file that holds something else
 */
export function planAccuracy(runDir: string): PlanRow[] | null {
  const [usage, plan] = ["usage.json", "plan.json"].map((name) => join(runDir, name)) as [string, string];
  if (!existsSync(usage)) return null;
  return compareWithPlan(existsSync(plan) ? readShape(plan, planShape) : null, readShape(usage, usageShape));
}

/** Seconds from start to end of all of a run's processes; null where it has no usage.json that can be read. */
export function wallSeconds(runDir: string): number | null {
  try {
    return planAccuracy(runDir)?.find(({ quantity }) => quantity === "time in all")?.took ?? null;
  } catch (error) {
    if (error instanceof RlptError) return null;
    throw error;
  }
}

export function compareWithPlan(plan: PlannedNumbers | null, used: UsedNumbers): PlanRow[] {
  type Numbers = Pick<UsedNumbers, "stages">;
  const steps = ({ stages }: Numbers) => stages.reduce((sum, stage) => sum + stage.steps, 0);
  const seconds = ({ stages }: Numbers) => stages.reduce((sum, stage) => sum + stage.steps_s, 0);
  const whole = plan !== null && steps(plan) === steps(used);
  const atLive = whole ? timeAtLive(plan, used) : null;
  const disk = ({ checkpoints_bytes, rest_bytes }: UsedNumbers["disk"]) => checkpoints_bytes + rest_bytes;
  return [
    {
      quantity: "peak memory",
      unit: "bytes",
      planned: plan === null ? null : plan.memory.peak_bytes,
      took: used.peak_rss_bytes,
    },
    {
      quantity: "time per step",
      unit: "s",
      planned: plan === null ? null : seconds(plan) / steps(plan),
      took: seconds(used) / Math.max(1, steps(used)),
    },
    { quantity: "time in all", unit: "s", planned: whole ? plan.total_s : null, took: used.total_s },
    ...(atLive === null
      ? []
      : [{ quantity: "time at its live share", unit: "s", planned: atLive, took: used.total_s } as const]),
    { quantity: "processor time", unit: "s", planned: whole ? plan.cpu_s : null, took: used.cpu_s },
    ...(atLive === null
      ? []
      : [
          {
            quantity: "processor time at it",
            unit: "s",
            planned: (plan!.cpu_s * atLive) / plan!.total_s,
            took: used.cpu_s,
          } as const,
        ]),
    { quantity: "disk", unit: "bytes", planned: whole ? disk(plan.disk) : null, took: disk(used.disk) },
  ];
}

/**
 * What the plan would have said had it known which share of the completions the run's updates would hold: what is left
 * is the plan's own error. Null where a side does not say, or where no update leaves any out.
 */
function timeAtLive(plan: PlannedNumbers, used: UsedNumbers): number | null {
  let seconds = plan.total_s;
  let varies = false;
  for (const [i, { live, update }] of plan.stages.entries()) {
    const took = used.stages[i]?.live;
    if (live === undefined || update === undefined || took === undefined) return null;
    if (update.basis === "algorithm") continue;
    varies = true;
    seconds += (took - live) * update.all_s;
  }
  return varies ? seconds : null;
}

/** +0.1: the plan was a tenth too high. */
export function offBy({ planned, took }: PlanRow): number | null {
  return planned === null || took === 0 ? null : planned / took - 1;
}

/** What each run took, and how far off its plan was where one was made. */
export function costBlocks(runs: readonly RunFiles[]): Block[] {
  const show = ({ unit }: PlanRow, value: number | null): string =>
    value === null ? "" : unit === "bytes" ? `${number(value / 2 ** 20)} MiB` : `${number(value)} s`;
  const faults: Block[] = [];
  const accuracyOf = (run: RunFiles): PlanRow[] => {
    try {
      return planAccuracy(run.directory) ?? [];
    } catch (error) {
      if (!(error instanceof RlptError)) throw error;
      faults.push({ kind: "text", text: `Left out: ${error.message}` });
      return [];
    }
  };
  const rows = runs.flatMap((run) =>
    accuracyOf(run).map((row) => {
      const off = offBy(row);
      return [
        run.label,
        row.quantity,
        show(row, row.took),
        show(row, row.planned),
        off === null ? "" : percent(off),
      ];
    }),
  );
  if (rows.length === 0) return faults;
  const planned = rows.some((cells) => cells[3] !== "");
  const skipped = runs.length > 1 ? 0 : 1;
  return [
    {
      kind: "table",
      table: {
        // the run's name only where there are several
        header: ["run", "quantity", "took", ...(planned ? ["planned", "plan off by"] : [])].slice(skipped),
        rows: rows.map((cells) => cells.slice(skipped, planned ? 5 : 3)),
        text: runs.length > 1 ? [0, 1] : [0],
      },
      caption:
        "Time in all: by the clock, from the start of each of the run's processes to its end, pauses between them left out. Time per step: of training steps alone, without start, evaluations and checkpoints. Processor time: of all threads.",
    },
    ...faults,
  ];
}
