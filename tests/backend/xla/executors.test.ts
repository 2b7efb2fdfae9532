import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  type ElementType,
  type Executor,
  elementTypes,
  type HostArray,
  type Spec,
  typeText,
} from "../../../src/backend/stablehlo/executor.ts";
import { selfTestExecutor } from "../../../src/backend/xla/self-test.ts";
import {
  cpuExecutor,
  cpuPluginMissing,
  pluginFor,
  tensorflowFolder,
  tensorflowMissing,
} from "../../helpers/engines.ts";
import { optionalPart } from "../../helpers/optional.ts";

const f32 = (...shape: number[]): Spec => ({ type: "f32", shape });

/** One function of one argument list; `body` uses %0, %1, ... and returns %r0, %r1, ... */
function program(inputs: readonly Spec[], outputs: readonly Spec[], body: string): string {
  const signature = inputs.map((spec, i) => `%${i}: ${typeText(spec)}`).join(", ");
  const results = outputs.map(typeText).join(", ");
  const returned = outputs.map((_, i) => `%r${i}`).join(", ");
  return `module @test {\n func.func public @main(${signature}) -> (${results}) {\n${body}\n return ${returned} : ${results}\n }\n}`;
}

const increment = (spec: Spec) =>
  program(
    [spec],
    [spec],
    `%one = stablehlo.constant dense<1.0> : ${typeText(spec)}\n %r0 = stablehlo.add %0, %one : ${typeText(spec)}`,
  );

const both = [
  { name: "tensorflow" as const, available: tensorflowFolder() !== null, reason: tensorflowMissing },
  { name: "pjrt" as const, available: pluginFor("cpu") !== null, reason: cpuPluginMissing },
];

