/** What a compiled program computes and moves, kernel by kernel, and the least time a card takes for that. */
import {
  bytesOfShape,
  elementsOf,
  type HloComputation,
  type HloInstruction,
  type HloModule,
} from "./hlo-module.ts";

export interface KernelCost {
  /** Floating-point operations of its matrix products. */
  flops: number;
  /** Whether these multiply halves (tensor cores) and not 32-bit floats. */
  halves: boolean;
  /** Bytes read and written. */
  bytes: number;
  /** How often it runs in one run of the program. */
  times: number;
}

/** Rates of a card. */
export interface CardRates {
  /** Floating-point operations a second on 32-bit floats, and on bfloat16. */
  readonly flops: number;
  readonly halfFlops: number;
  /** Bytes a second. */
  readonly bandwidth: number;
}

/** They rename or describe memory, or are counted where they start. */
const FREE = new Set([
  "parameter",
  "constant",
  "tuple",
  "get-tuple-element",
  "bitcast",
  "after-all",
  "partition-id",
  "replica-id",
  "optimization-barrier",
  "async-done",
  "async-update",
  "copy-done",
  "all-reduce-done",
  "all-gather-done",
  "collective-permute-done",
]);

const HALF_TYPES = new Set([10, 16]);

/**
 * @param turns of loops whose number of turns the compiler does not know
 * @returns the kernels of one run
 */
export function kernelsOf(module: HloModule, turns: number): KernelCost[] {
  const kernels: KernelCost[] = [];
  const visit = (id: number, times: number): void => {
    const computation = module.computations.get(id)!;
    for (const instruction of computation.instructions.values()) {
      const { opcode, calls } = instruction;
      if (FREE.has(opcode)) continue;
      if (opcode === "while") {
        // body and condition
        for (const call of calls) visit(call, times * (knownTurns(instruction) ?? turns));
      } else if (opcode === "call" || opcode === "conditional") {
        for (const call of calls) visit(call, times);
      } else {
        kernels.push({ ...kernelCost(module, computation, instruction), times });
      }
    }
  };
  visit(module.entry, 1);
  return kernels;
}

/** Seconds, were every kernel as fast as the slower of its arithmetic and its memory traffic allows. */
export function rooflineSeconds(kernels: readonly KernelCost[], card: CardRates): number {
  let seconds = 0;
  for (const { flops, halves, bytes, times } of kernels) {
    const rate = halves ? card.halfFlops : card.flops;
    seconds += times * Math.max(flops / rate, bytes / card.bandwidth);
  }
  return seconds;
}

export function totalCost(kernels: readonly KernelCost[]): { flops: number; bytes: number; kernels: number } {
  const total = { flops: 0, bytes: 0, kernels: 0 };
  for (const { flops, bytes, times } of kernels) {
    total.flops += flops * times;
    total.bytes += bytes * times;
    total.kernels += times;
  }
  return total;
}

/** Turns of a loop, where the compiler could count them. */
export function knownTurns({ config }: HloInstruction): number | null {
  const found = /"known_trip_count":\{"n":"(\d+)"\}/.exec(config);
  return found === null ? null : Number(found[1]);
}

function kernelCost(
  module: HloModule,
  computation: HloComputation,
  instruction: HloInstruction,
): Omit<KernelCost, "times"> {
  const { opcode, calls } = instruction;
  if (opcode === "fusion" || opcode === "async-start") {
    const inner = module.computations.get(calls[0]!)!;
    const products = [...inner.instructions.values()].filter((one) => one.opcode === "dot");
    return {
      flops: products.reduce((sum, one) => sum + productFlops(inner, one), 0),
      halves: products.some((one) => multipliesHalves(inner, one)),
      bytes: fusionBytes(inner, instruction),
    };
  }
  return {
    flops: productFlops(computation, instruction),
    halves: multipliesHalves(computation, instruction),
    bytes: instructionBytes(computation, instruction),
  };
}

