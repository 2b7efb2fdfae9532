import { expect, it } from "vitest";
import { protoBytes, protoVarint } from "../../../src/backend/xla/native.ts";
import { kernelsOf, rooflineSeconds, totalCost } from "../../../src/backend/xla/pjrt/hlo-cost.ts";
import { readHloModule } from "../../../src/backend/xla/pjrt/hlo-module.ts";

const F32 = 11;
const BF16 = 16;
const S32 = 4;

interface Line {
  id: number;
  opcode: string;
  type?: number;
  shape: number[];
  operands?: number[];
  calls?: number[];
  contracting?: number[];
  target?: string;
  config?: string;
}

/** Writes what the reader reads, by the field numbers of hlo.proto. */
function instruction(line: Line): number[] {
  const shape = [
    ...protoVarint(2, line.type ?? F32),
    // one by one and packed are both allowed
    ...(line.shape.length > 1
      ? protoBytes(
          3,
          line.shape.flatMap((size) => protoVarint(0, size).slice(1)),
        )
      : line.shape.flatMap((size) => protoVarint(3, size))),
  ];
  return [
    ...protoBytes(1, Buffer.from(`${line.opcode}.${line.id}`)),
    ...protoBytes(2, Buffer.from(line.opcode)),
    ...protoBytes(3, shape),
    ...(line.contracting === undefined
      ? []
      : protoBytes(30, [...line.contracting.flatMap((axis) => protoVarint(1, axis)), ...protoVarint(2, 0)])),
    ...protoVarint(35, line.id),
    ...(line.operands ?? []).flatMap((id) => protoVarint(36, id)),
    ...(line.calls ?? []).flatMap((id) => protoVarint(38, id)),
    ...protoBytes(28, Buffer.from(line.target ?? "")),
    ...protoBytes(43, Buffer.from(line.config ?? "")),
  ];
}

function computation(id: number, root: number, lines: readonly Line[]): number[] {
  return [
    ...lines.flatMap((line) => protoBytes(2, instruction(line))),
    ...protoVarint(5, id),
    ...protoVarint(6, root),
  ];
}

function moduleOf(entry: number, computations: readonly number[][]) {
  const module = [...computations.flatMap((one) => protoBytes(3, one)), ...protoVarint(6, entry)];
  return readHloModule(Uint8Array.from(protoBytes(1, module)));
}

it("counts products, a fusion's among them, and the bytes that kernels read and write", () => {
  const module = moduleOf(2, [
    computation(1, 12, [
      { id: 10, opcode: "parameter", shape: [8, 32], type: BF16 },
      { id: 11, opcode: "parameter", shape: [32, 4], type: BF16 },
      { id: 12, opcode: "dot", shape: [8, 4], operands: [10, 11], contracting: [1] },
    ]),
    computation(2, 24, [
      { id: 20, opcode: "parameter", shape: [8, 32], type: BF16 },
      { id: 21, opcode: "parameter", shape: [32, 4], type: BF16 },
      { id: 22, opcode: "fusion", shape: [8, 4], operands: [20, 21], calls: [1] },
      { id: 23, opcode: "bitcast", shape: [4, 8], operands: [22] },
      {
        id: 24,
        opcode: "custom-call",
        shape: [4, 4],
        operands: [23, 22],
        target: "__cublas$gemm",
        config: '{"gemm_backend_config":{"dot_dimension_numbers":{"lhs_contracting_dimensions":["1"]}}}',
      },
    ]),
  ]);
  expect(kernelsOf(module, 1)).toEqual([
    { flops: 2 * 8 * 4 * 32, halves: true, bytes: 2 * (8 * 32 + 32 * 4) + 4 * 32, times: 1 },
    { flops: 2 * 4 * 4 * 8, halves: false, bytes: 4 * (32 + 32 + 16), times: 1 },
  ]);
});

it("counts what is looked up in a table or written into a cache, not the whole of it", () => {
  const module = moduleOf(2, [
    computation(1, 14, [
      { id: 10, opcode: "parameter", shape: [1000, 16] },
      { id: 11, opcode: "parameter", shape: [1], type: S32 },
      { id: 12, opcode: "gather", shape: [1, 16], operands: [10, 11] },
      { id: 13, opcode: "parameter", shape: [500, 16] },
      { id: 14, opcode: "dynamic-update-slice", shape: [500, 16], operands: [13, 12, 11] },
    ]),
    computation(2, 23, [
      { id: 20, opcode: "parameter", shape: [1000, 16] },
      { id: 21, opcode: "parameter", shape: [1], type: S32 },
      { id: 22, opcode: "parameter", shape: [500, 16] },
      { id: 23, opcode: "fusion", shape: [500, 16], operands: [20, 21, 22], calls: [1] },
    ]),
  ]);
  // a row read, its index, a row written
  expect(kernelsOf(module, 1)).toEqual([{ flops: 0, halves: false, bytes: 64 + 4 + 64, times: 1 }]);
});

it("turns loops as often as the compiler or the caller says", () => {
  const body = (id: number) =>
    computation(id, 10 * id + 1, [
      { id: 10 * id, opcode: "parameter", shape: [100] },
      { id: 10 * id + 1, opcode: "copy", shape: [100], operands: [10 * id] },
    ]);
  const test = computation(3, 30, [{ id: 30, opcode: "parameter", shape: [] }]);
  const module = moduleOf(4, [
    body(1),
    body(2),
    test,
    computation(4, 42, [
      { id: 40, opcode: "parameter", shape: [100] },
      {
        id: 41,
        opcode: "while",
        shape: [100],
        operands: [40],
        calls: [1, 3],
        config: '{"known_trip_count":{"n":"5"}}',
      },
      { id: 42, opcode: "while", shape: [100], operands: [41], calls: [2, 3] },
    ]),
  ]);
  const kernels = kernelsOf(module, 7);
  expect(kernels.map(({ times }) => times)).toEqual([5, 7]);
  expect(totalCost(kernels)).toEqual({ flops: 0, bytes: 12 * 800, kernels: 12 });
});

it("takes for each kernel the slower of arithmetic and memory", () => {
  const card = { flops: 100, halfFlops: 1000, bandwidth: 10 };
  const kernel = { flops: 400, halves: false, bytes: 10, times: 1 };
  expect(rooflineSeconds([kernel], card)).toBe(4);
  expect(rooflineSeconds([{ ...kernel, halves: true, times: 3 }], card)).toBe(3);
});
