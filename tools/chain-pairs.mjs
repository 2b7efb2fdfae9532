// Writes configs/data/chain-pairs.jsonl: what the laboratory's base model itself has written, a right completion of each problem
// (chosen) beside a wrong one (rejected). Run from the root:
//   npx rlpt eval configs/quickstart.yaml --set seed=99 --set data.eval.size=1200 --set "data.eval.levels=[2,3,4,5]" \
//     --set eval.samples=8 --completions completions.jsonl
//   node tools/chain-pairs.mjs completions.jsonl
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const MOST = 640;

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const completions = readFileSync(process.argv[2], "utf8").trim().split("\n").map(JSON.parse);
const byPrompt = new Map();
for (const one of completions) byPrompt.set(one.prompt_id, [...(byPrompt.get(one.prompt_id) ?? []), one]);

const rows = [...byPrompt.values()].flatMap((group) => {
  const ended = group.filter(({ finish_reason }) => finish_reason === "eos");
  const chosen = ended.find(({ correct }) => correct);
  const rejected = ended.find(({ correct }) => !correct);
  if (chosen === undefined || rejected === undefined) return [];
  const { prompt, answer } = chosen;
  return [{ prompt, chosen: chosen.completion, rejected: rejected.completion, answer }];
});
writeFileSync(
  join(root, "configs", "data", "chain-pairs.jsonl"),
  rows
    .slice(0, MOST)
    .map((row) => `${JSON.stringify(row)}\n`)
    .join(""),
);
console.log(`${Math.min(MOST, rows.length)} pairs of ${byPrompt.size} problems`);