/** 2 M N K of a matrix product; 0 of anything else. */
function productFlops(computation: HloComputation, instruction: HloInstruction): number {
  const contracting = instruction.contracting ?? contractingOfCall(instruction);
  if (contracting === null) return 0;
  const left = computation.instructions.get(instruction.operands[0]!)!.shape;
  const summed = contracting.reduce((product, axis) => product * left.dimensions[axis]!, 1);
  const { shape } = instruction;
  return 2 * elementsOf(shape.parts[0] ?? shape) * summed;
}

/** cuBLAS calls say in their configuration what they sum over. */
function contractingOfCall({ opcode, target, config }: HloInstruction): number[] | null {
  if (opcode !== "custom-call" || !target.startsWith("__cublas$")) return null;
  const found = /"lhs_contracting_dimensions":\[([^\]]*)\]/.exec(config);
  return found === null ? null : [...found[1]!.matchAll(/\d+/g)].map(([digits]) => Number(digits));
}

function multipliesHalves(computation: HloComputation, instruction: HloInstruction): boolean {
  const first = computation.instructions.get(instruction.operands[0] ?? -1);
  return first !== undefined && HALF_TYPES.has(first.shape.type);
}

/** What reads or writes a part of an array moves that part. */
function instructionBytes(computation: HloComputation, instruction: HloInstruction): number {
  const { opcode, operands, shape } = instruction;
  const of = (index: number) => bytesOfShape(computation.instructions.get(operands[index]!)!.shape);
  if (opcode === "dynamic-slice" || opcode === "slice") return 2 * bytesOfShape(shape);
  if (opcode === "gather") return 2 * bytesOfShape(shape) + of(1);
  if (opcode === "dynamic-update-slice") return 2 * of(1);
  if (opcode === "scatter") return 2 * of(2) + of(1);
  return bytesOfShape(shape) + operands.reduce((sum, _, index) => sum + of(index), 0);
}

/** Parameters that are only cut or looked up in, and results that are written in place, count by the part that moves. */
function fusionBytes(inner: HloComputation, fusion: HloInstruction): number {
  const all = [...inner.instructions.values()];
  let bytes = 0;
  for (const parameter of all) {
    if (parameter.opcode !== "parameter") continue;
    const users = all.filter(({ operands }) => operands.includes(parameter.id));
    const moved = users.map((user) => movedOf(inner, user, parameter.id));
    const parts = moved.every((part) => part !== null) ? moved.reduce((sum, part) => sum + part, 0) : null;
    bytes += Math.min(bytesOfShape(parameter.shape), parts ?? Number.POSITIVE_INFINITY);
  }
  const root = inner.instructions.get(inner.root)!;
  const results = root.opcode === "tuple" ? root.operands.map((id) => inner.instructions.get(id)!) : [root];
  for (const result of results) bytes += writtenBytes(inner, result);
  return results.length === 0 ? bytes + bytesOfShape(fusion.shape) : bytes;
}

/** Bytes that `user` reads of an operand; null: all of it. */
function movedOf(inner: HloComputation, user: HloInstruction, operand: number): number | null {
  if (user.operands[0] !== operand) return null;
  switch (user.opcode) {
    case "dynamic-slice":
    case "slice":
    case "gather":
      return bytesOfShape(user.shape);
    case "dynamic-update-slice":
      return 0;
    case "bitcast": {
      const users = [...inner.instructions.values()].filter(({ operands }) => operands.includes(user.id));
      const moved = users.map((next) => movedOf(inner, next, user.id));
      return moved.every((part) => part !== null) ? moved.reduce((sum, part) => sum + part, 0) : null;
    }
    default:
      return null;
  }
}

function writtenBytes(inner: HloComputation, result: HloInstruction): number {
  let from = result;
  while (from.opcode === "bitcast") from = inner.instructions.get(from.operands[0]!)!;
  if (from.opcode !== "dynamic-update-slice") return bytesOfShape(result.shape);
  return bytesOfShape(inner.instructions.get(from.operands[1]!)!.shape);
}
