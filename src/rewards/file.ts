import { existsSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import { ConfigError } from "../lib/errors.ts";
import { bundleUserFile } from "../lib/user-bundle.ts";
import type { RewardInput, RewardPartResult } from "../types.ts";
import { DeadlineWorker } from "./deadline-worker.ts";
import { defineReward } from "./define.ts";

/** A golden case in the user's own file. */
export interface FileCase {
  input: Partial<RewardInput>;
  expect: number;
}

interface FileInfo {
  hasReward: boolean;
  /** Golden cases, of any type: they are checked when they are used. */
  cases: unknown;
}

/** What runs in the thread, around the user's module; the protocol of deadline-worker.ts. */
const HARNESS = `
import { parentPort } from "node:worker_threads";
import * as user from "USER_FILE";
const reward = user["reward"];
// one after another: a call that waits must not be overtaken, or the deadlines would mix
let queue = Promise.resolve();
parentPort.on("message", ({ index, task }) => {
  queue = queue.then(async () => {
    try {
      const said = await reward(task);
      parentPort.postMessage({ index, value: said });
    } catch (error) {
      const failure = error instanceof Error ? error.name + ": " + error.message : String(error);
      parentPort.postMessage({ index, failure });
    }
  });
});
let cases = user["cases"] ?? null;
try { structuredClone(cases); } catch { cases = "cases hold something that is not plain data"; }
parentPort.postMessage({ ready: { hasReward: typeof reward === "function", cases } });
`;

/** A reward of the user's, loaded into a thread of its own. */
export interface RewardFile {
  readonly path: string;
  readonly cases: readonly FileCase[];
  score(inputs: readonly RewardInput[], deadlineMs: number): Promise<RewardPartResult[]>;
  close(): Promise<void>;
}

/**
 * Loads `reward(input)` from a .ts, .mts, .js or .mjs file. It may return a number, `{value, status?, note?}`, or a
 * promise of one, and may import what Node and its folder's node_modules offer.
 * @throws ConfigError when the file is missing, does not compile, fails while loading, or exports no reward
 */
export async function loadRewardFile(file: string): Promise<RewardFile> {
  const path = resolve(file);
  if (!existsSync(path)) throw new ConfigError(`${path}: there is no such reward file`);
  if (!statSync(path).isFile()) throw new ConfigError(`${path}: a reward is a file, this is a folder`);
  const code = await bundleUserFile(path, HARNESS, "reward");
  const worker = new DeadlineWorker<RewardInput, unknown, FileInfo>(async () => code, "wall");
  let info: FileInfo;
  try {
    info = await worker.start();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError(`${path}: the reward failed while loading: ${reason}`, { cause: error });
  }
  if (!info.hasReward) {
    await worker.close();
    throw new ConfigError(
      `${path}: it exports no function named reward; write \`export function reward(input) { return 0; }\``,
    );
  }
  try {
    return {
      path,
      cases: checkCases(path, info.cases),
      async score(inputs, deadlineMs) {
        const outcomes = await worker.run(inputs, deadlineMs);
        return outcomes.map((outcome): RewardPartResult => {
          if (outcome.kind === "done") return readResult(outcome.value);
          return outcome.kind === "timeout"
            ? { value: 0, status: "timeout", note: `reward() took more than ${deadlineMs} ms` }
            : { value: 0, status: "error", note: outcome.message };
        });
      },
      close: () => worker.close(),
    };
  } catch (error) {
    await worker.close();
    throw error;
  }
}

/** What reward() returned, checked: anything but a finite number is an error, not a score. */
function readResult(said: unknown): RewardPartResult {
  const failed = (note: string): RewardPartResult => ({ value: 0, status: "error", note });
  if (typeof said === "number") {
    return Number.isFinite(said) ? { value: said, status: "ok" } : failed(`reward() returned ${said}`);
  }
  if (typeof said !== "object" || said === null) {
    return failed(`reward() returned ${said === null ? "null" : typeof said}, not a number or { value }`);
  }
  const { value, status = "ok", note } = said as Record<string, unknown>;
  if (typeof value !== "number" || !Number.isFinite(value)) {
    return failed(`reward() returned { value: ${String(value)} }, which is no finite number`);
  }
  if (status !== "ok" && status !== "unparsed" && status !== "error") {
    return failed(`reward() returned status ${JSON.stringify(status)}; use ok, unparsed or error`);
  }
  const text = note === undefined ? {} : { note: String(note) };
  return { value: status === "error" ? 0 : value, status, ...text };
}

function checkCases(path: string, cases: unknown): FileCase[] {
  if (cases === null) return [];
  if (!Array.isArray(cases)) {
    throw new ConfigError(
      `${path}: cases must be a list of { input, expect }${typeof cases === "string" ? `: ${cases}` : ""}`,
    );
  }
  cases.forEach((each: unknown, index) => {
    const { input, expect } = (each ?? {}) as Record<string, unknown>;
    if (typeof input !== "object" || input === null || typeof expect !== "number") {
      throw new ConfigError(
        `${path}: cases[${index}] must be { input: { completion, answer, ... }, expect: a number }`,
      );
    }
  });
  return cases as FileCase[];
}

const shape = {
  file: z
    .string()
    .regex(/\.(ts|mts|js|mjs)$/, "a reward is a .ts, .mts, .js or .mjs file")
    .describe("module exporting reward(input); relative to the config"),
  correct: z.boolean().optional().describe("this part decides what accuracy counts (value 1 or more)"),
  timeout_ms: z
    .int()
    .min(50)
    .default(10_000)
    .describe("longest call for one completion; the file runs in its own thread and is stopped then"),
};

export const file = defineReward({
  kind: "file",
  judges: true,
  options: shape,
  async open({ file: path, timeout_ms }) {
    const loaded = await loadRewardFile(path);
    return { score: (inputs) => loaded.score(inputs, timeout_ms), close: () => loaded.close() };
  },
  cases: [],
});
