/** The short form of `npm run torture`, and that it finds what is planted. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

interface Tally {
  part: string;
  tried: number;
  kinds: Record<string, number>;
  findings: { repeat: string; tried: string; fault: string; files: string }[];
}

/** @param planted text of a module whose exports replace parts by name */
function torture(
  args: readonly string[],
  planted?: string,
): Promise<{ status: number | null; tallies: Tally[]; said: string }> {
  const environment = { ...process.env };
  if (planted !== undefined) environment["RLPT_TORTURE_PLANTED"] = space.write("planted.mjs", planted);
  const child = spawn(
    process.execPath,
    ["tools/torture/torture.mjs", "--json", "--out", space.path("out"), ...args],
    {
      env: environment,
    },
  );
  let [out, said] = ["", ""];
  child.stdout.on("data", (text) => (out += String(text)));
  child.stderr.on("data", (text) => (said += String(text)));
  return new Promise((resolve) => {
    child.once("close", (status) => {
      resolve({ status, said, tallies: out === "" ? [] : (JSON.parse(out) as Tally[]) });
    });
  });
}

it("finds nothing in the short form", { timeout: 900_000 }, async () => {
  const { status, tallies, said } = await torture(["--share", "0.02"]);
  expect(
    tallies.flatMap(({ findings }) => findings),
    said,
  ).toEqual([]);
  expect(status, said).toBe(0);
  const tried = Object.fromEntries(tallies.map(({ part, tried }) => [part, tried]));
  // of 2,000 files, 1,000 flips, 100 kills, 150 configs, 480,000 scorings and 400 folders
  expect(tried["model-files"]).toBe(40);
  expect(tried["run-files"]).toBe(20);
  expect(tried["kills"]).toBe(5);
  expect(tried["configs"]).toBe(3);
  expect(tried["scorings"]).toBeGreaterThanOrEqual(9000);
  expect(tried["hostile-text"]).toBe(8);
  // refusing everything would show nothing, and neither would taking everything
  const kinds = Object.fromEntries(tallies.map(({ part, kinds }) => [part, kinds]));
  expect(kinds["model-files"]).toMatchObject({ loaded: expect.any(Number), refused: expect.any(Number) });
  expect(kinds["run-files"]).toMatchObject({ same: expect.any(Number), refused: expect.any(Number) });
  expect(kinds["hostile-text"]!["shown"]).toBeGreaterThan(2);
});

const PLANTED: readonly [string, string, RegExp][] = [
  ["an endless loop", "for (;;) {}", /more than 10 s of processor time/],
  [
    "a wait for nothing",
    "require('node:child_process').execSync('sleep 60')",
    /waited for nothing, 10 s long/,
  ],
  [
    "memory without bound",
    "for (const all = []; ; ) all.push(Buffer.alloc(5e7, 1))",
    /more than 2.0 GB of memory/,
  ],
  ["an abort", "process.abort()", /the process ended by itself: SIGABRT/],
  ["an end", "process.exit(3)", /the process ended by itself: status 3/],
  ["an exception", "throw new TypeError('planted')", /an exception: TypeError: planted/],
  [
    "an exception that nobody waits for",
    "setTimeout(() => { throw new Error('planted'); }); await new Promise(() => {})",
    /uncaughtException: Error: planted/,
  ],
];

it("finds what is planted, and goes on after each", { timeout: 600_000 }, async () => {
  const { status, tallies, said } = await torture(
    ["--only", "configs", "--share", "0.05"],
    `import { createRequire } from "node:module";
    const require = createRequire(import.meta.url);
    export const configs = async () => async ({ index, trying }) => {
      trying("case " + index);
      ${PLANTED.map(([, code], i) => `if (index === ${i}) { ${code} }`).join("\n      ")}
      return { kind: "planted", tried: "" };
    };`,
  );
  expect(status, said).toBe(1);
  const [{ tried, kinds, findings }] = tallies as [Tally];
  expect([tried, kinds["planted"]]).toEqual([8, 8 - PLANTED.length]);
  expect(findings).toHaveLength(PLANTED.length);
  for (const [i, [name, , fault]] of PLANTED.entries()) {
    const found = findings.find((one) => one.tried === `case ${i}`);
    expect(found, name).toMatchObject({
      fault: expect.stringMatching(fault),
      repeat: `npm run torture -- --seed 1 --only configs:${i}`,
    });
    expect(readFileSync(join(found!.files, "finding.json"), "utf8")).toContain(`configs:${i}`);
  }
});

it("gives the same cases to the same seed, and others to another", { timeout: 300_000 }, async () => {
  const planted = `export const configs = async () => async ({ rng }) => ({ kind: String(rng.uint32(0)), tried: "" });`;
  const kindsOf = async (seed: string) => {
    const { tallies } = await torture(["--only", "configs", "--share", "0.03", "--seed", seed], planted);
    return tallies[0]!.kinds;
  };
  const first = await kindsOf("7");
  expect(Object.keys(first)).toHaveLength(5);
  expect(await kindsOf("7")).toEqual(first);
  expect(await kindsOf("8")).not.toEqual(first);
});

it("says what is wrong with its flags", { timeout: 60_000 }, async () => {
  for (const args of [
    ["--only", "nothing"],
    ["--sed", "1"],
    ["--share", "x"],
  ]) {
    const { status, said } = await torture(args);
    expect(status, said).toBe(2);
    expect(said).not.toMatch(/^\s+at /m);
  }
});
