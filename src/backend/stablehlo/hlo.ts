/**
 * StableHLO operations on values, with NumPy's broadcasting where two operands meet.
 * Text form: https://openxla.org/stablehlo/spec
 */
import { LoopNode, type Value } from "./graph.ts";

export * from "./hlo-elementwise.ts";
export * from "./hlo-layout.ts";
export * from "./hlo-sums.ts";

/** `state = body(state)` while `condition(state)`; both may use values from outside. */
export function whileLoop(
  initial: readonly Value[],
  condition: (state: readonly Value[]) => Value,
  body: (state: readonly Value[]) => readonly Value[],
): readonly Value[] {
  return new LoopNode(initial, condition, body).results;
}
