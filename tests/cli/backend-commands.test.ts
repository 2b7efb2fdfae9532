import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { backendKinds } from "../../src/backend/options.ts";
import type { Diagnosis } from "../../src/cli/doctor.ts";
import { packageRoot } from "../../src/lib/version.ts";

const cache = mkdtempSync(join(tmpdir(), "rlpt-test-"));
afterAll(() => rmSync(cache, { recursive: true, force: true }));

async function rlpt(...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const env = { ...process.env, RLPT_CACHE: cache, FORCE_COLOR: "", RLPT_PYTHON: join(cache, "no-python") };
  try {
    const program = join(packageRoot(), "bin", "rlpt.js");
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [program, ...args], { env });
    return { status: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { status: code, stdout, stderr };
  }
}

describe("rlpt doctor", () => {
  let diagnosis: Diagnosis;
  let text: string;
  beforeAll(async () => {
    const [json, plain] = [await rlpt("doctor", "--json"), await rlpt("doctor")];
    expect(json.status).toBe(0);
    diagnosis = JSON.parse(json.stdout) as Diagnosis;
    text = plain.stdout;
  });

  it("tries every backend, gives a reason for each that is not usable, and says what auto takes", () => {
    expect(diagnosis.backends.map(({ kind }) => kind)).toEqual(backendKinds);
    const usable = diagnosis.backends.filter((result) => result.usable);
    expect(usable.map(({ kind }) => kind)).toEqual(expect.arrayContaining(["wasm", "cpu"]));
    for (const { info } of usable) expect(info.selfTest.passed).toBe(true);
    for (const result of diagnosis.backends)
      if (!result.usable) expect(result.reason.length).toBeGreaterThan(10);
    expect(usable.map(({ kind }) => kind)).toContain(diagnosis.chosen);
    expect(diagnosis.machine.cores).toBe(availableParallelism());
    expect(diagnosis.machine.cache).toBe(cache);
  });

  it("prints the same for people, without colours in a pipe", () => {
    expect(text).toContain(`auto takes ${diagnosis.chosen}`);
    for (const kind of backendKinds) expect(text).toContain(`  ${kind}`);
    expect(text).toContain(diagnosis.advice.command ?? diagnosis.advice.text);
    expect(text).not.toContain("\u001b");
  });
});

describe("rlpt backend install", () => {
  it("refuses what it does not know with exit status 2", async () => {
    const { status, stderr } = await rlpt("backend", "install", "mkl");
    expect(status).toBe(2);
    expect(stderr).toContain("mkl is not known; it can install openblas");
  });

  it("fails with status 1 and one sentence when there is no Python", async () => {
    const { status, stderr } = await rlpt("backend", "install", "openblas");
    expect(status).toBe(1);
    expect(stderr).toMatch(/no Python with pip was found .*--wheel FILE/);
    expect(stderr).not.toMatch(/^ {4}at /m);
  });
});
