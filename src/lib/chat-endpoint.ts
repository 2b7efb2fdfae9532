/** Asking a model behind an OpenAI-compatible chat endpoint: one request, its errors by what they mean, and further tries. */
import { setTimeout as sleep } from "node:timers/promises";
import { RlptError } from "./errors.ts";

export interface ChatRequest {
  /** Base URL up to /v1, or the full .../chat/completions. */
  endpoint: string;
  /** The request's JSON. */
  body: object;
  /** Sent as bearer token when given; in no message. */
  apiKey?: string | undefined;
  timeoutMs: number;
}

export interface ChatReply {
  text: string;
  /** Tokens read and written, as the endpoint counts them; a quarter of the characters where it does not. */
  tokens: number;
}

/** A request that may succeed when tried again: overload, an error of the server, a lost connection. */
export class TryAgain extends Error {
  /** Milliseconds that the server asked to wait; 0: it did not say. */
  readonly waitMs: number;
  constructor(message: string, waitMs = 0) {
    super(message);
    this.waitMs = waitMs;
  }
}

/** The endpoint will not answer this request, however often it is made: it is too long, or its content is not taken. */
export class RefusedError extends Error {}

const REFUSALS = new Set([400, 413, 422]);
/** Longest wait that a server may ask for. */
const LONGEST_WAIT_MS = 60_000;

export function chatUrl(endpoint: string): string {
  const base = endpoint.replace(/\/+$/, "");
  return base.endsWith("/chat/completions") ? base : `${base}/chat/completions`;
}

/**
 * One request.
 * @throws TryAgain, RefusedError, and Error for what no further try will mend (a wrong key, no such model)
 */
export async function complete({ endpoint, body, apiKey, timeoutMs }: ChatRequest): Promise<ChatReply> {
  // an endpoint that echoes the key must not carry it into logs
  const hidden = (text: string) => (apiKey === undefined ? text : text.replaceAll(apiKey, "***"));
  const sent = JSON.stringify(body);
  let response: Response;
  let text: string;
  try {
    response = await fetch(chatUrl(endpoint), {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
      },
      body: sent,
      signal: AbortSignal.timeout(timeoutMs),
    });
    text = hidden(await response.text());
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : "";
    throw new TryAgain(hidden(`${error instanceof Error ? error.message : String(error)}${cause}`));
  }
  const { status } = response;
  if (status === 429 || status >= 500) {
    const asked = Number(response.headers.get("retry-after") ?? 0);
    throw new TryAgain(
      `status ${status}`,
      Number.isFinite(asked) ? Math.min(LONGEST_WAIT_MS, 1000 * asked) : 0,
    );
  }
  const excerpt = `status ${status}: ${text.slice(0, 200)}`;
  if (REFUSALS.has(status)) throw new RefusedError(excerpt);
  if (!response.ok) throw new Error(excerpt);
  const parsed = parseReply(text);
  const content = parsed?.choices?.[0]?.message?.content;
  if (typeof content !== "string")
    throw new TryAgain(`no choices[0].message.content in ${text.slice(0, 200)}`);
  const counted = parsed?.usage?.total_tokens;
  const tokens = typeof counted === "number" && counted >= 0 ? counted : (sent.length + content.length) / 4;
  return { text: content, tokens: Math.ceil(tokens) };
}

function parseReply(text: string): {
  choices?: { message?: { content?: unknown } }[];
  usage?: { total_tokens?: unknown };
} | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" ? (value as ReturnType<typeof parseReply>) : null;
  } catch {
    return null;
  }
}

/**
 * Calls until it succeeds; waits between tries, twice as long each time.
 * @param where what stands before an error's reason, such as the URL
 * @throws RefusedError as it is; RlptError after the last try
 */
export async function retrying<T>(
  attempt: () => Promise<T>,
  { retries, retryMs, where }: { retries: number; retryMs: number; where: string },
): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof RlptError || error instanceof RefusedError) throw error;
      if (!(error instanceof TryAgain) || tried > retries) {
        const reason = error instanceof Error ? error.message : String(error);
        throw new RlptError(`${where}: ${reason} (try ${tried} of ${retries + 1})`, { cause: error });
      }
      await sleep(Math.max(error.waitMs, retryMs * 2 ** (tried - 1)));
    }
  }
}
