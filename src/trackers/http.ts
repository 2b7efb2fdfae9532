/** Requests to a tracker's server: in bounded time, to no other host, with no secret in a message. */
import { createHash } from "node:crypto";
import { RlptError } from "../lib/errors.ts";

/** The server may answer another time: it is away, overloaded or failing. */
export class AwayError extends Error {
  /** Milliseconds that the server asked to wait; 0: it did not say. */
  readonly waitMs: number;
  constructor(message: string, waitMs = 0) {
    super(message);
    this.waitMs = waitMs;
  }
}

/** The server answers, and will answer no otherwise: a key it does not know, a request it does not take. */
export class ServiceError extends RlptError {
  readonly status: number;
  /** What the server says of it, secrets taken out. */
  readonly answer: string;
  constructor(message: string, status: number, answer: string) {
    super(message);
    this.status = status;
    this.answer = answer;
  }
}

const TIMEOUT_MS = 30_000;
const LONGEST_WAIT_MS = 300_000;
/** Bytes of an answer that are read. */
const LARGEST_ANSWER = 20_000_000;
const SHOWN_ANSWER = 200;

export interface ServerOptions {
  /** As people call it: "MLflow". */
  name: string;
  /** Without user, password and query. */
  base: string;
  headers: Readonly<Record<string, string>>;
  /** Taken out of every message. */
  secrets: readonly string[];
  /** Where people set its address. */
  variable: string;
}

export interface HttpRequest {
  method?: "GET" | "POST" | "PUT";
  path: string;
  /** Sent as JSON. */
  json?: unknown;
  body?: { bytes: Uint8Array; type: string };
  query?: Readonly<Record<string, string>>;
  /** A whole address of another host, such as one that the service signed: it gets no header of ours. */
  elsewhere?: { url: string; headers: Readonly<Record<string, string>> };
}

export type HttpServer = (request: HttpRequest) => Promise<unknown>;

/**
 * @returns what makes a request and parses its answer as JSON; null for an empty answer or one that is no JSON
 */
export function httpServer({ name, base, headers, secrets, variable }: ServerOptions): HttpServer {
  const hide = (text: string): string =>
    secrets.reduce((shown, secret) => (secret === "" ? shown : shown.replaceAll(secret, "***")), text);
  const root = base.replace(/\/+$/, "");
  return async ({ method = "POST", path, json, body, query, elsewhere }) => {
    const search = query === undefined ? "" : `?${new URLSearchParams(query)}`;
    const url = elsewhere?.url ?? `${root}/${path}${search}`;
    const where = `${name} at ${elsewhere === undefined ? root : new URL(url).host}`;
    let response: Response;
    let text: string;
    try {
      response = await fetch(url, {
        method,
        headers: {
          ...(elsewhere?.headers ?? headers),
          ...(json === undefined ? {} : { "content-type": "application/json" }),
          ...(body === undefined ? {} : { "content-type": body.type }),
        },
        // a redirect may lead the key to another host
        redirect: "manual",
        signal: AbortSignal.timeout(TIMEOUT_MS),
        ...(json === undefined ? {} : { body: JSON.stringify(json) }),
        ...(body === undefined ? {} : { body: Buffer.from(body.bytes) }),
      });
      text = await boundedText(response);
    } catch (error) {
      throw new AwayError(hide(`${where}: ${reasonOf(error)}`));
    }
    const { status } = response;
    if (status >= 300 && status < 400) {
      const to = originOf(response.headers.get("location"), url);
      throw new ServiceError(
        `${where} sends on to ${hide(to)}, where no key is sent; set ${variable} to the address that answers itself.`,
        status,
        "",
      );
    }
    const answer = hide(text).slice(0, SHOWN_ANSWER).replaceAll(/\s+/g, " ");
    if (status === 408 || status === 429 || status >= 500) {
      const asked = Number(response.headers.get("retry-after") ?? 0);
      const wait = Number.isFinite(asked) ? Math.min(LONGEST_WAIT_MS, Math.max(0, 1000 * asked)) : 0;
      throw new AwayError(`${where} answered ${status}: ${answer}`, wait);
    }
    if (!response.ok)
      throw new ServiceError(`${where} answered ${status}: ${answer}`, status, hide(text).slice(0, 5_000));
    try {
      return JSON.parse(text) as unknown;
    } catch {
      return null;
    }
  };
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `gave no answer within ${TIMEOUT_MS / 1000} seconds`;
  const { cause } = error;
  if (!(cause instanceof Error)) return error.message;
  const code = (cause as NodeJS.ErrnoException).code;
  return cause.message === "" ? (code ?? error.message) : cause.message;
}

function originOf(location: string | null, from: string): string {
  try {
    return new URL(location ?? "", from).origin;
  } catch {
    return "an address that is none";
  }
}

async function boundedText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (response.body ?? []) as unknown as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > LARGEST_ANSWER) throw new Error(`its answer has more than ${LARGEST_ANSWER} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** An address from the environment: what is secret in it is taken out. */
export interface Address {
  base: string;
  user: string;
  password: string;
  query: URLSearchParams;
}

/** @returns null where it is no address of a server */
export function addressOf(text: string): Address | null {
  let url: URL;
  try {
    url = new URL(text.trim());
  } catch {
    return null;
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") return null;
  return {
    base: `${url.origin}${url.pathname}`.replace(/\/+$/, ""),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    query: url.searchParams,
  };
}

export const basicAuth = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;

export const sha256 = (bytes: string | Uint8Array): Buffer => createHash("sha256").update(bytes).digest();
