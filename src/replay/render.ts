/** A replay as text, and its advantage table as CSV records. */
import type { SampleRecord } from "../run/samples.ts";
import { colours, table, terminalWidth, wrapText } from "../terminal/terminal.ts";
import type { Direction } from "./directions.ts";
import type { ComparedLoss } from "./losses.ts";
import type { Replay } from "./replay.ts";

/** Metrics that say what an update did; all others are shown when they change. */
const GLANCES = [
  "reward/mean",
  "advantage/mean",
  "advantage/std",
  "policy/clip_fraction",
  "policy/ratio_max",
  "policy/update_kl",
  "policy/kl",
  "optim/grad_norm",
  "optim/clipped",
  "optim/lr",
];
const LOSS = /\/loss$/;
const INCOMPARABLE = /^(time\/|memory\/|step$|stage$)/;

export function renderReplay(replay: Replay, rows: number): string {
  const { original, changed } = replay;
  const blocks = [heading(replay), storedWords(replay)];
  if (changed !== null) {
    blocks.push(
      table(
        changed.settings.map(({ path, was, is }) => [
          path,
          JSON.stringify(was),
          "->",
          JSON.stringify(is) ?? "absent",
        ]),
        { indent: 2 },
      ),
    );
  }
  const names = metricNames(replay);
  blocks.push(
    table(
      names.map((name) => [
        name,
        digits(original.metrics[name]),
        ...(changed === null ? [] : [digits(changed.step.metrics[name])]),
      ]),
      {
        indent: 2,
        header: ["", "as it was", ...(changed === null ? [] : ["changed"])],
        align: ["left", "right", "right"],
      },
    ),
  );
  if (changed !== null) blocks.push(directionTable(changed));
  if (replay.losses !== null) blocks.push(lossTable(replay.losses));
  if (original.samples.length > 0) blocks.push(advantageTable(replay, rows));
  return blocks.join("\n\n");
}

function heading({ step, stage, algorithm, from }: Replay): string {
  const start = from === 0 ? "the run's beginning" : `checkpoint ${from}`;
  return `${colours.bold(`step ${step}`)} of stage ${stage} (${algorithm}), made again from ${start}`;
}

function storedWords({ step, stored }: Replay): string {
  const say = (good: boolean, text: string) => (good ? colours.green(text) : colours.red(text));
  const checks = [];
  if (stored.weights !== null) {
    checks.push(
      say(
        stored.weights,
        stored.weights
          ? "weights and moments: equal to the checkpoint's, byte for byte"
          : "weights: NOT those of the checkpoint",
      ),
    );
  } else checks.push(colours.dim(`weights: the run keeps no checkpoint of step ${step} to compare with`));
  if (stored.metrics !== null) {
    const good = stored.metrics.length === 0;
    checks.push(
      say(
        good,
        good
          ? "metrics: equal to metrics.csv in every digit"
          : `metrics: differ in ${stored.metrics.join(", ")}`,
      ),
    );
  }
  if (stored.samples !== null) {
    const { compared, differing } = stored.samples;
    checks.push(
      say(
        differing === 0,
        `completions: ${compared - differing} of ${compared} in samples.jsonl are the same`,
      ),
    );
  }
  return checks.map((one) => `  ${one}`).join("\n");
}

function metricNames({ original, changed }: Replay): string[] {
  const known = Object.keys({ ...original.metrics, ...changed?.step.metrics });
  const shown = [
    ...known.filter((name) => LOSS.test(name)),
    ...GLANCES.filter((name) => known.includes(name)),
  ];
  if (changed === null) return shown;
  const moved = known.filter(
    (name) => !INCOMPARABLE.test(name) && original.metrics[name] !== changed.step.metrics[name],
  );
  return [...shown, ...moved.filter((name) => !shown.includes(name))];
}

function directionTable({ gradient, update }: NonNullable<Replay["changed"]>): string {
  const row = (name: string, { norm, changedNorm, cosine }: Direction) => [
    name,
    norm.toPrecision(4),
    changedNorm.toPrecision(4),
    cosine === null ? "-" : cosine.toFixed(4),
  ];
  return table([row("gradient", gradient), row("change of the weights", update)], {
    indent: 2,
    header: ["", "norm", "changed", "cosine"],
    align: ["left", "right", "right", "right"],
  });
}

