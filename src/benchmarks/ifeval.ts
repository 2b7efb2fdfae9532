import { type Benchmark, type BenchmarkRow, textOf } from "./define.ts";
import { follows, followsLoosely, type InstructionArguments, instructionIds } from "./instructions.ts";

interface Instruction {
  id: string;
  given: InstructionArguments;
}

function instructionsOf(row: BenchmarkRow): Instruction[] {
  const ids = Array.isArray(row["instruction_id_list"]) ? row["instruction_id_list"].map(String) : [];
  const given = Array.isArray(row["kwargs"]) ? (row["kwargs"] as (InstructionArguments | null)[]) : [];
  return ids.map((id, i) => ({ id, given: given[i] ?? {} }));
}

const each = (check: typeof follows) => (reply: string, row: BenchmarkRow) =>
  instructionsOf(row).map(({ id, given }) => check(id, given, reply));
const all = (check: typeof follows) => (reply: string, row: BenchmarkRow) =>
  each(check)(reply, row).every(Boolean);

export const ifeval = {
  name: "ifeval",
  version: 1,
  source: {
    paper: "Zhou et al. 2023, arXiv:2311.07911",
    dataset: { hub: "google/IFEval", split: "train" },
    licence: "Apache-2.0",
    protocol: "lm-evaluation-harness, ifeval",
  },
  columns: ["prompt", "instruction_id_list", "kwargs"],
  output: "generate_until",
  until: [],
  maxTokens: 1280,
  input: (row) => textOf(row, "prompt"),
  gold: (row) =>
    instructionsOf(row)
      .map(({ id }) => id)
      .join(", "),
  // which language a text is in takes a trained detector
  leavesOut: (row) => instructionsOf(row).some(({ id }) => !instructionIds.includes(id)),
  metrics: [
    { name: "prompt_level_strict_acc", filter: "none", score: all(follows) },
    { name: "inst_level_strict_acc", filter: "none", score: each(follows) },
    { name: "prompt_level_loose_acc", filter: "none", score: all(followsLoosely) },
    { name: "inst_level_loose_acc", filter: "none", score: each(followsLoosely) },
  ],
} satisfies Benchmark;
