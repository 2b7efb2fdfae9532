import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { recipeJsonSchema } from "../../src/config/schema.ts";
import { allKeyPaths, type JsonSchema, variants } from "../../src/config/schema-tree.ts";
import { otherNames } from "../../src/config/suggest.ts";
import { configDocs } from "../../tools/documents/config.ts";

test("docs/config.md is what the schema says: node tools/write-config-docs.mjs", () => {
  expect(readFileSync("docs/config.md", "utf8")).toBe(configDocs());
});

test("every key of the schema is in the document", () => {
  const text = configDocs();
  const paths = allKeyPaths(recipeJsonSchema())
    .map((path) => path.replace(/^data\.(train|eval)/, "data.*"))
    // a source of a mixture has the keys of its kind
    .map((path) => path.replace(/^(data\.\*)\.sources\.N\.(?!name$|weight$)/, "$1."))
    .filter((path) => !/(^|\.)(kind|N)$/.test(path) || path === "backend.kind")
    // tests/docs/bootcamps.test.ts writes the page that has these
    .filter((path) => !/^data\.\*\.tasks\.N\./.test(path));
  expect(paths.length).toBeGreaterThan(120);
  expect(paths.filter((path) => !text.includes(`\`${path}\``) && !/^(data\.\*|\w+)$/.test(path))).toEqual([]);
});

test("names of other trainers lead to keys that exist", () => {
  const paths = new Set(allKeyPaths(recipeJsonSchema()));
  expect(Object.values(otherNames).filter((path) => !paths.has(path))).toEqual([]);
});

test("every option says what it means", () => {
  const silent: string[] = [];
  const visit = (schema: JsonSchema, path: string): void => {
    for (const [key, child] of Object.entries(schema.properties ?? {})) {
      const at = `${path}.${key}`;
      const isMap = child.properties !== undefined || variants(child).length > 0;
      if (key !== "kind" && !isMap && !child.description) silent.push(at);
      visit(child, at);
    }
    for (const variant of variants(schema)) visit(variant, path);
    if (schema.items) visit(schema.items, path);
  };
  visit(recipeJsonSchema(), "");
  expect(silent).toEqual([]);
});
