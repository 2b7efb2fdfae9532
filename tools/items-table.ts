/** Arms x datasets x seeds on task `items`; started by items-table.mjs. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { parse } from "csv-parse/sync";
import { stringify } from "csv-stringify/sync";
import {
  otherMean,
  pairedDifference,
  summariseArms,
  type TransferRun,
  transferMatrix,
} from "../src/report/transfer.ts";

/** Name, config, what is set beside dataset and seed. */
const ARMS: Readonly<Record<string, { config: string; set: readonly string[] }>> = {
  "sft-1e-3": { config: "items-sft", set: ["optimizer.lr=1e-3"] },
  "cls-rl": { config: "cls-rl", set: [] },
  "no-thinking": { config: "no-thinking", set: [] },
  "sft-3e-4": { config: "items-sft", set: ["optimizer.lr=3e-4"] },
  "sft-1e-4": { config: "items-sft", set: ["optimizer.lr=1e-4"] },
};

type Row = Record<string, string>;

function readRows(file: string): Row[] {
  return parse(readFileSync(file), { columns: true }) as Row[];
}

/** The last evaluation of a file, or the first. */
function toRun(arm: string, dataset: string, seed: number, rows: readonly Row[], first = false): TransferRun {
  const steps = rows.map((row) => Number(row["step"]));
  const step = first ? Math.min(...steps) : Math.max(...steps);
  const find = (slice: string) => {
    const row = rows.find((one) => Number(one["step"]) === step && one["slice"] === slice);
    if (row === undefined) throw new Error(`${arm} ${dataset} seed ${seed}: no slice ${slice}`);
    return row;
  };
  const accuracy = (slice: string) => Number(find(slice)["accuracy"]);
  const others = ["D0", "D1", "D2"].filter((name) => name !== dataset);
  return {
    arm,
    dataset,
    seed,
    base: accuracy("split=base"),
    fresh: accuracy("split=new"),
    others: Object.fromEntries(others.map((name) => [name, accuracy(`dataset=${name}`)])),
    tokens: Number(find("all")["tokens_mean"]),
  };
}

function print(line = ""): void {
  process.stdout.write(`${line}\n`);
}

function showTable(title: string, runs: readonly TransferRun[]): void {
  print(`\n${title}`);
  print("arm                  runs   base    new      H  other  tokens");
  for (const row of summariseArms(runs)) {
    const cells = [row.base, row.fresh, row.harmonic, row.other].map((value) => value.toFixed(3).padStart(6));
    print(
      `${row.arm.padEnd(20)} ${String(row.runs).padStart(4)} ${cells.join(" ")} ${row.tokens.toFixed(1).padStart(7)}`,
    );
  }
}

function showMatrix(arm: string, runs: readonly TransferRun[], zero: readonly TransferRun[]): void {
  const matrix = transferMatrix(runs, zero);
  print(`\n${arm} minus zero-shot: trained on the row, tested on the column (own dataset: new classes)`);
  for (const [row, cells] of Object.entries(matrix)) {
    const shown = Object.entries(cells).map(
      ([name, value]) => `${name} ${value >= 0 ? "+" : ""}${value.toFixed(3)}`,
    );
    print(`  ${row}: ${shown.join("  ")}`);
  }
}

function showPairs(title: string, first: readonly TransferRun[], second: readonly TransferRun[]): void {
  if (first.length === 0 || second.length === 0) return;
  const measures = {
    base: (run: TransferRun) => run.base,
    new: (run: TransferRun) => run.fresh,
    other: otherMean,
  };
  const shown = Object.entries(measures).map(([name, value]) => {
    const d = pairedDifference(first, second, value);
    return `${name} ${d.mean >= 0 ? "+" : ""}${d.mean.toFixed(3)} (${d.standardError.toFixed(3)}), ${d.larger} of ${d.pairs}`;
  });
  print(`${title}: ${shown.join("; ")}`);
}