for (const { name, available, reason } of both) {
  optionalPart(
    `executor ${name}`,
    available,
    reason,
  )(() => {
    let executor: Executor;
    beforeAll(async () => {
      executor = await cpuExecutor(name);
    });
    afterAll(() => executor.close());

    it("orders a program so that it needs little memory", () => {
      // each weight is widened for its product; all widened ones at once would be 8 MiB
      const layers = Array.from({ length: 8 }, (_, i) => i);
      const [x, weight] = [f32(4, 512), { type: "bf16", shape: [512, 512] } as const];
      const body = layers.map((n) => {
        const [from, to] = [n === 0 ? "%0" : `%d${n - 1}`, n === 7 ? "%r0" : `%d${n}`];
        return [
          `%c${n} = stablehlo.convert %${n + 1} : (${typeText(weight)}) -> tensor<512x512xf32>`,
          `${to} = stablehlo.dot_general ${from}, %c${n}, contracting_dims = [1] x [0] : (${typeText(x)}, tensor<512x512xf32>) -> ${typeText(x)}`,
        ].join("\n");
      });
      const { memory } = executor.compile(program([x, ...layers.map(() => weight)], [x], body.join("\n")), [
        x,
      ]);
      if (memory !== null) expect(memory.temporary).toBeLessThan(3 * 2 ** 20);
      else expect(name).toBe("tensorflow");
    });

    it("says what it is", () => {
      expect(executor.platform).toBe("cpu");
      expect(executor.devices).toHaveLength(1);
      expect(executor.versions[name]).toMatch(/^\d+\.\d+/);
    });

    it("passes the self-test of engines", () => {
      expect(() => selfTestExecutor(executor)).not.toThrow();
    });

    it("carries every element type there and back, through a program", () => {
      const bytes = Uint8Array.from({ length: 6 * 8 }, (_, i) => (i * 37 + 11) % 251);
      for (const type of Object.keys(elementTypes) as ElementType[]) {
        const spec: Spec = { type, shape: [2, 3] };
        const raw =
          type === "i1" ? Uint8Array.of(1, 0, 1, 1, 0, 0) : bytes.slice(0, 6 * elementTypes[type].bytes);
        const data = new elementTypes[type].array(raw.buffer as ArrayBuffer) as HostArray;
        const input = executor.upload(data, spec);
        expect(executor.download(input), type).toEqual(data);
        const flipped = program(
          [spec],
          [{ type, shape: [3, 2] }],
          `%r0 = stablehlo.transpose %0, dims = [1, 0] : (${typeText(spec)}) -> ${typeText({ type, shape: [3, 2] })}`,
        );
        const [output] = executor.compile(flipped, [{ type, shape: [3, 2] }]).run([input]);
        const expected = [0, 3, 1, 4, 2, 5].map((i) => data[i]);
        expect(Array.from<number | bigint>(executor.download(output!)), type).toEqual(expected);
      }
    });

    it("takes scalars and arrays without elements", () => {
      const [scalar] = executor
        .compile(increment(f32()), [f32()])
        .run([executor.upload(Float32Array.of(41), f32())]);
      expect(executor.download(scalar!)).toEqual(Float32Array.of(42));
      const empty = executor.upload(new Float32Array(0), f32(0, 3));
      const [still] = executor.compile(increment(f32(0, 3)), [f32(0, 3)]).run([empty]);
      expect(executor.download(still!)).toEqual(new Float32Array(0));
    });

    it("copies what it uploads", () => {
      const data = Float32Array.of(1, 2, 3);
      const buffer = executor.upload(data.subarray(1), f32(2));
      data.fill(9);
      expect(executor.download(buffer)).toEqual(Float32Array.of(2, 3));
    });

    it("gives more than a thousand outputs", () => {
      const specs = Array.from({ length: 1100 }, () => f32(2));
      const text = program([f32(2)], specs, "%r0 = stablehlo.negate %0 : tensor<2xf32>").replace(
        / return .* : /,
        ` return ${specs.map((_, i) => (i === 1099 ? "%0" : "%r0")).join(", ")} : `,
      );
      const outputs = executor.compile(text, specs).run([executor.upload(Float32Array.of(0.5, 1), f32(2))]);
      expect(outputs).toHaveLength(1100);
      expect(executor.download(outputs[1098]!)).toEqual(Float32Array.of(-0.5, -1));
      expect(executor.download(outputs[1099]!)).toEqual(Float32Array.of(0.5, 1));
      for (const output of outputs) output.free();
    });

    it("runs again with other arguments, outputs becoming arguments without a wait", async () => {
      const compiled = executor.compile(increment(f32(3)), [f32(3)]);
      let buffer = executor.upload(Float32Array.of(1, 2, 3), f32(3));
      for (let i = 0; i < 20; i++) {
        const [next] = compiled.run([buffer]);
        buffer.free();
        buffer = next!;
      }
      expect(await executor.read(buffer)).toEqual(Float32Array.of(21, 22, 23));
    });

    it("consumes donated arguments and no others", () => {
      const compiled = executor.compile(
        program([f32(4), f32(4)], [f32(4)], "%r0 = stablehlo.add %0, %1 : tensor<4xf32>"),
        [f32(4)],
        { donate: [0] },
      );
      const state = executor.upload(Float32Array.of(1, 2, 3, 4), f32(4));
      const step = executor.upload(Float32Array.of(1, 1, 1, 1), f32(4));
      const [next] = compiled.run([state, step]);
      expect([state.consumed, step.consumed, next!.consumed]).toEqual([true, false, false]);
      expect(executor.download(next!)).toEqual(Float32Array.of(2, 3, 4, 5));
      expect(() => compiled.run([state, step])).toThrow(
        "argument 0, a tensor<4xf32>, was freed or donated before",
      );
      expect(() => executor.download(state)).toThrow("was freed or donated before");
    });

    it("refuses data of another size, and buffers that are gone", () => {
      expect(() => executor.upload(new Float32Array(3), f32(2, 2))).toThrow(
        "12 bytes are not a tensor<2x2xf32> (16 bytes)",
      );
      const buffer = executor.upload(new Float32Array(1), f32(1));
      buffer.free();
      buffer.free();
      expect(() => executor.download(buffer)).toThrow("was freed");
    });

    it("passes on what the compiler says", () => {
      const wrong = program([f32(2)], [f32(2)], "%r0 = stablehlo.no_such_operation %0 : tensor<2xf32>");
      const attempt = () =>
        executor.compile(wrong, [f32(2)]).run([executor.upload(new Float32Array(2), f32(2))]);
      expect(attempt).toThrow(/custom op 'stablehlo\.no_such_operation' is unknown/);
    });
  });
}

optionalPart(
  "TensorFlow's library",
  tensorflowFolder() !== null,
  tensorflowMissing,
)(() => {
  it("computes on one device, and says so where more are asked for", async () => {
    const { openExecutor } = await import("../../../src/backend/xla/open.ts");
    await expect(
      openExecutor({ device: "cpu", tensorflow: tensorflowFolder()!, devices: 2 }),
    ).rejects.toThrow(
      "backend.devices = 2: TensorFlow's library on the CPU has 1 device here. Fix: use 1 or auto.",
    );
  });
});

