import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { generate, generatedPath } from "../../tools/build-wasm.mjs";

it("the committed wasm modules are what their sources compile to", async () => {
  const committed = readFileSync(generatedPath, "utf8");
  expect(committed.length).toBeGreaterThan(10_000);
  // not toBe: a difference would print two modules
  if ((await generate()) !== committed)
    expect.fail("kernels.generated.ts is stale: run `npm run build:wasm`");
}, 180_000);
