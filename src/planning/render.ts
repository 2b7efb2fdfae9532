/** Plans as text. */
import { offBy, type PlanRow } from "../report/plan-accuracy.ts";
import { colours, formatBytes, formatSeconds, table } from "../terminal/terminal.ts";
import type { BatchPlan, Plan } from "./types.ts";

export function renderPlan(plan: Plan): string {
  const { parameters, memory, disk } = plan;
  const count = (value: number) => value.toLocaleString("en");
  const trained =
    parameters.frozen === 0
      ? "all trained"
      : `${count(parameters.trainable)} trained, ${count(parameters.frozen)} frozen`;
  const compiling = plan.stages.reduce((sum, { compile_s }) => sum + compile_s, 0);
  const lines = [
    `${colours.bold(plan.config)} on ${plan.engine}`,
    colours.dim(plan.description),
    "",
    `${colours.bold("parameters")}  ${count(parameters.total)}, ${trained}`,
    "",
    colours.bold("memory"),
    table(
      memory.parts.map(({ name, bytes, note }) => [name, formatBytes(bytes), note]),
      { indent: 2, align: ["left", "right", "left"] },
    ),
    `  ${colours.bold("peak")} ${formatBytes(memory.peak_bytes)}; ${formatBytes(memory.limit_bytes)} if all rows of a step reach their token limit; ${formatBytes(memory.available_bytes)} free: ${verdict(memory.fits)}`,
    "",
    colours.bold("time"),
    table(
      plan.stages.map((stage) => [
        stage.stage,
        stage.algorithm,
        `${stage.until ? "up to " : ""}${stage.steps}`,
        formatSeconds(stage.step_s),
        stage.evaluations === 0
          ? "-"
          : `${stage.evaluations} x ${formatSeconds(stage.evaluation_s / stage.evaluations)}`,
        `${stage.checkpoints} x ${formatSeconds(stage.checkpoint_s / stage.checkpoints)}`,
        formatSeconds(stage.total_s),
      ]),
      {
        indent: 2,
        header: ["stage", "algorithm", "steps", "a step", "evaluations", "checkpoints", "in all"],
        align: ["left", "left", "right", "right", "right", "right", "right"],
      },
    ),
    `  ${colours.bold(formatSeconds(plan.total_s))} in all, ${formatSeconds(plan.cpu_s)} of processor time`,
    ...(compiling === 0
      ? []
      : [`  of it ${formatSeconds(compiling)} to compile programs, those of later shapes included`]),
    ...liveLines(plan).map((line) => `  ${line}`),
    "",
    `${colours.bold("disk")}  ${formatBytes(disk.checkpoints_bytes + disk.rest_bytes)}: ${disk.checkpoints} ${disk.checkpoints === 1 ? "checkpoint that stays" : "checkpoints that stay"}, ${formatBytes(disk.rest_bytes)} of logs; ${formatBytes(disk.free_bytes)} free`,
    "",
    colours.dim(
      `${plan.basis === "compiled" ? "Estimated" : `Probed for ${formatSeconds(plan.probe_s)}`}: ${plan.how}. Completions are taken to stay as long as there.`,
    ),
  ];
  return lines.join("\n");
}

/** What the time takes for granted of updates, and what it would be otherwise. */
function liveLines({ stages, range_s }: Plan): string[] {
  const varying = stages.filter(({ update }) => update.basis !== "algorithm");
  if (varying.length === 0) return [];
  const named = (text: string, { stage }: (typeof stages)[number]) =>
    stages.length === 1 ? text : `${stage} ${text}`;
  const words = varying.map((one) => {
    const { all_s, live, basis } = one.update;
    const share = `${(100 * live).toFixed(0)}%`;
    if (basis === "assumed") return named(`${share} (taken, not seen)`, one);
    return named(live === 0 || all_s === 0 ? "0% (so what updates cost is not known)" : share, one);
  });
  return [
    `with updates of ${words.join(", ")} of the completions${varying.some(({ update }) => update.basis === "probe") ? ", as in the probe" : ""}: others cannot move the weights.`,
    `A policy that learns changes that: ${formatSeconds(range_s.low)} if none could, ${formatSeconds(range_s.high)} if all could`,
  ];
}

function verdict(fits: Plan["memory"]["fits"]): string {
  switch (fits) {
    case "yes":
      return colours.green("fits");
    case "below its limits":
      return colours.yellow(
        "fits, but not at that limit; lower rollout.batch_rows or algorithm.micro_batch_rows",
      );
    case "no":
      return colours.red(
        "does not fit; lower rollout.batch_rows or algorithm.micro_batch_rows, or set model.rematerialise",
      );
    default: {
      const unreachable: never = fits;
      throw new Error(String(unreachable));
    }
  }
}

export function renderBatch(plan: BatchPlan): string {
  const probes = Object.keys(plan.plans).length;
  return [
    `${colours.bold(plan.config)}: ${plan.runs.length} runs, ${plan.concurrency} at a time`,
    table(
      plan.runs.map((run) => [
        run.name,
        formatSeconds(run.total_s),
        formatBytes(run.peak_bytes),
        formatBytes(run.disk_bytes),
        run.plan === run.name ? "probed" : `as ${run.plan}`,
      ]),
      {
        indent: 2,
        header: ["run", "time", "peak memory", "disk", ""],
        align: ["left", "right", "right", "right", "left"],
      },
    ),
    `  ${colours.bold(formatSeconds(plan.total_s))} in all, ${formatBytes(plan.peak_bytes)} of memory, ${formatBytes(plan.disk_bytes)} on disk`,
    colours.dim(
      `${probes} ${probes === 1 ? "probe" : "probes"}; each run is taken to have a core of its own.`,
    ),
  ].join("\n");
}

/** One line: what was planned and what it took. */
export function renderAccuracy(rows: readonly PlanRow[]): string {
  const words = rows
    .filter(
      ({ quantity, planned }) =>
        planned !== null && !["time per step", "processor time at it", "disk"].includes(quantity),
    )
    .map(
      (row) =>
        `${row.quantity} ${value(row, row.planned!)}, took ${value(row, row.took)} (${percent(offBy(row))})`,
    );
  return words.join("; ");
}

export function accuracyTable(rows: readonly PlanRow[]): string {
  return table(
    rows.map((row) => [
      row.quantity,
      row.planned === null ? "-" : value(row, row.planned),
      value(row, row.took),
      percent(offBy(row)),
    ]),
    { header: ["", "planned", "took", "off by"], align: ["left", "right", "right", "right"] },
  );
}

const value = ({ unit }: PlanRow, amount: number): string =>
  unit === "bytes" ? formatBytes(amount) : formatSeconds(amount);

function percent(off: number | null): string {
  return off === null ? "" : `${off < 0 ? "" : "+"}${(100 * off).toFixed(0)}%`;
}
