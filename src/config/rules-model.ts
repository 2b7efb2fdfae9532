/** Rules about the model: what may stand together, and what its config.json allows. */
import { join } from "node:path";
import { algorithmOf } from "../algorithms/kinds.ts";
import { readRegularFile } from "../lib/regular-file.ts";
import type { Rule } from "./rules.ts";
import type { RecipeInput } from "./schema.ts";

interface ModelFacts {
  /** Where they come from, for messages. */
  source: string;
  vocabulary: number | null;
  positions: number | null;
  hidden: number | null;
}

function positive(value: unknown): number | null {
  return typeof value === "number" && Number.isInteger(value) && value > 0 ? value : null;
}

/** What can be known of a model without loading it: from `init`, or a local config.json. */
function modelFacts(model: RecipeInput["model"]): ModelFacts {
  let config: Readonly<Record<string, unknown>> = model.init ?? {};
  if (model.path !== undefined) {
    try {
      config = JSON.parse(
        new TextDecoder().decode(readRegularFile(join(model.path, "config.json"), 16e6)),
      ) as typeof config;
      // of a model that sees pictures, its language part
      const text = config["text_config"];
      if (typeof text === "object" && text !== null) config = text as typeof config;
    } catch {
      // a Hub id, a GGUF file, or a broken file that loading will describe
    }
  }
  return {
    source: model.init ? "model.init" : "the model's config.json",
    vocabulary: positive(config["vocab_size"]),
    positions: model.max_positions ?? positive(config["max_position_embeddings"]),
    hidden: positive(config["hidden_size"]),
  };
}

const oneSource: Rule = ({ model }, { report }) => {
  if (!model) return;
  if (model.path === undefined && model.init === undefined) {
    const reason = "it names no weights";
    report({
      rule: "model_source",
      path: "model",
      reason,
      fix: "add path (a directory, .gguf file or Hub id), or init",
    });
  }
  if (model.path !== undefined && model.init !== undefined) {
    const reason = "weights come from model.path, and init asks for random ones";
    report({
      rule: "model_source",
      path: "model.init",
      uses: ["model.path"],
      reason,
      fix: "keep one of the two",
    });
  }
};

const tokenizer: Rule = ({ model }, { report }) => {
  if (!model) return;
  if (model.init !== undefined && model.path === undefined && model.tokenizer === undefined) {
    const reason = "a new model needs a tokenizer";
    report({
      rule: "tokenizer",
      path: "model.init",
      uses: ["model.tokenizer"],
      reason,
      fix: "add model.tokenizer",
    });
  }
  if (model.path !== undefined && model.tokenizer !== undefined) {
    const reason = "the model in model.path brings its own";
    report({ rule: "tokenizer", path: "model.tokenizer", uses: ["model.path"], reason, fix: "remove it" });
  }
  if (typeof model.tokenizer !== "object") return;
  const { tokens, pad, bos, eos } = model.tokenizer;
  const seen = new Set<string>();
  for (const [index, token] of tokens.entries()) {
    if (seen.has(token)) {
      const reason = "this token is in the vocabulary twice";
      report({ rule: "vocabulary", path: `model.tokenizer.tokens.${index}`, reason, fix: "remove one" });
    }
    seen.add(token);
  }
  for (const [role, token] of Object.entries({ pad, bos, eos })) {
    if (token === undefined || seen.has(token)) continue;
    const reason = "it is not one of tokens";
    report({
      rule: "vocabulary",
      path: `model.tokenizer.${role}`,
      uses: ["model.tokenizer.tokens"],
      reason,
      fix: "add it to tokens, or name one that is there",
    });
  }
  const size = positive(model.init?.["vocab_size"]);
  if (size !== null && size < tokens.length) {
    const reason = `the tokenizer has ${tokens.length} tokens, more than the model has rows for`;
    report({
      rule: "vocabulary",
      path: "model.init.vocab_size",
      uses: ["model.tokenizer"],
      reason,
      fix: `use ${tokens.length}`,
    });
  }
};

const lora: Rule = ({ model }, { report }) => {
  if (!model?.lora) return;
  if (model.init !== undefined) {
    const reason =
      "an adapter corrects weights that know something; those of model.init are random and would stay so";
    report({
      rule: "lora_init",
      path: "model.lora",
      uses: ["model.init"],
      reason,
      fix: "remove lora, or start from model.path",
    });
  }
  const { hidden } = modelFacts(model);
  if (hidden !== null && model.lora.rank > hidden) {
    const reason = `a rank above hidden_size = ${hidden} costs more than training the weights themselves`;
    report({ rule: "lora_rank", path: "model.lora.rank", uses: ["model.path"], reason, fix: "use 8 to 64" });
  }
};

const baseDtype: Rule = ({ model }, { report }) => {
  if (model?.base_dtype === undefined || model.lora) return;
  report({
    rule: "base_dtype",
    path: "model.base_dtype",
    uses: ["model.lora"],
    reason:
      "without lora every weight is trained, and steps of training are smaller than steps between codes",
    fix: "add model.lora, or remove base_dtype",
  });
};

/** Most tokens of a row, and that in words; null where nothing says. */
export function modelPositions(model: RecipeInput["model"]): { count: number; limit: string } | null {
  const { positions, source } = modelFacts(model);
  if (positions === null) return null;
  const limit =
    model.max_positions === undefined ? `${positions} positions (${source})` : `max_positions = ${positions}`;
  return { count: positions, limit };
}

const lengths: Rule = ({ rollout, algorithm, data, eval: evaluation }, { report, positions: most }) => {
  const known = most();
  if (known === null) return;
  const { count: positions, limit } = known;
  const uses = ["model.max_positions", "model.path", "rollout.max_prompt_tokens"];
  const samples = (algorithm !== undefined && algorithmOf(algorithm).samples) || data?.eval !== undefined;
  if (!rollout || !samples) return;
  const prompt = rollout.max_prompt_tokens ?? 1;
  const given = rollout.max_prompt_tokens === undefined ? "a prompt" : `max_prompt_tokens = ${prompt}`;
  const keys: [string, number | undefined][] = [
    ["rollout.max_new_tokens", rollout.max_new_tokens],
    ["eval.max_new_tokens", evaluation?.max_new_tokens],
  ];
  for (const [path, tokens] of keys) {
    if (tokens === undefined || prompt + tokens <= positions) continue;
    const reason = `with ${given} it exceeds the model's ${limit}`;
    const fix = prompt < positions ? `use ${positions - prompt} or less` : "lower max_prompt_tokens";
    report({ rule: "positions", path, uses, reason, fix });
  }
};

const topK: Rule = ({ model, rollout, eval: evaluation }, { report }) => {
  if (!model) return;
  const { vocabulary, source } = modelFacts(model);
  if (vocabulary === null) return;
  const reason = `the vocabulary has ${vocabulary} tokens (${source}), so it would keep all of them`;
  const keys: [string, number | undefined][] = [
    ["rollout.top_k", rollout?.top_k],
    ["eval.top_k", evaluation?.top_k],
  ];
  for (const [path, value] of keys) {
    if (value === undefined || value < vocabulary) continue;
    report({
      rule: "top_k",
      path,
      uses: ["model.path", "model.init"],
      reason,
      fix: "use 0 (off) or fewer",
    });
  }
};

export const modelRules: readonly Rule[] = [oneSource, tokenizer, lora, baseDtype, lengths, topK];
