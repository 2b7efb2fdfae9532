/** The config of a new project, as text: commented, since it is meant to be changed. */
import type { Columns } from "./columns.ts";
import { type AnswerForm, answerIn } from "./reward-text.ts";

/** What is trained, and how its sizes follow. */
export type Start =
  /** A model of the user's. */
  | { kind: "given"; path: string; chat: boolean; lora: boolean }
  /** A miniature that comes with rlpt, or one like it, which reads these prompts. */
  | { kind: "shipped"; path: string }
  /** Random weights, a token for each character of the file. */
  | { kind: "characters"; characters: readonly string[] };

export interface Draft {
  name: string;
  /** Of the config, as people type it. */
  file: string;
  /** Relative to the config. */
  data: string;
  columns: Columns;
  form: AnswerForm;
  start: Start;
  /** Rows that do not fit are left out. */
  skipsRows: boolean;
  rows: { train: number; eval: number };
  evalShare: number;
  /** Longer prompts are cut to so many tokens; null: none is longer. */
  maxPromptTokens: number | null;
  maxNewTokens: number;
  /** Of a model that is made here, in tokens. */
  positions: number;
  /** Format of the data, where its extension does not tell. */
  format: string | null;
}

/** Longest evaluation: enough for an interval of some percent. */
const EVAL_LIMIT = 200;

const text = (value: string): string => JSON.stringify(value);

export function configText(draft: Draft): string {
  const { name, file, start, rows } = draft;
  const what = {
    given: "GRPO",
    shipped: "GRPO",
    characters: "a supervised warm-up, then GRPO,",
  }[start.kind];
  return `# ${name}: ${what} on the rows of ${draft.data}, as \`rlpt new\` begins it. Every value is yours to change.
#
#   npx rlpt validate ${file}         everything that is wrong with it and its files
#   npx rlpt train ${file} --smoke    a step or two of everything
#   npx rlpt train ${file}
#
# Every key with its default: docs/config.md of rlpt.
seed: 1
${start.kind === "characters" ? "" : "steps: 60\n"}
${modelText(draft)}

prompt:
  chat: ${start.kind === "given" && start.chat}${start.kind === "given" && start.chat ? "               # a user message of the model's chat template" : "              # the text as it is, without a chat template"}
  template: ${text(promptTemplate(draft))}${start.kind === "shipped" ? "   # as this model learnt it" : ""}

data:
  train:
${rowsText(draft, "train")}
  eval:                      # held out: never trained on
${rowsText(draft, "eval")}

rollout:
  prompts_per_step: ${Math.min(8, rows.train)}
  group_size: 8              # completions of each prompt: what differs among them is what is learnt
  max_new_tokens: ${draft.maxNewTokens}${draft.maxPromptTokens === null ? "" : `\n  max_prompt_tokens: ${draft.maxPromptTokens}`}

rewards:
  - kind: file
    name: answer
    file: reward.mjs         # yours; kind: math and kind: number are there for answers in LaTeX and in figures

${trainingText(draft)}

eval:
  every: 20
${rows.eval > EVAL_LIMIT ? `  limit: ${EVAL_LIMIT}\n` : ""}
run:
  name: ${text(name)}
  checkpoint_every: 20
`;
}

