/** What OpenAI's API takes and gives: chat completions and completions (platform.openai.com/docs/api-reference). */
import { z } from "zod";
import type { DecodedRow, DecodedToken } from "../rollouts/decode.ts";
import type { ChatMessage, Tokenizer } from "../types.ts";

/** A fault as clients of the API expect it. */
export class ApiError extends Error {
  readonly status: number;
  readonly body: { message: string; type: string; param: string | null; code: string | null };
  constructor(
    status: number,
    message: string,
    { param = null, code = null }: { param?: string | null; code?: string | null } = {},
  ) {
    super(message);
    this.status = status;
    const type =
      status >= 500 ? "server_error" : status === 429 ? "rate_limit_error" : "invalid_request_error";
    this.body = { message, type, param, code };
  }
}

const shared = {
  model: z.string(),
  temperature: z.number().min(0).max(10).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: z.int().min(0).nullish(),
  min_p: z.number().min(0).lt(1).nullish(),
  n: z.int().min(1).max(128).nullish(),
  seed: z.int().min(0).nullish(),
  stop: z.union([z.string().min(1), z.array(z.string().min(1)).max(16)]).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  max_tokens: z.int().min(1).nullish(),
  // change nothing, at these values
  frequency_penalty: z.literal(0).nullish(),
  presence_penalty: z.literal(0).nullish(),
  user: z.unknown().optional(),
  metadata: z.unknown().optional(),
  store: z.unknown().optional(),
};

const textPart = z.object({ type: z.literal("text"), text: z.string() });
const chatRequest = z.strictObject({
  ...shared,
  messages: z
    .array(
      z.object({
        role: z.enum(["system", "user", "assistant"]),
        content: z.union([z.string(), z.array(textPart).min(1)]),
      }),
    )
    .min(1),
  max_completion_tokens: z.int().min(1).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  response_format: z.object({ type: z.literal("text") }).nullish(),
});

const completionRequest = z.strictObject({
  ...shared,
  prompt: z.union([
    z.string(),
    z.array(z.string()).min(1),
    z.array(z.int().min(0)).min(1),
    z.array(z.array(z.int().min(0)).min(1)).min(1),
  ]),
  logprobs: z.int().min(0).max(20).nullish(),
  echo: z.literal(false).nullish(),
  best_of: z.literal(1).nullish(),
});

/** Both endpoints' requests in one form. */
export interface GenerationRequest {
  kind: "chat" | "completion";
  model: string;
  /** One entry per prompt. */
  prompts: readonly (string | readonly number[] | { messages: ChatMessage[] })[];
  temperature: number;
  top_p: number;
  top_k: number;
  min_p: number;
  n: number;
  seed: number | null;
  stop: readonly string[];
  stream: boolean;
  includeUsage: boolean;
  maxTokens: number | null;
  topLogprobs: number | null;
}

function parsed<T>(schema: z.ZodType<T>, body: unknown): T {
  const found = schema.safeParse(body);
  if (found.success) return found.data;
  const said = found.error.issues.map((issue) => {
    const path = issue.path.join(".");
    if (issue.code === "unrecognized_keys")
      return `${issue.keys.join(", ")}: not supported here; leave it out`;
    return path === "" ? issue.message : `${path}: ${issue.message}`;
  });
  const first = found.error.issues[0]!;
  const param = first.code === "unrecognized_keys" ? first.keys[0]! : first.path.join(".") || null;
  throw new ApiError(400, said.join("; "), { param });
}

const part = z.object({ type: z.unknown() });
/** Messages whose content is a list. */
const listed = z.object({
  messages: z.array(z.object({ content: z.array(part).catch([]) }).catch({ content: [] })),
});

/** @throws ApiError 400 where a message shows a picture, which clients of the API may expect to work */
function refusePictures(body: unknown): void {
  const { messages } = listed.safeParse(body).data ?? { messages: [] };
  for (const [i, { content }] of messages.entries()) {
    const place = content.findIndex(({ type }) => type === "image_url");
    if (place < 0) continue;
    const param = `messages.${i}.content.${place}`;
    throw new ApiError(
      400,
      `${param}: pictures (image_url) are not read here; rlpt sample MODEL --image FILE shows them to a model`,
      { param },
    );
  }
}

