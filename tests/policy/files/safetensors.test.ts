import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { bfloat16ToFloat, floatToBfloat16, floatToHalf, halfTable } from "../../../src/policy/files/half.ts";
import {
  openSafetensors,
  openSafetensorsDirectory,
  readSafetensorsHeader,
} from "../../../src/policy/files/safetensors.ts";
import {
  type SavedDtype,
  writeSafetensors,
  writeSafetensorsDirectory,
} from "../../../src/policy/files/safetensors-write.ts";

const root = mkdtempSync(join(tmpdir(), "rlpt-safetensors-"));
afterAll(() => rmSync(root, { recursive: true }));
const fresh = (): string => mkdtempSync(join(root, "d"));
const golden = JSON.parse(readFileSync("tests/golden/files/weights.json", "utf8")).safetensors as {
  file: string;
  tensors: Record<string, { shape: number[]; f32: string }>;
};

/** A file from a header (text or object) and data bytes. */
function fileOf(header: unknown, data: Uint8Array = new Uint8Array(), headerBytes?: bigint): string {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, headerBytes ?? BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  const path = join(fresh(), "model.safetensors");
  writeFileSync(path, bytes);
  return path;
}

test("reads every dtype of a file written by the reference library", () => {
  const path = join(fresh(), "golden.safetensors");
  writeFileSync(path, Buffer.from(golden.file, "base64"));
  const source = openSafetensors(path);
  expect([...source.names].sort()).toEqual(Object.keys(golden.tensors).sort());
  expect(source.names.length).toBe(12);
  for (const [name, { shape, f32 }] of Object.entries(golden.tensors)) {
    expect(source.shape(name)).toEqual(shape);
    const expected = new Float32Array(new Uint8Array(Buffer.from(f32, "base64")).buffer);
    expect(source.read(name), name).toEqual(expected);
  }
  source.close();
});

test("write and read give the values back, rounded to the dtype", () => {
  const tensor = fc.record({
    name: fc.string({ minLength: 1, maxLength: 12 }).filter((name) => name !== "__metadata__"),
    shape: fc.array(fc.nat(4), { maxLength: 3 }),
  });
  const table = halfTable();
  const round: Record<SavedDtype, (x: number) => number> = {
    F32: (x) => x,
    BF16: (x) => bfloat16ToFloat(floatToBfloat16(x)),
    F16: (x) => table[floatToHalf(x)]!,
  };
  fc.assert(
    fc.property(
      fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 6 }),
      fc.constantFrom<SavedDtype>("F32", "BF16", "F16"),
      fc.nat(),
      (specs, dtype, salt) => {
        const tensors = specs.map(({ name, shape }) => {
          const size = shape.reduce((a, b) => a * b, 1);
          return {
            name,
            shape,
            data: Float32Array.from({ length: size }, (_, i) => Math.sin(salt + i * 1.7) * 100),
          };
        });
        const directory = fresh();
        expect(writeSafetensorsDirectory(directory, tensors, { dtype })).toEqual(["model.safetensors"]);
        expect(readdirSync(directory)).toEqual(["model.safetensors"]);
        const source = openSafetensorsDirectory(directory);
        expect([...source.names].sort()).toEqual(tensors.map(({ name }) => name).sort());
        for (const { name, shape, data } of tensors) {
          expect(source.shape(name)).toEqual(shape);
          expect(source.dtype(name)).toBe(dtype);
          expect(source.read(name)).toEqual(data.map(round[dtype]));
        }
        source.close();
        rmSync(directory, { recursive: true });
      },
    ),
    {
      numRuns: 60,
      examples: [
        [
          [
            { name: "__proto__", shape: [1] },
            { name: "1", shape: [2] },
          ],
          "F32",
          0,
        ],
      ],
    },
  );
});

test("writes sorted, aligned, with format pt, whatever the order of arrival", () => {
  const make = (name: string) => ({ name, shape: [1], data: Float32Array.of(name.charCodeAt(0)) });
  const [first, second] = [fresh(), fresh()];
  writeSafetensors(first, "x.safetensors", [make("b"), make("a"), make("c")]);
  writeSafetensors(second, "x.safetensors", [make("c"), make("b"), make("a")]);
  const bytes = readFileSync(join(first, "x.safetensors"));
  expect(bytes).toEqual(readFileSync(join(second, "x.safetensors")));
  const { tensors, metadata } = readSafetensorsHeader(join(first, "x.safetensors"));
  expect([...tensors.keys()]).toEqual(["a", "b", "c"]);
  expect(tensors.get("a")!.begin % 8).toBe(0);
  expect(metadata).toEqual({ format: "pt" });
});

