/** What the devices of a partitioned program exchange, read from the compiled program. */
import { knownTurns } from "./hlo-cost.ts";
import { bytesOfShape, type HloInstruction, type HloModule } from "./hlo-module.ts";

const KINDS = ["all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute"] as const;

export interface Collective {
  readonly kind: (typeof KINDS)[number];
  /** Of its result, on each device. */
  readonly bytes: number;
  /** How often it runs in one run of the program. */
  readonly times: number;
  /** In a loop whose number of turns is not known when it is compiled, as that over generated tokens. */
  readonly open: boolean;
}

/** @param turns of loops whose number of turns the compiler does not know */
export function collectivesOf(module: HloModule, turns: number): Collective[] {
  const found: Collective[] = [];
  const visit = (id: number, times: number, open: boolean): void => {
    for (const instruction of module.computations.get(id)!.instructions.values()) {
      const kind = KINDS.find(
        (name) => instruction.opcode === name || instruction.opcode === `${name}-start`,
      );
      if (kind !== undefined) found.push({ kind, bytes: resultBytes(instruction, kind), times, open });
      else if (instruction.opcode === "while") {
        const known = knownTurns(instruction);
        // body and condition
        for (const call of instruction.calls) visit(call, times * (known ?? turns), open || known === null);
      } else if (["call", "conditional", "async-start"].includes(instruction.opcode)) {
        for (const call of instruction.calls) visit(call, times, open);
      }
    }
  };
  visit(module.entry, 1, false);
  return found;
}

/** The start of a gather or permutation has its operands in its result too. */
function resultBytes({ opcode, shape }: HloInstruction, kind: Collective["kind"]): number {
  const both = opcode.endsWith("-start") && (kind === "all-gather" || kind === "collective-permute");
  return bytesOfShape(both ? (shape.parts[1] ?? shape) : shape);
}
