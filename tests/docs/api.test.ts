import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { apiDocs } from "../../tools/write-api-docs.mjs";

it("docs/api.md is what the docstrings say: npm run docs:api", () => {
  const written = readFileSync("docs/api.md", "utf8");
  expect(apiDocs()).toBe(written);
  // functions with their arguments, results and errors
  expect(written).toContain("### grade\n\nMathematical equality of two answers");
  expect(written).toMatch(/### train\n[^#]*- returns: run directory[^#]*- throws: InterruptedError/);
});