optionalPart(
  "PJRT",
  pluginFor("cpu") !== null,
  cpuPluginMissing,
)(() => {
  const open = async (options: { devices?: number; cache?: string; threads?: number } = {}) => {
    const { openPjrtExecutor } = await import("../../../src/backend/xla/pjrt/executor.ts");
    return openPjrtExecutor({ plugin: pluginFor("cpu")!.path, ...options });
  };

  it("updates a donated argument in place, and counts it", async () => {
    const executor = await open();
    const spec = f32(256, 256);
    const plain = executor.compile(increment(spec), [spec]).memory!;
    const inPlace = executor.compile(increment(spec), [spec], { donate: [0] }).memory!;
    const bytes = 256 * 256 * 4;
    expect([plain.arguments, plain.outputs, plain.aliased]).toEqual([bytes, bytes, 0]);
    expect([inPlace.arguments, inPlace.outputs, inPlace.aliased]).toEqual([bytes, bytes, bytes]);
    executor.close();
  });

  it("refuses a number of outputs that is not the program's", async () => {
    const executor = await open();
    expect(() => executor.compile(increment(f32(2)), [f32(2), f32(2)])).toThrow(
      "has 1 results, and 2 were declared",
    );
    executor.close();
  });

  it("names an argument of the wrong shape", async () => {
    const executor = await open();
    const compiled = executor.compile(increment(f32(2, 3)), [f32(2, 3)]);
    expect(() => compiled.run([executor.upload(new Float32Array(1), f32())])).toThrow(
      /parameter 0 of size 24/,
    );
    executor.close();
  });

  it("keeps compiled programs, and compiles anew when a file is damaged", async () => {
    const cache = mkdtempSync(join(tmpdir(), "rlpt-test-"));
    try {
      const executor = await open({ cache });
      const runs: boolean[] = [];
      const once = () => {
        const compiled = executor.compile(increment(f32(5)), [f32(5)]);
        runs.push(compiled.cached);
        const [output] = compiled.run([executor.upload(Float32Array.of(1, 2, 3, 4, 5), f32(5))]);
        expect(executor.download(output!)).toEqual(Float32Array.of(2, 3, 4, 5, 6));
      };
      once();
      once();
      const [file] = readdirSync(cache);
      writeFileSync(join(cache, file!), "torn");
      once();
      once();
      expect(runs).toEqual([false, true, false, true]);
      expect(executor.compile(increment(f32(6)), [f32(6)]).cached).toBe(false);
      executor.close();
    } finally {
      rmSync(cache, { recursive: true, force: true });
    }
  });

  it("runs one program on several devices, the batch cut by rows", async () => {
    const executor = await open({ devices: 2 });
    expect(executor.devices).toHaveLength(2);
    const rows = 'mhlo.sharding = "{devices=[2,1]<=[2]}"';
    const whole = 'mhlo.sharding = "{replicated}"';
    // the mean over rows needs a sum across devices; x w stays where its rows are
    const text = `module @spmd attributes {mhlo.num_partitions = 2 : i32, mhlo.num_replicas = 1 : i32} {
      func.func public @main(%x: tensor<4x2xf32> {${rows}}, %w: tensor<2x2xf32> {${whole}}) -> (tensor<2xf32> {${whole}}, tensor<4x2xf32> {${rows}}) {
        %p = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] : (tensor<4x2xf32>, tensor<2x2xf32>) -> tensor<4x2xf32>
        %zero = stablehlo.constant dense<0.0> : tensor<f32>
        %s = stablehlo.reduce(%p init: %zero) applies stablehlo.add across dimensions = [0] : (tensor<4x2xf32>, tensor<f32>) -> tensor<2xf32>
        return %s, %p : tensor<2xf32>, tensor<4x2xf32>
      }
    }`;
    const x = executor.upload(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), f32(4, 2), "rows");
    const w = executor.upload(Float32Array.of(1, 0, 0, 10), f32(2, 2), "replicated");
    expect(executor.download(x)).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    const compiled = executor.compile(text, [f32(2), f32(4, 2)], {
      partitions: 2,
      outputShardings: ["replicated", "rows"],
    });
    const [sums, products] = compiled.run([x, w]);
    expect(executor.download(sums!)).toEqual(Float32Array.of(16, 200));
    expect(await executor.read(products!)).toEqual(Float32Array.of(1, 20, 3, 40, 5, 60, 7, 80));
    expect(() => compiled.run([x, executor.upload(new Float32Array(4), f32(2, 2))])).toThrow(
      "argument 1, a tensor<2x2xf32>, lies on 1 devices; the program runs on 2",
    );
    expect(() => executor.upload(new Float32Array(3), f32(3), "rows")).toThrow(
      "cannot be cut into 2 equal parts",
    );
    expect(() => executor.compile(text, [f32(2), f32(4, 2)], { partitions: 3 })).toThrow("there are 2");
    executor.close();
  });

  it("opens no file that is not a plugin", async () => {
    const { openPlugin } = await import("../../../src/backend/xla/pjrt/api.ts");
    expect(() => openPlugin("/nowhere/plugin.so")).toThrow(/^\/nowhere\/plugin\.so: cannot be loaded: /);
    expect(() => openPlugin("libm.so.6")).toThrow("is no PJRT plugin: it exports no GetPjrtApi");
  });
});
