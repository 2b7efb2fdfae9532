/** Folders whose reports show the pictures of papers: runs on base and new classes, a selection, a sweep. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeRun } from "./run-files.ts";

const head =
  "step,stage,dataset,slice,prompts,completions,correct,accuracy,accuracy_low,accuracy_high,interval,reward_mean,tokens_mean,thinking,truncated,unparsed";

/** Accuracies of base, new, D0, D1 at one step. */
const evaluation = (step: number, [base, fresh, d0, d1]: readonly number[]) =>
  Object.entries({ all: base, "split=base": base, "split=new": fresh, "dataset=D0": d0, "dataset=D1": d1 })
    .map(([slice, value]) => `${step},s,items,${slice},10,10,5,${value},0,1,wilson,0,3,0,0,0`)
    .join("\n");

/** A run of task items whose every accuracy is 0.5 before training. @param after base, new, D0, D1 at its end */
export function writeTransferRun(
  root: string,
  { name, dataset, seed, lr }: { name: string; dataset: number; seed: number; lr: number },
  after: readonly number[],
): string {
  return writeRun(join(root, `${name}-lr${lr}-D${dataset}-s${seed}`), {
    recipe: `seed: ${seed}\nmodel: { path: /home/somebody/models/base }\noptimizer: { lr: ${lr} }\nrun: { name: ${name} }\ndata: { train: { kind: items, dataset: ${dataset} }, eval: { kind: items, mode: direct } }\n`,
    metrics: "step,stage,reward/mean\n1,s,0.5\n",
    evaluations: `${head}\n${evaluation(0, [0.5, 0.5, 0.5, 0.5])}\n${evaluation(1, after)}\n`,
  });
}

/** Six prompts, two kept; one has no score, one lies far below the others. */
export function writeSelection(directory: string): string {
  mkdirSync(directory);
  const write = (name: string, text: string) => writeFileSync(join(directory, name), text);
  write("selection.json", JSON.stringify({ pool: 6, selected: 2, without_score: 1 }));
  write(
    "scores.csv",
    "id,score,selected,epochs_seen,epoch_0,epoch_1\na,0.8,1,2,0.5,0.75\nb,0.15,1,2,0.5,0.5\nc,0.15,0,2,0.25,0.5\nd,0,0,2,1,1\ne,-7,0,2,0,0.25\nf,,0,0,,\n",
  );
  return directory;
}

/** Points that crowd at both ends, as fronts do. */
export function writeSweep(directory: string): string {
  mkdirSync(directory);
  const points = [
    ["think-all", "end", 0.983, 1],
    ["off-1", "end", 0.94, 0.8],
    ["off-4", "end", 0.538, 0.014],
    ["full-cot", "start", 0.964, 1],
    ["full-cot", "end", 0.99, 1],
    ["no-cot", "start", 0.59, 0],
    ["no-cot", "end", 0.507, 0],
  ];
  const rows = points.map(
    ([point, when, score, trigger]) => `${point},1,${when},-0.3,9,${score},${trigger},20,,,,false,0.5`,
  );
  writeFileSync(
    join(directory, "pareto.csv"),
    `point,seed,when,rewards.2.weight,step,score,trigger,tokens,precision,recall,f1,dominated,hypervolume\n${rows.join("\n")}\n`,
  );
  return directory;
}
