import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { testRewards } from "../../src/cli/commands/reward.ts";
import { exact } from "../../src/rewards/exact.ts";

let folder: string;
let output: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "rlpt-reward-test-"));
  output = "";
  const keep = (text: string | Uint8Array): boolean => {
    output += String(text);
    return true;
  };
  vi.spyOn(process.stdout, "write").mockImplementation(keep);
  vi.spyOn(process.stderr, "write").mockImplementation(keep);
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

const source = (expectation: number): string => `
  export const reward = (input: { completion: string; answer: string }): number =>
    input.completion === input.answer ? 1 : 0;
  export const cases = [
    { input: { completion: "4", answer: "4" }, expect: 1 },
    { input: { completion: "5", answer: "4" }, expect: ${expectation} },
  ];`;

function write(text: string): string {
  const path = join(folder, "reward.ts");
  writeFileSync(path, text);
  return path;
}

describe("rlpt reward test", () => {
  it("passes a file whose cases hold", async () => {
    expect(await testRewards(write(source(0)), { set: [] })).toBe(0);
    expect(output).toMatch(/reward\.ts\s+file\s+2\/2\s+ok/);
  });

  it("fails one that does not, and shows the case", async () => {
    expect(await testRewards(write(source(1)), { set: [] })).toBe(1);
    expect(output).toMatch(/1 failed/);
    expect(output).toMatch(/case 2: expected 1, got 0 \(ok\)/);
  });

  it("says how to write cases where there are none", async () => {
    expect(await testRewards(write("export const reward = () => 1;"), { set: [] })).toBe(0);
    expect(output).toMatch(/no cases/);
    expect(output).toMatch(/export const cases/);
  });

  it("prints JSON", async () => {
    expect(await testRewards(write(source(0)), { set: [], json: true })).toBe(0);
    const [file] = JSON.parse(output) as { kind: string; cases: { pass: boolean }[] }[];
    expect(file).toMatchObject({ kind: "file", cases: [{ pass: true }, { pass: true }] });
  });

  it("tests every part of a config, the user's file beside it", async () => {
    write(source(0));
    const config = join(folder, "config.yaml");
    writeFileSync(
      config,
      `extends: quickstart.yaml\nrewards:\n  - kind: exact\n  - kind: file\n    file: ./reward.ts\n    name: mine\n`,
    );
    expect(await testRewards(config, { set: [] })).toBe(0);
    const { length } = exact.cases;
    expect(length).toBeGreaterThan(5);
    expect(output).toMatch(new RegExp(`exact\\s+exact\\s+${length}/${length}\\s+ok`));
    expect(output).toMatch(/mine\s+file\s+2\/2\s+ok/);
  });
});
