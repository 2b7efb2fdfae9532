/** docs/models.md against the families that the code knows and the goldens that hold them. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { ggmlType } from "../../src/policy/files/dequantise.ts";
import type { GgufFile } from "../../src/policy/files/gguf.ts";
import { ggufConfig } from "../../src/policy/files/gguf-model.ts";
import { parseModelConfig } from "../../src/policy/model-config.ts";
import { ropeFrequencies } from "../../src/policy/rope.ts";
import { modelsPage } from "./models-page.ts";

const page = readFileSync("docs/models.md", "utf8");

/** What the code says that it knows, from the message that refuses something else. */
function known(refuse: () => unknown, pattern: RegExp): string[] {
  try {
    refuse();
  } catch (error) {
    const list = pattern.exec((error as Error).message)?.[1];
    if (list !== undefined) return list.split(/, | and /);
  }
  throw new Error(`nothing was refused with a list (${pattern})`);
}

/** The first cells of the table under a heading, or of the first table. */
function rowsUnder(heading: string | null): string[] {
  const text = heading === null ? page : page.slice(page.indexOf(`## ${heading}`));
  const table = /(?:^\|.*\n)+/m.exec(text)![0];
  return table
    .trim()
    .split("\n")
    .slice(2)
    .map((row) => row.split(" | ")[0]!.slice(2));
}

it("has a row for every family in the code, and none for another", () => {
  const families = known(() => parseModelConfig({ model_type: "another" }, "x"), /known are (.*) \(/);
  expect(families.length).toBeGreaterThanOrEqual(5);
  expect(rowsUnder(null).sort()).toEqual(families.map((name) => `\`${name}\``).sort());
});

it("every family has a golden", () => {
  for (const row of page.split("\n").filter((line) => /^\| `\w+` \| [A-Z]/.test(line))) {
    const cells = row.split(" | ");
    const named = [...cells[3]!.matchAll(/`([\w-]+)`/g)].map((match) => match[1]!);
    expect(named.length, row).toBeGreaterThan(0);
  }
});

/** `npx vitest run tests/docs/models.test.ts -u` writes it. */
it("its tables are those of the declarations and goldens", async () => {
  await expect(modelsPage(page)).toMatchFileSnapshot("../../docs/models.md");
});

it("names the architectures and quantisations of GGUF files that are read, and the kinds of RoPE", () => {
  const file = { path: "x", metadata: new Map([["general.architecture", "another"]]), tensors: new Map() };
  const architectures = known(() => ggufConfig(file as unknown as GgufFile), /supported are (.*)$/);
  const row = page.split("\n").find((line) => line.startsWith("| `.gguf`"))!;
  expect([...row.split(" | ")[0]!.matchAll(/`(\w+)`/g)].map((match) => match[1])).toEqual(
    expect.arrayContaining(architectures),
  );
  const types = Array.from({ length: 64 }, (_, id) => ggmlType(id)).flatMap((type) =>
    typeof type === "string" ? [] : [type.name],
  );
  expect(types.length).toBeGreaterThanOrEqual(11);
  expect(types.filter((name) => !row.includes(name))).toEqual([]);
  const model = { theta: 1, headDim: 2, maxPositions: 2 };
  const kinds = known(() => ropeFrequencies({ rope_type: "another" }, model, "x"), /known are (.*)$/);
  const rope = page.split("\n").find((line) => line.startsWith("| `rope_scaling`"))!;
  expect(kinds.filter((kind) => !rope.includes(kind))).toEqual([]);
});
