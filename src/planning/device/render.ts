/** Plans for a card as text. */
import { colours, formatBytes, formatSeconds, table } from "../../terminal/terminal.ts";
import type { DevicePlan, DeviceProgram, DeviceStage } from "./plan.ts";

export function renderDevicePlan(plan: DevicePlan): string {
  const verdict = plan.fits ? colours.green("fits") : colours.red("does not fit");
  return [
    `${colours.bold(plan.config)} on ${plan.devices > 1 ? `${plan.devices} x ` : ""}${plan.card}, which ${plan.devices > 1 ? "are" : "is"} not here: compiled for ${plan.devices > 1 ? "them" : "it"}`,
    ...plan.stages.flatMap((stage) => ["", ...renderStage(stage)]),
    "",
    `${colours.bold("peak")} ${formatBytes(plan.peak_bytes)} of ${formatBytes(plan.memory_bytes)}: ${verdict}`,
    colours.dim(
      `Bytes${plan.devices > 1 ? " of each card" : ""} as the compiler reports them, for the longest prompt and completions that all reach their token limit; the driver's own memory comes on top. ` +
        `Times are estimates: no kernel faster than the card's peak rates allow, nothing for starting kernels or for the host; real steps take longer. ` +
        `${plan.compiled} programs compiled in ${formatSeconds(plan.compile_s)}.`,
    ),
  ].join("\n");
}

const count = (value: number) => value.toLocaleString("en");

function renderStage(stage: DeviceStage): string[] {
  const { programs } = stage;
  const held = [
    ["weights", stage.weights_bytes],
    ["optimizer moments", stage.moments_bytes],
    ["reference policy", stage.reference_bytes],
    ["critic, its moments and gradients", stage.critic_bytes],
  ] as const;
  return [
    `${colours.bold(stage.stage)}  ${stage.algorithm}, ${stage.steps} steps; ${count(stage.parameters)} parameters, ${count(stage.trainable)} trained; longest prompt ${stage.longest_prompt} tokens`,
    `  ${held
      .filter(([, bytes]) => bytes > 0)
      .map(([name, bytes]) => `${name} ${formatBytes(bytes)}`)
      .join(", ")}`,
    table(programs.map(row), {
      indent: 2,
      header: [
        "program",
        "runs a step",
        "arguments",
        "results",
        "temporary",
        "peak",
        "operations",
        "moved",
        "at best",
        "kernels",
      ],
      align: ["left", ...new Array<"right">(9).fill("right")],
    }),
    ...exchanged(programs),
    `  a step takes at least ${colours.bold(formatSeconds(stage.roofline_step_s))} (estimate); peak ${colours.bold(formatBytes(stage.peak_bytes))}`,
    microBatch(stage),
  ];
}

function row(program: DeviceProgram): string[] {
  const loop = program.turns > 1 ? ` (${program.turns} tokens)` : "";
  return [
    `${program.phase}${loop}`,
    program.runs === 0 ? "-" : String(program.runs),
    formatBytes(program.arguments_bytes),
    formatBytes(program.outputs_bytes),
    formatBytes(program.temporary_bytes),
    formatBytes(program.peak_bytes),
    `${(program.flops / 1e9).toPrecision(3)} G`,
    formatBytes(program.bytes),
    formatSeconds(program.roofline_s),
    program.kernels.toLocaleString("en"),
  ];
}

/** What cards exchange, by program; nothing on one card. */
function exchanged(programs: readonly DeviceProgram[]): string[] {
  const rows = programs.flatMap(({ phase, turns, collectives }) =>
    collectives.map(({ kind, runs, bytes, in_loop }) => [
      phase,
      kind,
      count(runs),
      formatBytes(bytes),
      in_loop && turns > 1 ? "with each token" : "",
    ]),
  );
  if (rows.length === 0) return [];
  return [
    "  exchanged between the cards in a step (in one run, where a program is no part of one):",
    table(rows, {
      indent: 2,
      header: ["program", "by", "times", "bytes", ""],
      align: ["left", "left", "right", "right", "left"],
    }),
  ];
}

function microBatch({ micro_batch_rows: { configured, all, largest, searched } }: DeviceStage): string {
  const now = configured === null ? `all ${all} at once` : String(configured);
  if (!searched) return `  algorithm.micro_batch_rows: ${now}`;
  if (largest === null) return `  algorithm.micro_batch_rows: ${now}; not even 1 fits`;
  const words =
    largest === all ? `all ${all} rows of an update fit at once` : `${largest} is the most that fits`;
  return `  algorithm.micro_batch_rows: ${now}; ${words}`;
}
