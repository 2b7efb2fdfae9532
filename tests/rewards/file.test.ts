import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ConfigError } from "../../src/lib/errors.ts";
import { completeInput } from "../../src/rewards/cases.ts";
import { loadRewardFile } from "../../src/rewards/file.ts";
import { runFileCases } from "../../src/rewards/run-cases.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "rlpt-reward-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const inputs = (...completions: string[]) => completions.map((completion) => completeInput({ completion }));

async function scores(path: string, completions: string[], deadline = 5000) {
  const file = await loadRewardFile(path);
  try {
    return await file.score(inputs(...completions), deadline);
  } finally {
    await file.close();
  }
}

describe("a user's reward file", () => {
  it("is TypeScript with imports beside it, sync or async", async () => {
    write("helper.ts", "export const twice = (x: number): number => 2 * x;");
    const path = write(
      "good.ts",
      `import { twice } from "./helper.ts";
       import { basename } from "node:path";
       export async function reward(input: { completion: string }): Promise<number | { value: number; status: "unparsed"; note: string }> {
         if (input.completion === "") return { value: -1, status: "unparsed", note: basename(import.meta.url) };
         return twice(input.completion.length);
       }`,
    );
    expect(await scores(path, ["abc", "", "x"])).toEqual([
      { value: 6, status: "ok" },
      { value: -1, status: "unparsed", note: "good.ts" },
      { value: 2, status: "ok" },
    ]);
  });

  it("an exception, NaN, text or unknown status is an error with value 0, never a score", async () => {
    const path = write(
      "bad.mjs",
      `export function reward({ completion }) {
         if (completion === "throw") throw new TypeError("no such field");
         if (completion === "nan") return 0 / 0;
         if (completion === "text") return "1";
         if (completion === "nothing") return undefined;
         if (completion === "status") return { value: 1, status: "fine" };
         return 1;
       }`,
    );
    const got = await scores(path, ["throw", "nan", "text", "nothing", "status", "good"]);
    expect(got.map(({ value, status }) => [value, status])).toEqual([
      [0, "error"],
      [0, "error"],
      [0, "error"],
      [0, "error"],
      [0, "error"],
      [1, "ok"],
    ]);
    expect(got[0]!.note).toBe("TypeError: no such field");
  });

  it("an endless loop, an endless wait and process.exit cost one completion each", async () => {
    const path = write(
      "hang.js",
      `export function reward({ completion }) {
         if (completion === "loop") for (;;) {}
         if (completion === "wait") return new Promise(() => {});
         if (completion === "exit") process.exit(3);
         return 1;
       }`,
    );
    const got = await scores(path, ["a", "loop", "b", "wait", "c", "exit", "d"], 300);
    expect(got.map(({ status }) => status)).toEqual(["ok", "timeout", "ok", "timeout", "ok", "error", "ok"]);
    expect(got.map(({ value }) => value)).toEqual([1, 0, 1, 0, 1, 0, 1]);
  });

  it("what cannot be loaded is a config error that names the file", async () => {
    const broken: [string, string, RegExp][] = [
      ["syntax.ts", "export function reward( {", /syntax\.ts:1: the reward cannot be read/],
      ["missing.ts", 'import "./nothing.ts"; export const reward = () => 1;', /missing\.ts:1: .*nothing/],
      ["none.ts", "export const score = () => 1;", /exports no function named reward/],
      ["throws.ts", 'throw new Error("no network"); export const reward = () => 1;', /no network/],
      ["cases.ts", "export const reward = () => 1; export const cases = [{ in: 1 }];", /cases\[0\] must be/],
    ];
    for (const [name, text, expected] of broken) {
      const loading = loadRewardFile(write(name, text));
      await expect(loading).rejects.toBeInstanceOf(ConfigError);
      await expect(loading).rejects.toThrow(expected);
    }
    await expect(loadRewardFile(join(folder, "absent.ts"))).rejects.toThrow(/no such reward file/);
  });

  it("its golden cases are run", async () => {
    const path = write(
      "cases-good.ts",
      `export const reward = ({ completion, answer }) => completion === answer ? 1 : 0;
       export const cases = [
         { input: { completion: "4", answer: "4" }, expect: 1 },
         { input: { completion: "5", answer: "4" }, expect: 1 },
       ];`,
    );
    const results = await runFileCases(path, 1000);
    expect(results.map(({ pass }) => pass)).toEqual([true, false]);
  });
});
