/** `rlpt sample`: one prompt, some completions. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { backendKinds, backendObjectOptions } from "../backend/options.ts";
import { findConfig } from "../config/load.ts";
import type { Recipe } from "../config/schema.ts";
import { ConfigError } from "../lib/errors.ts";
import { createRng } from "../lib/rng.ts";
import { openModel } from "../policy/files/model-directory.ts";
import type { ModelFiles } from "../policy/interfaces.ts";
import { encodePrompt, promptText } from "../rollouts/encode.ts";
import { generate } from "../rollouts/generate.ts";
import { isRunDirectory } from "../run/run-directory.ts";
import type { ChatMessage, Completion, Prompt } from "../types.ts";
import * as parts from "./assemble.ts";
import { resolveTarget } from "./target.ts";

/** Flags as they were typed; `sampleFrom` checks them. */
export interface SampleRequest {
  system?: string;
  raw?: boolean;
  count: string;
  maxNewTokens?: string;
  temperature: string;
  topP: string;
  seed: string;
  /** That of the config or the run when absent, else auto. */
  backend?: string;
  checkpoint?: string;
  stop: string[];
}

export async function sampleFrom(
  path: string,
  text: string | undefined,
  request: SampleRequest,
  note: (text: string) => void,
): Promise<{ promptText: string; completions: Completion[] }> {
  const count = number("--count", request.count, 1, 4096, true);
  const asked =
    request.maxNewTokens === undefined
      ? null
      : number("--max-new-tokens", request.maxNewTokens, 1, 1_000_000, true);
  const temperature = number("--temperature", request.temperature, 0, 10, false);
  const topP = number("--top-p", request.topP, 1e-9, 1, false);
  const seed = number("--seed", request.seed, 0, Number.MAX_SAFE_INTEGER, true);
  const kind = backendKind(request.backend);
  const question = text ?? readFileSync(0, "utf8").replace(/\r?\n$/, "");
  if (question === "") throw new ConfigError("the prompt is empty: rlpt sample model 'What is 7 times 8?'");

  const { recipe, files } = await open(path, request, note);
  // by the model's size, as training picks it
  const backend = await parts.assembleBackend(
    { backend: { ...recipe.backend, ...(kind === undefined ? {} : { kind }) } },
    files,
  );
  note(`backend ${backend.kind}: ${backend.description}`);
  const policy = parts.assemblePolicy(recipe, files, { trainable: false, reference: false });
  files.weights.close();
  const chat = files.tokenizer.hasChatTemplate && !request.raw;
  if (!chat && request.system !== undefined) {
    throw new ConfigError("--system needs a model with a chat template, without --raw");
  }
  const messages: ChatMessage[] = [
    ...(request.system === undefined ? [] : [{ role: "system" as const, content: request.system }]),
    { role: "user", content: question },
  ];
  const prompt: Prompt = {
    id: "sample",
    input: chat ? { kind: "chat", messages } : { kind: "text", text: question.replaceAll("\\n", "\n") },
    answer: "",
    slices: {},
    fields: {},
  };
  const { maxPositions } = policy.config;
  const tokens = encodePrompt(
    files.tokenizer,
    prompt,
    asked === null ? maxPositions - 1 : Math.max(1, maxPositions - asked),
  );
  const maxNewTokens = asked ?? Math.min(128, maxPositions - tokens.length);
  const [group] = await generate(
    policy,
    files.tokenizer,
    [{ prompt, tokens }],
    {
      temperature,
      top_p: topP,
      top_k: 0,
      min_p: 0,
      stop: request.stop,
      groupSize: count,
      maxNewTokens,
      batchRows: 64,
    },
    createRng(seed).fork("sample"),
  );
  policy.dispose();
  return { promptText: promptText(files.tokenizer, prompt), completions: group!.completions };
}

async function open(
  path: string,
  request: SampleRequest,
  note: (text: string) => void,
): Promise<{ recipe: Pick<Recipe, "model" | "seed" | "backend">; files: ModelFiles }> {
  const named =
    /\.ya?ml$/i.test(findConfig(path)) || isRunDirectory(path) || existsSync(join(path, "manifest.json"));
  if (named) {
    const which = request.checkpoint === undefined ? {} : { which: request.checkpoint };
    const { recipe } = await resolveTarget(path, which);
    return { recipe, files: await parts.openRecipeModel(recipe, note) };
  }
  const files = await openModel(path);
  for (const warning of files.warnings) note(warning);
  const recipe = { model: { path, rematerialise: false }, seed: 0, backend: backendObjectOptions.parse({}) };
  return { recipe, files };
}

/** @throws ConfigError */
function backendKind(given: string | undefined): Recipe["backend"]["kind"] | undefined {
  const kinds = ["auto", ...backendKinds] as const;
  const kind = kinds.find((one) => one === given);
  if (given !== undefined && kind === undefined)
    throw new ConfigError(`--backend ${given}: use one of ${kinds.join(", ")}`);
  return kind;
}

function number(flag: string, text: string, low: number, high: number, whole: boolean): number {
  const value = Number(text);
  if (
    text.trim() === "" ||
    !Number.isFinite(value) ||
    value < low ||
    value > high ||
    (whole && !Number.isInteger(value))
  ) {
    throw new ConfigError(`${flag} ${text}: give a ${whole ? "whole " : ""}number from ${low} to ${high}`);
  }
  return value;
}