test("data starts aligned whatever the length of the header", () => {
  for (let length = 1; length <= 9; length++) {
    const directory = fresh();
    const name = "n".repeat(length);
    writeSafetensors(directory, "x.safetensors", [{ name, shape: [1], data: Float32Array.of(1) }]);
    expect(readSafetensorsHeader(join(directory, "x.safetensors")).tensors.get(name)!.begin % 8).toBe(0);
  }
});

test("consumes tensors one at a time", () => {
  let alive = 0;
  function* tensors() {
    for (const name of ["a", "b"]) {
      alive++;
      yield { name, shape: [2], data: Float32Array.of(alive, alive) };
    }
  }
  const directory = fresh();
  writeSafetensorsDirectory(directory, tensors());
  expect(openSafetensorsDirectory(directory).read("b")).toEqual(Float32Array.of(2, 2));
});

test("splits into shards above the limit and reads them back", () => {
  const tensors = ["a", "b", "c", "d"].map((name, i) => ({
    name,
    shape: [10],
    data: new Float32Array(10).fill(i),
  }));
  const directory = fresh();
  const files = writeSafetensorsDirectory(directory, tensors, { maxShardBytes: 80 });
  expect(files).toEqual([
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
  ]);
  const index = JSON.parse(readFileSync(join(directory, "model.safetensors.index.json"), "utf8"));
  expect(index.metadata.total_size).toBe(160);
  expect(index.weight_map.c).toBe("model-00002-of-00002.safetensors");
  const source = openSafetensorsDirectory(directory);
  for (const { name, data } of tensors) expect(source.read(name)).toEqual(data);
  source.close();
});

test("a tensor larger than one read is decoded whole", () => {
  const data = Float32Array.from({ length: 2_500_001 }, (_, i) => i % 251);
  const directory = fresh();
  writeSafetensorsDirectory(directory, [{ name: "x", shape: [data.length], data }], { dtype: "BF16" });
  expect(
    Buffer.compare(
      Buffer.from(openSafetensorsDirectory(directory).read("x").buffer),
      Buffer.from(data.buffer),
    ),
  ).toBe(0);
});

const F4 = new Uint8Array(16);
test.each<[string, () => string, RegExp]>([
  [
    "short",
    () => {
      const p = join(fresh(), "m");
      writeFileSync(p, "abc");
      return p;
    },
    /is 3 bytes long, too short/,
  ],
  [
    "lfs pointer",
    () => {
      const p = join(fresh(), "m");
      writeFileSync(p, "version https://git-lfs.github.com/spec/v1\noid");
      return p;
    },
    /Git LFS pointer/,
  ],
  [
    "header beyond the file",
    () => fileOf({}, F4, 1000n),
    /header has 1000 bytes, but the file has 26: it is truncated/,
  ],
  ["huge header", () => fileOf({}, F4, 2n ** 63n), /says its header has 9223372036854775808 bytes/],
  ["bad JSON", () => fileOf('{"é": nope}'), /header is not valid JSON at byte 7/],
  ["not an object", () => fileOf("[1]   "), /header is not a JSON object/],
  [
    "duplicate key",
    () =>
      fileOf(
        '{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}',
      ),
    /key "a" twice/,
  ],
  [
    "unknown dtype",
    () => fileOf({ x: { dtype: "F8_E4M3", shape: [4], data_offsets: [0, 4] } }, F4),
    /tensor x has dtype F8_E4M3, which is not supported/,
  ],
  [
    "size",
    () => fileOf({ x: { dtype: "BF16", shape: [2, 3], data_offsets: [0, 16] } }, F4),
    /tensor x: shape \[2, 3\] of BF16 needs 12 bytes, the header gives 16/,
  ],
  [
    "shape",
    () => fileOf({ x: { dtype: "F32", shape: [-1], data_offsets: [0, 4] } }, F4),
    /shape \[-1\] is not a list of sizes/,
  ],
  [
    "offsets",
    () => fileOf({ x: { dtype: "F32", shape: [1], data_offsets: [4, 0] } }, F4),
    /data_offsets \[4,0\] are not a byte range/,
  ],
  [
    "gap",
    () => fileOf({ x: { dtype: "F32", shape: [2], data_offsets: [4, 12] } }, F4),
    /tensor x starts at 4, expected 0/,
  ],
  [
    "overlap",
    () =>
      fileOf(
        {
          x: { dtype: "F32", shape: [2], data_offsets: [0, 8] },
          y: { dtype: "F32", shape: [3], data_offsets: [4, 16] },
        },
        F4,
      ),
    /tensor y starts at 4, expected 8/,
  ],
  [
    "truncated",
    () => fileOf({ x: { dtype: "F32", shape: [5], data_offsets: [0, 20] } }, F4),
    /data ends at 20, the file has 16 \(truncated download\?\)/,
  ],
  [
    "trailing",
    () => fileOf({ x: { dtype: "F32", shape: [3], data_offsets: [0, 12] } }, F4),
    /data ends at 12, the file has 16/,
  ],
])("refuses a file: %s", (_name, make, message) => {
  const path = make();
  expect(() => openSafetensors(path)).toThrow(message);
  expect(() => openSafetensors(path)).toThrow(path);
});

