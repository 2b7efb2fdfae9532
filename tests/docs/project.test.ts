/** What a project shows of itself: licence, hosted checks, changelog. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { parse } from "yaml";

const read = (path: string) => readFileSync(path, "utf8");
const { license, version, engines } = JSON.parse(read("package.json")) as {
  license: string;
  version: string;
  engines: { node: string };
};

it("has the licence that package.json names, whole", () => {
  expect(license).toBe("Apache-2.0");
  const text = read("LICENSE");
  for (const part of ["Version 2.0, January 2004", "END OF TERMS AND CONDITIONS", "9. Accepting Warranty"])
    expect(text).toContain(part);
});

interface Workflow {
  jobs: {
    check: {
      strategy: {
        matrix: { system: string[]; node: number[]; include: { system: string; parts: string }[] };
      };
    };
  };
}

it("checks on hosted machines what .ci/run knows, on every system and from the oldest Node on", () => {
  const { system, node, include } = (parse(read(".github/workflows/check.yml")) as Workflow).jobs.check
    .strategy.matrix;
  expect(system.map((name) => name.split("-")[0])).toEqual(["ubuntu", "macos", "windows"]);
  expect(node).toEqual([20, 22, 24]);
  expect(engines.node).toBe(`>=${node[0]}`);
  expect(include.map((one) => one.system)).toEqual(system);
  const known = /\n {2}(install(?: \| \w+)+)\) ;;/.exec(read(".ci/run"))![1]!.split(" | ");
  for (const { parts } of include) {
    const wanted = parts.split(" ");
    expect(wanted.filter((part) => !known.includes(part))).toEqual([]);
    expect(wanted).toEqual(expect.arrayContaining(["install", "lint", "types"]));
  }
  expect(include[0]!.parts.split(" ").sort()).toEqual([...known].sort());
});

it.skipIf(process.platform === "win32")(".ci/run refuses a part that it does not know", () => {
  const { status, stderr } = spawnSync("bash", [".ci/run", "tests"], { encoding: "utf8" });
  expect(status).toBe(2);
  expect(stderr).toContain("no such part: tests (install, optional");
});

it("has a changelog whose first entry is what has not been released", () => {
  const headings = [...read("CHANGELOG.md").matchAll(/^## (.*)$/gm)].map((match) => match[1]);
  expect(headings[0]).toBe("Unreleased");
  expect(headings.slice(1).filter((line) => !/^\d+\.\d+\.\d+ - \d{4}-\d{2}-\d{2}$/.test(line!))).toEqual([]);
  if (headings.length > 1) expect(headings[1]).toContain(version);
});

it("tells where faults of security go, and nobody's address", () => {
  expect(existsSync("SECURITY.md")).toBe(true);
  for (const page of ["SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "README.md"])
    expect(read(page)).not.toMatch(/[\w.]+@[\w-]+\.\w/);
});
