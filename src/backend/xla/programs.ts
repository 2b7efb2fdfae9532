/** Compiled programs by their text, so that a step that comes again is not compiled again. */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { emitModule, type ModuleText } from "./emit.ts";
import type { DeviceBuffer, Executor, Program } from "./executor.ts";
import type { Value } from "./graph.ts";

export interface CompiledCall {
  program: Program;
  /** Values that the program takes, in order. */
  arguments: readonly Value[];
}

export interface ProgramStatistics {
  /** Programs compiled so far, and the seconds this took. */
  readonly compilations: number;
  readonly compileSeconds: number;
  /** Runs of programs. */
  readonly runs: number;
}

/** With RLPT_XLA_DUMP=folder every program's text is written there, in the order of compilation. */
function dump({ text }: ModuleText): void {
  const folder = process.env["RLPT_XLA_DUMP"];
  if (folder === undefined) return;
  mkdirSync(folder, { recursive: true });
  const number = String(readdirSync(folder).length).padStart(4, "0");
  writeFileSync(join(folder, `${number}.mlir`), text);
}

/** What is known of one structure: which of its scalars have changed from one time to the next. */
interface Structure {
  scalars: number[];
  changing: Set<number>;
}

/** Programs of one executor. */
export class ProgramCache {
  private readonly executor: Executor;
  private readonly programs = new Map<string, Program>();
  private readonly structures = new Map<string, Structure>();
  private runs = 0;

  constructor(executor: Executor) {
    this.executor = executor;
  }

  get statistics(): ProgramStatistics {
    // some executors compile at the first run and know only then how long it took
    const compileSeconds = [...this.programs.values()].reduce(
      (sum, program) => sum + program.compileSeconds,
      0,
    );
    return { compilations: this.programs.size, compileSeconds, runs: this.runs };
  }

  run({ program }: CompiledCall, buffers: readonly DeviceBuffer[]): DeviceBuffer[] {
    this.runs++;
    return program.run(buffers);
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
      dump(module);
      program = this.executor.compile(module.text, module.outputs, { donate });
      this.programs.set(key, program);
      this.structures.set(abstract.text, known);
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
