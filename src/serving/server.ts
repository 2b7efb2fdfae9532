/** `rlpt serve`: policies behind OpenAI's API. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { RlptError } from "../lib/errors.ts";
import { createRng } from "../lib/rng.ts";
import type { DecodedRow, DecodeRow } from "../rollouts/decode.ts";
import { ApiError, choiceOf, finishReason, type GenerationRequest, parseRequest } from "./protocol.ts";
import { cacheBytesOf, Scheduler, type SchedulerOptions, type ServedModel } from "./scheduler.ts";

export interface ServeOptions extends SchedulerOptions {
  host: string;
  /** 0: any that is free. */
  port: number;
  /** Bytes of a request. */
  bodyBytes: number;
  /** Of requests that name none: each gets a stream of its own. */
  seed: number;
}

export interface RunningServer {
  url: string;
  /** Takes no more requests, lets those that are there end, and resolves when the port is free. */
  stop(): Promise<void>;
}

/** @param models each is asked for by its name @throws RlptError where the port is taken */
export async function serve(models: readonly ServedModel[], options: ServeOptions): Promise<RunningServer> {
  const scheduler = new Scheduler(options);
  const state = { requests: 0, stopping: false };
  const context: Context = {
    models: new Map(models.map((model) => [model.name, model])),
    options,
    scheduler,
    state,
  };
  const server = createServer((request, response) => {
    respond(context, request, response).catch((error: unknown) => fail(response, error));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(
        new RlptError(
          error.code === "EADDRINUSE"
            ? `port ${options.port} of ${options.host} is taken: choose another with --port, or --port 0`
            : `cannot listen on ${options.host}:${options.port}: ${error.message}`,
          { cause: error },
        ),
      ),
    );
    server.listen(options.port, options.host, resolve);
  });
  const { address, port, family } = server.address() as AddressInfo;
  return {
    url: `http://${family === "IPv6" ? `[${address}]` : address}:${port}/v1`,
    stop: () => stop(server, scheduler, state),
  };
}

async function stop(server: Server, scheduler: Scheduler, state: { stopping: boolean }): Promise<void> {
  state.stopping = true;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  await scheduler.idle();
  server.closeIdleConnections();
  await closed;
}

interface Context {
  models: ReadonlyMap<string, ServedModel>;
  options: ServeOptions;
  scheduler: Scheduler;
  state: { requests: number; stopping: boolean };
}

function fail(response: ServerResponse, error: unknown): void {
  const known =
    error instanceof ApiError
      ? error
      : new ApiError(
          error instanceof RlptError ? 400 : 500,
          error instanceof Error ? error.message : String(error),
        );
  if (response.headersSent) {
    // a stream has begun: the client finds the fault as an event
    response.end(`data: ${JSON.stringify({ error: known.body })}\n\n`);
    return;
  }
  if (known.status === 429) response.setHeader("retry-after", "1");
  sendJson(response, known.status, { error: known.body });
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  if (response.destroyed) return;
  const closing = status === 413 ? { connection: "close" } : {};
  response.writeHead(status, { "content-type": "application/json", ...closing });
  response.end(JSON.stringify(value));
}

async function respond(context: Context, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
  const { method } = request;
  if (method === "GET" && path === "/health") return sendJson(response, 200, { status: "ok" });
  if (method === "GET" && path === "/v1/models") {
    return sendJson(response, 200, { object: "list", data: [...context.models.keys()].map(modelCard) });
  }
  if (method === "GET" && path.startsWith("/v1/models/")) {
    return sendJson(response, 200, modelCard(modelNamed(context, path.slice("/v1/models/".length)).name));
  }
  const kinds = { "/v1/chat/completions": "chat", "/v1/completions": "completion" } as const;
  const kind = Object.hasOwn(kinds, path) ? kinds[path as keyof typeof kinds] : null;
  if (kind === null)
    throw new ApiError(
      404,
      `${method} ${path}: no such endpoint; there are /v1/models, ${Object.keys(kinds).join(", ")}`,
    );
  if (method !== "POST") throw new ApiError(405, `${path} takes POST`);
  // a page of a browser cannot send this type elsewhere without asking first
  if (!/^application\/json\b/.test(request.headers["content-type"] ?? "")) {
    throw new ApiError(415, "content-type must be application/json");
  }
  const body = await readBody(request, context.options.bodyBytes);
  if (context.state.stopping) throw new ApiError(503, "the server is stopping");
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch (error) {
    throw new ApiError(400, `the body is no JSON: ${(error as Error).message}`);
  }
  await generate(context, parseRequest(kind, json), response);
}

function modelCard(name: string): Record<string, unknown> {
  return { id: name, object: "model", created: 0, owned_by: "rlpt" };
}

function modelNamed({ models }: Context, name: string): ServedModel {
  const model = models.get(name);
  if (model) return model;
  throw new ApiError(
    404,
    `model ${JSON.stringify(name)} is not served; there are ${[...models.keys()].join(", ")}`,
    {
      param: "model",
      code: "model_not_found",
    },
  );
}

