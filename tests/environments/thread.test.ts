import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { EnvironmentThread } from "../../src/environments/thread.ts";
import { ConfigError } from "../../src/lib/errors.ts";

const folder = mkdtempSync(join(tmpdir(), "rlpt-environments-"));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function write(text: string): string {
  const path = join(folder, `environment-${files++}.ts`);
  writeFileSync(path, text);
  return path;
}

const open = (text: string, more: object = {}) =>
  EnvironmentThread.open({
    file: write(text),
    timeout_ms: 1500,
    memory_mb: 64,
    mostCharacters: 100_000,
    ...more,
  });

/** Adds up numbers; what row.fault names goes wrong in the second step. */
const ADDER = `
type Action = { text: string };
export function environment() {
  let sum = 0, fault = "", steps = 0;
  return {
    reset(seed: number, row: { fault?: string }) {
      sum = seed;
      fault = row.fault ?? "";
      return [{ role: "user", content: "add" }];
    },
    async step({ text }: Action) {
      sum += Number(text);
      if (++steps === 2) {
        if (fault === "hang") for (;;);
        if (fault === "wait") await new Promise(() => {});
        if (fault === "throw") throw new RangeError("no more");
        if (fault === "exit") process.exit(0);
        if (fault === "leak") { const kept = []; for (;;) kept.push(new Array(10000).fill(sum).map((x, i) => ({ x, i }))); }
        if (fault === "long") return { messages: [{ role: "user", content: "x".repeat(10_000_000) }], reward: 0, done: false };
        if (fault === "shape") return { reward: NaN, done: false };
      }
      return { messages: [{ role: "user", content: String(sum) }], reward: sum, done: steps === 4 };
    },
  };
}
`;

/** Plays eight episodes at once, the fourth of which has a fault. */
async function playWith(fault: string) {
  const host = await open(ADDER);
  try {
    const ended = await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const key = String(i);
        const started = await host.start(key, 100 * i, i === 3 ? { fault } : {});
        if (started.kind !== "ok") return started;
        for (let turn = 1; ; turn++) {
          const reply = await host.step(key, { text: String(turn), toolCalls: [] });
          if (reply.kind !== "ok") return { ...reply, turn };
          if (reply.value.done) return { kind: "ok", sum: reply.value.reward, turn };
        }
      }),
    );
    return { ended, lost: (host as unknown as { thread: number }).thread };
  } finally {
    await host.close();
  }
}

describe("a file's environments", () => {
  it.each([
    ["hang", "deadline", /took more than 1500 ms/],
    ["wait", "deadline", /took more than 1500 ms/],
    ["throw", "error", /RangeError: no more/],
    ["exit", "error", /ended its thread/],
    ["leak", "memory", /filled 64 MB/],
    ["long", "observation", /an answer of 100000\d\d characters, the limit is 100000/],
    ["shape", "error", /reward null, which is no finite number/],
  ])(
    "%s ends its own episode and no other",
    async (fault, kind, message) => {
      const { ended, lost } = await playWith(fault);
      // alone and with others; whoever only waits takes no thread with it
      expect(lost).toBe(["hang", "exit", "leak"].includes(fault) ? 2 : 0);
      for (const [i, one] of ended.entries()) {
        if (i === 3) {
          expect(one).toMatchObject({ kind, turn: 2 });
          expect((one as { message: string }).message).toMatch(message);
        } else expect(one).toEqual({ kind: "ok", sum: 100 * i + 10, turn: 4 });
      }
    },
    60_000,
  );

  it("wait side by side", async () => {
    const host = await open(`
      export function environment() {
        return {
          reset: () => [{ role: "user", content: "wait" }],
          async step() { await new Promise((go) => setTimeout(go, 300)); return { messages: [], reward: 1, done: true }; },
        };
      }`);
    const keys = Array.from({ length: 32 }, (_, i) => String(i));
    await Promise.all(keys.map((key) => host.start(key, 0, {})));
    const began = performance.now();
    await Promise.all(keys.map((key) => host.step(key, { text: "", toolCalls: [] })));
    expect(performance.now() - began).toBeLessThan(32 * 300 * 0.5);
    await host.close();
  }, 30_000);

  it("that cannot be used are refused with file and reason", async () => {
    const refused = async (text: string) => {
      const error = await open(text).catch((fault: unknown) => fault);
      expect(error).toBeInstanceOf(ConfigError);
      return (error as Error).message;
    };
    expect(await refused("export const x = 1;")).toMatch(
      /environment-\d+\.ts: it exports no function named environment/,
    );
    expect(await refused("export function environment( {")).toMatch(
      /environment-\d+\.ts:1: the environment cannot be read/,
    );
    expect(await refused("throw new Error('no'); export function environment() {}")).toMatch(
      /failed while loading: no/,
    );
    const host = await open("export function environment() { return {}; }");
    expect(await host.start("a", 1, {})).toMatchObject({
      message: expect.stringContaining("no { reset, step }"),
    });
    await host.close();
  });
});
