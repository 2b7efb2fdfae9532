/** The examples of the page about data with pictures are right data. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { parse } from "yaml";
import { datasetOptions } from "../../src/data/dataset-options.ts";

type Map = Record<string, unknown>;

/** As src/config/shorthand.ts does it. */
function withKind(set: Map): Map {
  if (Array.isArray(set["sources"]))
    return { kind: "mixture", ...set, sources: set["sources"].map(withKind) };
  return { kind: "file", ...set };
}

const page = readFileSync("docs/your-data.md", "utf8");
const section = page.slice(page.indexOf("\n## Pictures"), page.indexOf("\n## What is looked at"));
const examples = [...section.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(
  ([, text]) => parse(text!) as { data: Record<string, Map> },
);

it("has an example of each form", () => {
  const kinds = examples.flatMap(({ data }) => Object.values(data).map((set) => withKind(set)["kind"]));
  expect(new Set(kinds)).toEqual(new Set(["file", "image-folder", "coop", "mixture"]));
});

it.each(examples.map(({ data }, index) => [index + 1, data] as const))("example %d is read", (_, data) => {
  for (const set of Object.values(data))
    expect(datasetOptions.safeParse(withKind(set)).error).toBeUndefined();
});