function modelText({ start, positions }: Draft): string {
  if (start.kind === "given") {
    const lora = `  rematerialise: true        # memory of one layer at a time, a third more work
  lora:                      # adapters are trained, the weights stay; without it all weights are
    rank: 16
    alpha: 32`;
    return `model:\n  path: ${text(start.path)}${start.lora ? `\n${lora}` : ""}`;
  }
  if (start.kind === "shipped") {
    return `model:
  path: ${text(start.path)}   # reads these prompts; another: a folder, a .gguf file or a Hub id`;
  }
  const tokens = ["<pad>", "<bos>", "<eos>", ...start.characters];
  return `# A miniature with random weights and a token for each character of the file: it runs anywhere within minutes and shows
# that data, reward and training fit together. For a model that knows something, write instead of init and tokenizer
#   path: HuggingFaceTB/SmolLM2-135M-Instruct       (or a folder, or a .gguf file)
# or begin anew: npx rlpt new ANOTHER --data ... --model ...
model:
  init:
    model_type: llama
    vocab_size: ${tokens.length}
    hidden_size: 96
    intermediate_size: 256
    num_hidden_layers: 3
    num_attention_heads: 4
    hidden_act: silu
    rms_norm_eps: 1.0e-5
    rope_theta: 10000
    tie_word_embeddings: false
    max_position_embeddings: ${positions}
  tokenizer:
    pad: "<pad>"
    bos: "<bos>"
    eos: "<eos>"
    tokens: [${tokens.map(text).join(", ")}]`;
}

/** What stands around each row's prompt. */
export function promptTemplate({ start, form }: Pick<Draft, "start" | "form">): string {
  if (start.kind === "shipped") return "{prompt}<think>\n";
  if (start.kind === "characters") return "{prompt}\n";
  const asked = `{prompt}\n\nThink, then end with a line of this form:\n${answerIn(form, "...")}`;
  return start.chat ? asked : `${asked}\n\n`;
}

function rowsText(draft: Draft, part: "train" | "eval"): string {
  const { data, format, columns, skipsRows, evalShare, maxPromptTokens } = draft;
  const { prompt, answer, answerPattern, slices } = columns;
  const target = targetTemplate(draft);
  return [
    `path: ${text(data)}`,
    ...(format === null ? [] : [`format: ${format}`]),
    `prompt: ${text(prompt)}`,
    `answer: ${text(answer)}`,
    ...(answerPattern === null ? [] : [`answer_pattern: '${answerPattern.replaceAll("'", "''")}'`]),
    ...(target === null
      ? []
      : [
          `target: ${text(target)}${part === "train" ? "   # what the warm-up learns" : "   # the same as above: rows are split by it too"}`,
        ]),
    ...(part === "eval" && slices.length > 0 ? [`slices: ${JSON.stringify(slices)}`] : []),
    ...(skipsRows ? ["on_bad_row: skip         # some rows do not fit; `error` names them"] : []),
    ...(maxPromptTokens === null ? [] : ["on_long: truncate        # the end of a longer text is read"]),
    `split: { part: ${part}, eval_share: ${evalShare} }`,
  ]
    .map((line) => `    ${line}`)
    .join("\n");
}

/** Passes over the rows that the warm-up makes, within bounds: a few rows are learnt by heart otherwise. */
function warmupSteps(rows: number): number {
  return Math.min(300, Math.max(60, Math.ceil((8 * rows) / 16)));
}

/** What supervised training learns to say; null where there is none. */
export function targetTemplate({
  start,
  form,
  columns,
}: Pick<Draft, "start" | "form" | "columns">): string | null {
  if (start.kind !== "characters") return null;
  // a worked solution ends in the marker and its answer already
  return columns.answerPattern === null ? answerIn(form, columns.answer) : columns.answer;
}

function trainingText({ start, rows }: Draft): string {
  if (start.kind !== "characters") {
    const lr = start.kind === "given" && start.lora ? "1.0e-4" : "2.0e-4";
    return `algorithm:
  kind: grpo${start.kind === "given" ? "\n  micro_batch_rows: 8        # completions of a forward and backward pass: fewer take less memory" : ""}

optimizer:
  lr: ${lr}
  warmup_steps: 3`;
  }
  return `algorithm:
  kind: grpo

optimizer:
  lr: 5.0e-4
  beta2: 0.98

stages:
  - name: warm-up            # random weights answer nothing: first a few passes over right answers
    steps: ${warmupSteps(rows.train)}
    algorithm: { kind: sft, rows_per_step: 16 }
    optimizer: { lr: 3.0e-3, warmup_steps: 10 }
  - name: grpo               # then by reward alone
    steps: 60`;
}