async function readBody(request: IncomingMessage, limit: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length;
    if (bytes > limit) throw new ApiError(413, `the request is larger than ${limit} bytes (--max-body)`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function encodePrompts(model: ServedModel, request: GenerationRequest): Int32Array[] {
  const { tokenizer } = model.files;
  return request.prompts.map((prompt) => {
    if (typeof prompt === "string")
      return Int32Array.from(tokenizer.encode(prompt, { addSpecialTokens: true }));
    if (!("messages" in prompt)) {
      const wrong = prompt.find((id) => id >= model.policy.vocabSize);
      if (wrong !== undefined) {
        throw new ApiError(
          400,
          `prompt: token ${wrong} is outside the vocabulary of ${model.policy.vocabSize}`,
          { param: "prompt" },
        );
      }
      return Int32Array.from(prompt);
    }
    if (!tokenizer.hasChatTemplate) {
      throw new ApiError(400, `${model.name} has no chat template: use /v1/completions`, {
        param: "messages",
      });
    }
    const text = tokenizer.renderChat(prompt.messages, { addGenerationPrompt: true });
    return Int32Array.from(tokenizer.encode(text, { addSpecialTokens: false }));
  });
}

/** The rows of a request, checked against the model's positions and the server's memory. */
function rowsOf(context: Context, model: ServedModel, request: GenerationRequest): DecodeRow[] {
  const { options, state } = context;
  const { maxPositions } = model.policy.config;
  const param = request.kind === "chat" ? "messages" : "prompt";
  const number = state.requests++;
  const root =
    request.seed === null ? createRng(options.seed).fork("request", number) : createRng(request.seed);
  const rows = encodePrompts(model, request).flatMap((prompt, p) => {
    const room = maxPositions - prompt.length;
    if (prompt.length === 0) throw new ApiError(400, "the prompt is empty", { param });
    if (room < (request.maxTokens ?? 1)) {
      throw new ApiError(
        400,
        `the prompt has ${prompt.length} tokens and ${request.maxTokens ?? 1} are to be added; the model has ${maxPositions} positions`,
        { param, code: "context_length_exceeded" },
      );
    }
    return Array.from(
      { length: request.n },
      (_, k): DecodeRow => ({
        prompt,
        sampling: request,
        maxNewTokens: request.maxTokens ?? room,
        stop: request.stop,
        random: root.fork("serve", p, k),
        topLogprobs: request.topLogprobs,
      }),
    );
  });
  const bytes = cacheBytesOf(model.policy.config, rows);
  if (rows.length > options.batchRows || bytes > options.cacheBytes) {
    throw new ApiError(
      400,
      `the request's ${rows.length} completions need ${(bytes / 1e6).toFixed(0)} MB of keys and values; the server takes ${options.batchRows} rows (--batch) and ${(options.cacheBytes / 1e6).toFixed(0)} MB (--cache-mb): ask for fewer, or for a smaller max_tokens`,
      { param: "max_tokens" },
    );
  }
  if (!context.scheduler.hasRoom(rows.length)) {
    throw new ApiError(
      429,
      `${context.scheduler.waitingRows} completions wait already (--queue ${options.queueRows}): try again later`,
      {
        code: "queue_full",
      },
    );
  }
  return rows;
}

async function generate(
  context: Context,
  request: GenerationRequest,
  response: ServerResponse,
): Promise<void> {
  const model = modelNamed(context, request.model);
  const { tokenizer } = model.files;
  const rows = rowsOf(context, model, request);
  const isChat = request.kind === "chat";
  const head = {
    id: `${isChat ? "chatcmpl" : "cmpl"}-${context.state.requests}`,
    created: Math.floor((performance.timeOrigin + performance.now()) / 1000),
    model: model.name,
  };
  const cancelled = (): boolean => response.destroyed;
  if (!request.stream) {
    const decoded = await context.scheduler.submit(
      model,
      rows.map((row) => ({ ...row, cancelled })),
    );
    const choices = decoded.map((row, i) =>
      choiceOf(request, tokenizer, i, { ...row, offset: 0 }, finishReason(row.end), "whole"),
    );
    const object = isChat ? "chat.completion" : "text_completion";
    return sendJson(response, 200, { ...head, object, choices, usage: usageOf(rows, decoded, request.n) });
  }
  const object = isChat ? "chat.completion.chunk" : "text_completion";
  const usage = request.includeUsage ? { usage: null } : {};
  const send = (choices: unknown[], more: object = usage): void => {
    if (!response.headersSent) {
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
    }
    response.write(`data: ${JSON.stringify({ ...head, object, choices, ...more })}\n\n`);
  };
  const offsets = rows.map(() => 0);
  const streamed = rows.map((row, i): DecodeRow => {
    let begun = false;
    return {
      ...row,
      cancelled,
      onToken: (step) => {
        if (isChat && !begun) {
          send([
            { index: i, delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null },
          ]);
        }
        begun = true;
        if (step.text === "" && request.topLogprobs === null) return;
        const piece = { text: step.text, steps: [step], offset: offsets[i]! };
        offsets[i]! += step.text.length;
        send([choiceOf(request, tokenizer, i, piece, null, "piece")]);
      },
    };
  });
  const decoded = await context.scheduler.submit(model, streamed);
  for (const [i, row] of decoded.entries()) {
    const piece = { text: "", steps: [], offset: offsets[i]! };
    const choice = choiceOf(request, tokenizer, i, piece, finishReason(row.end), "piece");
    send([{ ...choice, logprobs: null }]);
  }
  if (request.includeUsage) send([], { usage: usageOf(rows, decoded, request.n) });
  response.end("data: [DONE]\n\n");
}

function usageOf(
  rows: readonly DecodeRow[],
  decoded: readonly DecodedRow[],
  n: number,
): Record<string, number> {
  // a prompt counts once, however many completions it has
  const prompt = rows.reduce((sum, row, i) => sum + (i % n === 0 ? row.prompt.length : 0), 0);
  const completion = decoded.reduce((sum, { tokens }) => sum + tokens.length, 0);
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}
