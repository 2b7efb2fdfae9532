/** `rlpt sample`: one prompt, some completions. */
import { readFileSync } from "node:fs";
import { ConfigError } from "../lib/errors.ts";
import { flagNumber } from "../lib/flag-number.ts";
import { createRng } from "../lib/rng.ts";
import { encodePrompt, promptText } from "../rollouts/encode.ts";
import { generate } from "../rollouts/generate.ts";
import type { Completion, Prompt } from "../types.ts";
import { openPolicyAsTrained } from "./open-policy.ts";
import { imageFiles, questionInput } from "./sample-pictures.ts";

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
  /** Picture files, in the order in which the prompt shows them. */
  image?: string[];
}

export async function sampleFrom(
  path: string,
  text: string | undefined,
  request: SampleRequest,
  note: (text: string) => void,
): Promise<{ promptText: string; completions: Completion[] }> {
  const count = flagNumber("--count", request.count, 1, 4096, true);
  const asked =
    request.maxNewTokens === undefined
      ? null
      : flagNumber("--max-new-tokens", request.maxNewTokens, 1, 1_000_000, true);
  const temperature = flagNumber("--temperature", request.temperature, 0, 10, false);
  const topP = flagNumber("--top-p", request.topP, 1e-9, 1, false);
  const seed = flagNumber("--seed", request.seed, 0, Number.MAX_SAFE_INTEGER, true);
  const question = text ?? readFileSync(0, "utf8").replace(/\r?\n$/, "");
  if (question === "") throw new ConfigError("the prompt is empty: rlpt sample model 'What is 7 times 8?'");

  const pictures = imageFiles(request.image ?? []);

  // by the model's size, as training picks it
  const { files, policy } = await openPolicyAsTrained(request.backend, path, request.checkpoint, note);
  files.weights.close();
  const chat = files.tokenizer.hasChatTemplate && !request.raw;
  if (!chat && request.system !== undefined) {
    throw new ConfigError("--system needs a model with a chat template, without --raw");
  }
  const prompt: Prompt = {
    id: "sample",
    input: questionInput(
      chat ? question : question.replaceAll("\\n", "\n"),
      pictures,
      files.tokenizer.pictures,
      {
        chat,
        system: request.system,
      },
    ),
    answer: "",
    slices: {},
    fields: {},
  };
  const { maxPositions } = policy.config;
  const encoded = encodePrompt(
    files.tokenizer,
    prompt,
    asked === null ? maxPositions - 1 : Math.max(1, maxPositions - asked),
  );
  const maxNewTokens = asked ?? Math.min(128, maxPositions - encoded.tokens.length);
  const [group] = await generate(
    policy,
    files.tokenizer,
    [{ prompt, ...encoded }],
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
