import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { EngineResult } from "../../tools/bench/run.ts";
import { growths } from "../../tools/bench/shapes.ts";

const rlpt = join(import.meta.dirname, "../../bin/rlpt.js");

it("grows one thing at a time, in steps of two", () => {
  expect(growths).toHaveLength(6);
  const names = growths.flatMap(({ shapes }) => shapes.map(({ name }) => name));
  expect(new Set(names).size).toBe(24);
  for (const { shapes } of growths) {
    for (const [i, shape] of shapes.entries()) {
      const { config, generation } = shape;
      const facts = (of: typeof shape) => ({
        rows: of.rows,
        length: of.length,
        groupSize: of.generation.repeats,
        newTokens: of.generation.newTokens,
        layers: of.config["num_hidden_layers"],
        hidden: of.config["hidden_size"],
      });
      const [what, value] = shape.name.split("-") as [keyof ReturnType<typeof facts>, string];
      const first = facts(shapes[0]!);
      expect(facts(shape)).toEqual({ ...first, [what]: Number(first[what]) * 2 ** i });
      expect(facts(shape)[what]).toBe(Number(value));
      expect(Number(config["hidden_size"])).toBe(Number(config["num_attention_heads"]) * 32);
      expect(generation.promptTokens + generation.newTokens).toBeLessThan(
        Number(config["max_position_embeddings"]),
      );
    }
  }
});

it("times a shape of the growth tables on an engine", { timeout: 60_000 }, () => {
  const args = ["bench-engine", "wasm-simd", "--shapes", "length-64", "--runs", "1", "--budget", "1"];
  const output = execFileSync(process.execPath, [rlpt, ...args], { encoding: "utf8", stdio: "pipe" });
  const result = JSON.parse(output) as EngineResult;
  if (!("measurements" in result)) throw new Error(output);
  const [one] = result.measurements;
  expect(result.measurements).toHaveLength(1);
  expect(one).toMatchObject({ shape: "length-64" });
  expect(one!.pass.tokensPerSecond * one!.pass.seconds).toBeCloseTo(32 * 64, 6);
  expect(one!.generation.tokensPerSecond * one!.generation.seconds).toBeCloseTo(4 * 8 * 32, 6);
  expect(one!.pass.loss).toBeGreaterThan(5); // near log 512 for random weights
  expect(one!.pass.loss).toBeLessThan(8);
});