export async function main(args: string[], root: string): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      out: { type: "string", default: join("runs", "items") },
      arms: { type: "string", default: Object.keys(ARMS).join(",") },
      datasets: { type: "string", default: "0,1,2" },
      seeds: { type: "string", default: "1,2,3" },
      "table-only": { type: "boolean", default: false },
    },
  });
  const out = values.out;
  mkdirSync(out, { recursive: true });
  const rlpt = (rest: readonly string[]): void => {
    const done = spawnSync(process.execPath, [join(root, "bin", "rlpt.js"), ...rest], { encoding: "utf8" });
    if (done.status !== 0)
      throw new Error(`rlpt ${rest.join(" ")} ended with ${done.status}\n${done.stderr}`);
  };
  const sampled: TransferRun[] = [];
  const greedy: TransferRun[] = [];
  for (const seed of values.seeds.split(",").map(Number)) {
    for (const number of values.datasets.split(",").map(Number)) {
      for (const arm of values.arms.split(",")) {
        const spec = ARMS[arm];
        if (spec === undefined) throw new Error(`no arm ${arm}: there are ${Object.keys(ARMS).join(", ")}`);
        const dataset = `D${number}`;
        const set = [`data.train.dataset=${number}`, `data.eval.dataset=${number}`, ...spec.set];
        const flags = [...set.flatMap((one) => ["--set", one]), "--seed", String(seed)];
        const config = join(root, "configs", `${spec.config}.yaml`);
        const run = join(out, `${arm}-${dataset}-s${seed}`);
        const csv = `${run}.greedy.csv`;
        const zeroName = spec.config === "cls-rl" ? "zero-shot thinking" : "zero-shot direct";
        const zeroCsv = join(out, `${zeroName.replace(" ", "-")}-${dataset}-s${seed}.greedy.csv`);
        if (!values["table-only"]) {
          if (!existsSync(join(run, "checkpoints", "000080", "manifest.json"))) {
            rmSync(run, { recursive: true, force: true }); // seconds of a run that was broken off
            rlpt(["train", config, "--out", run, ...flags]);
          }
          if (!existsSync(csv)) rlpt(["eval", run, "--temperature", "0", "--csv", csv]);
          if (!existsSync(zeroCsv)) rlpt(["eval", config, ...flags, "--temperature", "0", "--csv", zeroCsv]);
          print(`${run} done`);
        }
        if (!existsSync(csv)) continue;
        const rows = readRows(join(run, "eval.csv"));
        const isNew = (list: TransferRun[]) =>
          !list.some((one) => one.arm === zeroName && one.dataset === dataset && one.seed === seed);
        if (isNew(sampled)) {
          sampled.push(toRun(zeroName, dataset, seed, rows, true));
          greedy.push(toRun(zeroName, dataset, seed, readRows(zeroCsv)));
        }
        sampled.push(toRun(arm, dataset, seed, rows));
        greedy.push(toRun(arm, dataset, seed, readRows(csv)));
      }
    }
  }
  const table = [
    ...sampled.map((run) => ({ ...run, decoding: "T=1" })),
    ...greedy.map((run) => ({ ...run, decoding: "greedy" })),
  ];
  writeFileSync(
    join(out, "items.csv"),
    stringify(
      table.map(({ others, fresh, ...run }) => ({ ...run, new: fresh, other: otherMean({ others }) })),
      { header: true },
    ),
  );
  showTable("T = 1", sampled);
  showTable("greedy", greedy);
  const of = (arm: string) => sampled.filter((run) => run.arm === arm);
  for (const [arm, zero] of [
    ["no-thinking", "zero-shot direct"],
    ["cls-rl", "zero-shot thinking"],
    ["sft-1e-3", "zero-shot direct"],
  ] as const) {
    if (of(arm).length > 0) showMatrix(arm, of(arm), of(zero));
  }
  print("\npaired differences at T = 1 (standard error over runs), runs in which the first is higher");
  showPairs("no-thinking - zero-shot", of("no-thinking"), of("zero-shot direct"));
  showPairs("no-thinking - cls-rl", of("no-thinking"), of("cls-rl"));
  showPairs("cls-rl - sft 1e-3", of("cls-rl"), of("sft-1e-3"));
  showPairs("cls-rl - sft 3e-4", of("cls-rl"), of("sft-3e-4"));
  showPairs("sft 1e-3 - zero-shot", of("sft-1e-3"), of("zero-shot direct"));
  return 0;
}
