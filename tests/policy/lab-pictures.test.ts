/** The shipped model that sees: transformers loads it, and says of a picture what we say (tools/goldens/lab-pictures.py). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { openModelDirectory } from "../../src/policy/files/model-directory.ts";
import { createPolicy } from "../../src/policy/policy.ts";
import { encodePrompt } from "../../src/rollouts/encode.ts";
import type { Prompt } from "../../src/types.ts";
import { expectClose, useBackend } from "../helpers/tensors.ts";

const golden = JSON.parse(readFileSync(join(import.meta.dirname, "../golden/lab-pictures.json"), "utf8")) as {
  ids: number[];
  cases: { width: number; height: number; logits: number[] }[];
};

it("reads files, pictures and prompts as transformers does, to the logits", async () => {
  await useBackend("wasm with our kernels");
  const files = openModelDirectory(join(import.meta.dirname, "../../models/lab-pictures"));
  const policy = createPolicy(files, { trainable: "none" });
  files.weights.close();
  for (const [n, { width, height, logits }] of golden.cases.entries()) {
    const data = Uint8Array.from({ length: 3 * width * height }, (_, i) => {
      const [c, x, y] = [i % 3, Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
      return (31 * x + 17 * y + 97 * c + 53 * n) % 256;
    });
    const picture = { id: `formula ${n}`, name: `formula ${n}`, load: () => ({ width, height, data }) };
    const text = `<image> | ${files.tokenizer.decode(golden.ids.slice(9))}`;
    const input = { kind: "text" as const, text, pictures: [picture] };
    const prompt: Prompt = { id: String(n), input, answer: "", slices: {}, fields: {} };
    const { tokens, pictures } = encodePrompt(files.tokenizer, prompt, 64);
    expect([...tokens]).toEqual(golden.ids);
    const session = await policy.startGeneration([tokens], {
      repeats: 1,
      maxNewTokens: 1,
      pictures: [pictures],
    });
    expectClose(session.logits, logits, { atol: 1e-5, rtol: 0, what: `logits of picture ${n}` });
    session.dispose();
  }
  expect(golden.cases.length).toBe(3);
  policy.dispose();
});