test("integers beyond 2^53 are an error, not a rounded number", () => {
  const data = new Uint8Array(8);
  new DataView(data.buffer).setBigUint64(0, 2n ** 53n + 1n, true);
  const source = openSafetensors(fileOf({ x: { dtype: "U64", shape: [1], data_offsets: [0, 8] } }, data));
  expect(() => source.read("x")).toThrow(/tensor x holds 9007199254740993, beyond 2\^53/);
});

test("headers of unaligned length are read", () => {
  const data = new Uint8Array(new Float32Array([1, 2]).buffer);
  for (const pad of ["", " ", "  ", "   "]) {
    const header = `${JSON.stringify({ x: { dtype: "F32", shape: [2], data_offsets: [0, 8] } })}${pad}`;
    expect(openSafetensors(fileOf(header, data)).read("x")).toEqual(Float32Array.of(1, 2));
  }
});

test("index and shards must agree", () => {
  const build = (edit: (map: Record<string, string>, directory: string) => void): string => {
    const directory = fresh();
    const tensors = ["a", "b"].map((name) => ({ name, shape: [2], data: new Float32Array(2) }));
    writeSafetensorsDirectory(directory, tensors, { maxShardBytes: 8 });
    const path = join(directory, "model.safetensors.index.json");
    const index = JSON.parse(readFileSync(path, "utf8"));
    edit(index.weight_map, directory);
    writeFileSync(path, JSON.stringify(index));
    return directory;
  };
  const [one, two] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
  expect(() =>
    openSafetensorsDirectory(
      build((map) => {
        map["b"] = one!;
      }),
    ),
  ).toThrow(/maps b to model-00001-of-00002.safetensors, which does not contain it/);
  expect(() =>
    openSafetensorsDirectory(
      build((map) => {
        map["b"] = `../${two}`;
      }),
    ),
  ).toThrow(/not a file of its own folder/);
  expect(() =>
    openSafetensorsDirectory(
      build((map) => {
        map["b"] = "..";
      }),
    ),
  ).toThrow(/not a file of its own folder/);
  expect(() => openSafetensorsDirectory(build((_, d) => rmSync(join(d, two!))))).toThrow(
    /names model-00002-of-00002.safetensors, which is missing/,
  );
  const extra = build((_, d) =>
    writeSafetensors(
      d,
      two!,
      ["b", "z"].map((name) => ({ name, shape: [2], data: new Float32Array(2) })),
    ),
  );
  expect(() => openSafetensorsDirectory(extra)).toThrow(/contains z, which .* does not list/);
});

test("a directory without safetensors says what it has", () => {
  const directory = fresh();
  expect(() => openSafetensorsDirectory(directory)).toThrow(/has no model.safetensors/);
  writeFileSync(join(directory, "pytorch_model.bin"), "x");
  expect(() => openSafetensorsDirectory(directory)).toThrow(/pytorch_model.bin found but no safetensors/);
});

test("writing refuses wrong shapes and duplicates, and leaves nothing behind", () => {
  const directory = fresh();
  const a = { name: "a", shape: [3], data: new Float32Array(2) };
  expect(() => writeSafetensorsDirectory(directory, [a])).toThrow(/a has shape \[3\] but 2 values/);
  const b = { name: "b", shape: [2], data: new Float32Array(2) };
  expect(() => writeSafetensorsDirectory(directory, [b, b])).toThrow(/b would be written twice/);
  expect(readdirSync(directory)).toEqual([]);
});
