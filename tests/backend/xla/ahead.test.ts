import { expect, it } from "vitest";
import { compileAhead } from "../../../src/backend/xla/pjrt/ahead.ts";
import { gpuTarget, gpuTargets, targetConfig } from "../../../src/backend/xla/pjrt/targets.ts";
import { cudaPluginMissing, pluginFor } from "../../helpers/engines.ts";
import { optionalPart } from "../../helpers/optional.ts";

it("finds cards by the names that people write, and lists them otherwise", () => {
  expect(gpuTarget("RTX-4090")).toBe(gpuTargets.rtx4090);
  expect(gpuTarget("H100").memory).toBeGreaterThan(80e9);
  expect(() => gpuTarget("voodoo2")).toThrow(
    "the card voodoo2 is not known. Fix: use h100, h200, a100, l4, rtx4090.",
  );
});

it("describes a card as XLA's compiler reads it", () => {
  const text = targetConfig(gpuTargets.a100);
  expect(text).toContain("cuda_compute_capability { major: 8 minor: 0 }");
  expect(text).toContain("core_count: 108");
  // numbers above 2^53 or in exponents would not be read as integers
  expect(text).not.toMatch(/\de[+-]?\d/);
});

const cuda = pluginFor("cuda");
optionalPart(
  "compiling for cards that are not here",
  cuda !== null && cuda.cudaTools !== null,
  cudaPluginMissing,
)(() => {
  const M = 256;
  const rows = (cards: number) =>
    cards === 1 ? "" : ` {mhlo.sharding = "{devices=[${cards},1]<=[${cards}]}"}`;
  const whole = (cards: number) => (cards === 1 ? "" : ' {mhlo.sharding = "{replicated}"}');
  /** w - x^T (x w): a step of least squares, its sum over rows crossing cards. */
  const step = (
    cards: number,
  ) => `module @step attributes {mhlo.num_partitions = ${cards} : i32, mhlo.num_replicas = 1 : i32} {
    func.func public @main(%x: tensor<1024x${M}xf32>${rows(cards)}, %w: tensor<${M}x${M}xf32>${whole(cards)}) -> (tensor<${M}x${M}xf32>${whole(cards)}) {
      %p = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] : (tensor<1024x${M}xf32>, tensor<${M}x${M}xf32>) -> tensor<1024x${M}xf32>
      %g = stablehlo.dot_general %x, %p, contracting_dims = [0] x [0] : (tensor<1024x${M}xf32>, tensor<1024x${M}xf32>) -> tensor<${M}x${M}xf32>
      %r = stablehlo.subtract %w, %g : tensor<${M}x${M}xf32>
      return %r : tensor<${M}x${M}xf32>
    }
  }`;
  const bytesOfX = 1024 * M * 4;
  const bytesOfW = M * M * 4;

  it("tells what a program takes of each card", () => {
    for (const name of ["h100", "rtx4090"]) {
      const program = compileAhead(step(1), { plugin: cuda!, target: gpuTarget(name), donate: [1] });
      expect(program.memory, name).toMatchObject({
        arguments: bytesOfX + bytesOfW,
        outputs: bytesOfW,
        aliased: bytesOfW,
      });
      expect(program.memory!.temporary, name).toBeGreaterThanOrEqual(bytesOfX);
      expect(program.collectives(1)).toEqual([]);
    }
  });

  it("cuts a program for eight cards, which then exchange one sum", () => {
    const program = compileAhead(step(8), { plugin: cuda!, target: gpuTarget("h100"), cards: 8 });
    expect(program.memory!.arguments).toBe(bytesOfX / 8 + bytesOfW);
    expect(program.collectives(1)).toEqual([{ kind: "all-reduce", bytes: bytesOfW, times: 1, open: false }]);
  });

  it("passes on what the compiler says", () => {
    expect(() => compileAhead("module @m {}", { plugin: cuda!, target: gpuTarget("h100") })).toThrow(
      /^PJRT: Compile: /,
    );
  });
});