/** @throws ApiError 400 that names each parameter */
export function parseRequest(kind: GenerationRequest["kind"], body: unknown): GenerationRequest {
  if (kind === "chat") refusePictures(body);
  const request = kind === "chat" ? parsed(chatRequest, body) : parsed(completionRequest, body);
  const common = {
    model: request.model,
    temperature: request.temperature ?? 1,
    top_p: request.top_p ?? 1,
    top_k: request.top_k ?? 0,
    min_p: request.min_p ?? 0,
    n: request.n ?? 1,
    seed: request.seed ?? null,
    stop: typeof request.stop === "string" ? [request.stop] : (request.stop ?? []),
    stream: request.stream ?? false,
    includeUsage: request.stream_options?.include_usage ?? false,
  };
  if ("messages" in request) {
    if (request.top_logprobs != null && request.logprobs !== true) {
      throw new ApiError(400, "top_logprobs needs logprobs: true", { param: "top_logprobs" });
    }
    return {
      kind: "chat",
      ...common,
      prompts: [{ messages: request.messages }],
      maxTokens: request.max_completion_tokens ?? request.max_tokens ?? null,
      topLogprobs: request.logprobs === true ? (request.top_logprobs ?? 0) : null,
    };
  }
  const { prompt } = request;
  const several = Array.isArray(prompt) && typeof prompt[0] !== "number";
  return {
    kind: "completion",
    ...common,
    prompts: several ? (prompt as string[] | number[][]) : [prompt as string | number[]],
    maxTokens: request.max_tokens ?? 16,
    topLogprobs: request.logprobs ?? null,
  };
}

const named = (tokenizer: Tokenizer, id: number, logprob: number) => {
  const token = tokenizer.decode([id]);
  // a part of a character has no text of its own
  return { token, logprob, bytes: token.includes("\ufffd") ? null : [...new TextEncoder().encode(token)] };
};

function chatLogprobs(tokenizer: Tokenizer, steps: readonly DecodedToken[]) {
  return {
    content: steps.map(({ id, logprob, top }) => ({
      ...named(tokenizer, id, logprob!),
      top_logprobs: top.map((other) => named(tokenizer, other.id, other.logprob)),
    })),
    refusal: null,
  };
}

function completionLogprobs(tokenizer: Tokenizer, steps: readonly DecodedToken[], offset: number) {
  let at = offset;
  return {
    tokens: steps.map(({ id }) => tokenizer.decode([id])),
    token_logprobs: steps.map(({ logprob }) => logprob),
    top_logprobs: steps.map(({ top }) =>
      Object.fromEntries(top.map(({ id, logprob }) => [tokenizer.decode([id]), logprob])),
    ),
    text_offset: steps.map(({ text }) => {
      at += text.length;
      return at - text.length;
    }),
  };
}

export const finishReason = (end: DecodedRow["end"]): "stop" | "length" =>
  end === "length" ? "length" : "stop";

/** Parts of an answer: one choice, whole or a piece of it. */
export function choiceOf(
  request: GenerationRequest,
  tokenizer: Tokenizer,
  index: number,
  piece: { text: string; steps: readonly DecodedToken[]; offset: number },
  finish: "stop" | "length" | null,
  form: "whole" | "piece",
): Record<string, unknown> {
  const asked = request.topLogprobs !== null;
  if (request.kind === "completion") {
    const logprobs = asked ? completionLogprobs(tokenizer, piece.steps, piece.offset) : null;
    return { index, text: piece.text, logprobs, finish_reason: finish };
  }
  const logprobs = asked ? chatLogprobs(tokenizer, piece.steps) : null;
  const said =
    form === "whole"
      ? { message: { role: "assistant", content: piece.text, refusal: null } }
      : { delta: piece.text === "" && piece.steps.length === 0 ? {} : { content: piece.text } };
  return { index, ...said, logprobs, finish_reason: finish };
}