function lossTable(losses: readonly ComparedLoss[]): string {
  const share = (value: number) => `${(100 * value).toFixed(1)}%`;
  const body = losses.map(({ loss, own, value, gradientNorm, cosine, held, effectiveSampleSize }) => [
    own ? `${loss} (its own)` : loss,
    value.toPrecision(3),
    gradientNorm.toPrecision(4),
    cosine === null ? "-" : cosine.toFixed(4),
    share(held),
    effectiveSampleSize === null ? "-" : share(effectiveSampleSize),
  ]);
  const updates = losses[0]?.updates ?? 0;
  const note =
    updates === 1
      ? "one update a step: its ratios are 1, where most losses are one; --set algorithm.minibatches=4 shows them apart"
      : `gradients of ${updates} updates, each loss at the weights that the step had there`;
  return [
    table(body, {
      indent: 2,
      header: ["loss", "value", "gradient", "cosine", "held", "sample size"],
      align: ["left", "right", "right", "right", "right", "right"],
    }),
    wrapText(note, terminalWidth() - 2)
      .map((line) => colours.dim(`  ${line}`))
      .join("\n"),
  ].join("\n");
}

/** A row for each loss, for --csv. */
export function lossRecords(losses: readonly ComparedLoss[]): Record<string, string | number>[] {
  return losses.map(({ own, cosine, effectiveSampleSize, gradientNorm, ...rest }) => ({
    ...rest,
    own: own ? 1 : 0,
    gradient_norm: gradientNorm,
    cosine: cosine ?? "",
    effective_sample_size: effectiveSampleSize ?? "",
  }));
}

/** Completions whose advantage moves most first; without changes, in order. */
function advantageTable({ original, changed }: Replay, rows: number): string {
  const before = original.samples;
  const after = changed?.step.samples;
  const moved = (i: number) => Math.abs((after?.[i]?.advantage ?? 0) - (before[i]!.advantage ?? 0));
  const order = before.map((_, i) => i);
  if (after !== undefined) order.sort((a, b) => moved(b) - moved(a));
  const shown = order.slice(0, rows);
  const width = Math.max(12, terminalWidth() - (after === undefined ? 46 : 66));
  const body = shown.map((i) => [
    before[i]!.prompt_id,
    String(before[i]!.sample_index),
    before[i]!.reward.toFixed(3),
    ...(after === undefined ? [] : [after[i]!.reward.toFixed(3)]),
    signed(before[i]!.advantage),
    ...(after === undefined ? [] : [signed(after[i]!.advantage)]),
    cut(before[i]!.completion.replaceAll("\n", "\\n"), width),
  ]);
  const header =
    after === undefined
      ? ["prompt", "", "reward", "advantage", "completion"]
      : ["prompt", "", "reward", "changed", "advantage", "changed", "completion"];
  const align = header.map(
    (name) => (["prompt", "completion"].includes(name) ? "left" : "right") as "left" | "right",
  );
  const count = after === undefined ? 0 : order.filter((i) => moved(i) > 1e-9).length;
  const flips =
    after === undefined
      ? 0
      : order.filter((i) => (before[i]!.advantage ?? 0) * (after[i]!.advantage ?? 0) < 0).length;
  const notes = [
    ...(shown.length < order.length
      ? [`${shown.length} of ${order.length} completions; --rows or --csv shows more`]
      : []),
    ...(after === undefined ? [] : [`${count} advantages move, ${flips} change their sign`]),
  ];
  return [table(body, { indent: 2, header, align }), colours.dim(`  ${notes.join("; ")}`)]
    .join("\n")
    .trimEnd();
}

/** Every completion of the batch, for --csv. */
export function advantageRecords({ original, changed }: Replay): Record<string, string | number>[] {
  const cells = (sample: SampleRecord, suffix: string) => ({
    [`reward${suffix}`]: sample.reward,
    [`advantage${suffix}`]: sample.advantage ?? "",
    ...Object.fromEntries(
      Object.entries(sample.parts).map(([name, { value }]) => [`part/${name}${suffix}`, value]),
    ),
  });
  return original.samples.map((sample, i) => ({
    prompt_id: sample.prompt_id,
    sample_index: sample.sample_index,
    tokens: sample.tokens,
    finish_reason: sample.finish_reason,
    ...cells(sample, ""),
    ...(changed === null ? {} : cells(changed.step.samples[i]!, "_changed")),
    completion: sample.completion,
  }));
}

const signed = (value: number | undefined): string =>
  value === undefined ? "" : `${value < 0 ? "" : "+"}${value.toFixed(3)}`;

const digits = (cell: string | undefined): string =>
  cell === undefined ? "-" : Number.isNaN(Number(cell)) ? cell : String(Number(Number(cell).toPrecision(6)));

const cut = (text: string, width: number): string =>
  text.length <= width ? text : `${text.slice(0, width - 3)}...`;
