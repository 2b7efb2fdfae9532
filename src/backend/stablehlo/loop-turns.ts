/** How often the loops of a program turn, from its text and its arguments: those that count a scalar up to a bound. */

export interface LoopTurns {
  /** Of each loop outside of others, in order; null where the text does not tell. */
  readonly turns: (number | null)[];
  /** Scalar results of @main that follow from the text and the arguments; null for the others. */
  readonly results: (number | null)[];
}

interface Loop {
  /** Initial value of each part of its state, by name. */
  readonly initial: string[];
  /** Index of the counter in the state, and the name of its bound; null where it does not count. */
  counter: { index: number; bound: string } | null;
}

/**
 * @param text as emit.ts writes it
 * @param args the numbers of scalar arguments; null for all else
 */
export function loopTurns(text: string, args: readonly (number | null)[]): LoopTurns {
  const definitions = new Map<string, string>();
  const loops = new Map<string, Loop>();
  let current: Loop | null = null;
  let depth = 0;
  let returned: string[] = [];
  for (const line of text.split("\n")) {
    const loop = /^(%\d+):\d+ = stablehlo\.while\((.*?)\) : /.exec(line);
    if (loop !== null) {
      depth++;
      if (depth > 1) continue;
      const initial = loop[2]!.split(", ").map((part) => part.split(" = ")[1]!);
      current = { initial, counter: null };
      loops.set(loop[1]!, current);
    } else if (line === " }") {
      depth--;
      if (depth === 0) current = null;
    } else if (line.startsWith("return ")) {
      returned = line.slice("return ".length).split(" : ")[0]!.split(", ");
    } else if (depth <= 1) {
      const definition = /^(%\d+) = (.*)$/.exec(line);
      if (definition === null) continue;
      definitions.set(definition[1]!, definition[2]!);
      // the condition comes before the body, whose comparisons do not count
      const test = /^stablehlo\.compare LT, %state\d+_(\d+), (%[\w#]+)/.exec(definition[2]!);
      if (current !== null && current.counter === null && test !== null)
        current.counter = { index: Number(test[1]), bound: test[2]! };
    }
  }

  function numberOf(name: string): number | null {
    const argument = /^%arg(\d+)$/.exec(name);
    if (argument !== null) return args[Number(argument[1])] ?? null;
    const result = /^(%\d+)#(\d+)$/.exec(name);
    if (result !== null) {
      const loop = loops.get(result[1]!);
      if (loop === undefined || loop.counter?.index !== Number(result[2])) return null;
      const [from, to] = [numberOf(loop.initial[loop.counter.index]!), numberOf(loop.counter.bound)];
      return from === null || to === null ? null : Math.max(from, to);
    }
    const operation = definitions.get(name) ?? "";
    const literal = /^stablehlo\.constant dense<([^>]+)> : tensor<\w+>$/.exec(operation);
    if (literal !== null) return Number.isNaN(Number(literal[1])) ? null : Number(literal[1]);
    const sum = /^stablehlo\.add (%[\w#]+), (%[\w#]+) : tensor<\w+>$/.exec(operation);
    if (sum === null) return null;
    const [a, b] = [numberOf(sum[1]!), numberOf(sum[2]!)];
    return a === null || b === null ? null : a + b;
  }

  const turns = [...loops.values()].map(({ counter, initial }) => {
    if (counter === null) return null;
    const [from, to] = [numberOf(initial[counter.index]!), numberOf(counter.bound)];
    return from === null || to === null ? null : Math.max(0, Math.ceil(to - from));
  });
  return { turns, results: returned.map(numberOf) };
}
