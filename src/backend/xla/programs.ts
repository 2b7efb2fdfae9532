/** Compiled programs by their text, so that a step that comes again is not compiled again. */
import { performance } from "node:perf_hooks";
import { emitModule, type ModuleText } from "./emit.ts";
import type { Executor, Program } from "./executor.ts";
import type { Value } from "./graph.ts";

export interface CompiledCall {
  program: Program;
  /** Values that the program takes, in order. */
  arguments: readonly Value[];
}

export interface ProgramStatistics {
  /** Programs compiled so far, and the seconds this took. */
  compilations: number;
  compileSeconds: number;
  /** Runs of programs. */
  runs: number;
}

/** What is known of one structure: which of its scalars have changed from one time to the next. */
interface Structure {
  scalars: number[];
  changing: Set<number>;
}

/** Programs of one executor. */
export class ProgramCache {
  readonly statistics: ProgramStatistics = { compilations: 0, compileSeconds: 0, runs: 0 };
  private readonly executor: Executor;
  private readonly programs = new Map<string, Program>();
  private readonly structures = new Map<string, Structure>();
  private readonly onCompile: (program: Program, module: ModuleText) => void;

  constructor(executor: Executor, onCompile: (program: Program, module: ModuleText) => void = () => {}) {
    this.executor = executor;
    this.onCompile = onCompile;
  }

  /**
   * The program that computes `outputs`. Scalars of the host stand in its text until one of them is seen with a second value
   * (a learning rate, a step's number): from then on that one is an argument, so that it costs no new program.
   * @param donated says whether an argument's memory may be reused
   */
  prepare(outputs: readonly Value[], donated: (value: Value) => boolean): CompiledCall {
    // the text in which every scalar is an argument names the structure
    const scalarOf = new Map<Value, number>();
    const abstract = emitModule(outputs, {
      asArgument: (index, value) => {
        scalarOf.set(value, index);
        return true;
      },
    });
    const scalars = [...scalarOf.keys()].map(numberOf);
    const known = this.structures.get(abstract.text) ?? { scalars, changing: new Set<number>() };
    for (const [i, value] of scalars.entries()) {
      if (!Object.is(known.scalars[i], value)) known.changing.add(i);
    }
    const isArgument = (value: Value) => {
      const index = scalarOf.get(value);
      return index === undefined || known.changing.has(index);
    };
    const values = abstract.arguments.filter(isArgument);
    const donate = values.flatMap((value, i) => (donated(value) ? [i] : []));
    const fixed = scalars.filter((_, i) => !known.changing.has(i));
    const key = `${donate}|${[...known.changing]}|${fixed}|${abstract.text}`;
    let program = this.programs.get(key);
    if (program === undefined) {
      const module = emitModule(outputs, { asArgument: (index) => known.changing.has(index) });
      const began = performance.now();
      program = this.executor.compile(module.text, module.outputs, { donate });
      this.statistics.compilations++;
      this.statistics.compileSeconds += (performance.now() - began) / 1000;
      this.programs.set(key, program);
      this.structures.set(abstract.text, known);
      this.onCompile(program, module);
    }
    return { program, arguments: values };
  }

  dispose(): void {
    for (const program of this.programs.values()) program.free();
    this.programs.clear();
    this.structures.clear();
  }
}

function numberOf({ definition }: Value): number {
  return definition.kind === "host" ? Number(definition.data[0]!) : Number.NaN;
}
