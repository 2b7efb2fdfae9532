/** Run directories written by hand: what reports and comparisons read, without a training. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface WrittenRun {
  recipe?: string;
  metrics?: string;
  evaluations?: string;
  evaluationPrompts?: string;
  samples?: readonly object[];
  provenance?: object;
}

export function writeRun(directory: string, files: WrittenRun): string {
  mkdirSync(directory, { recursive: true });
  const write = (name: string, text: string | undefined) => {
    if (text !== undefined) writeFileSync(join(directory, name), text);
  };
  write("recipe.yaml", files.recipe ?? "seed: 1\nmodel: { path: m }\nrun: { name: trial }\n");
  write("metrics.csv", files.metrics);
  write("eval.csv", files.evaluations);
  write("eval-prompts.csv", files.evaluationPrompts);
  write("samples.jsonl", files.samples?.map((sample) => `${JSON.stringify(sample)}\n`).join(""));
  write("provenance.json", files.provenance && JSON.stringify(files.provenance));
  return directory;
}

const head = "step,stage,dataset,prompt_id,slices,completions,correct,thinking,tokens_mean,reward_mean";

/** eval-prompts.csv. @param right by step: one character a prompt, 1 is right */
export function promptTable(right: Record<number, string>): string {
  const rows = Object.entries(right).flatMap(([step, text]) =>
    [...text].map((bit, i) => `${step},s,d,p${i},level=${(i % 2) + 1},1,${bit},,${10 + i},${bit}`),
  );
  return `${[head, ...rows].join("\n")}\n`;
}
