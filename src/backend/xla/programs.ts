/** Compiled programs by their text, so that a step that comes again is not compiled again. */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { emitModule, type ModuleText } from "./emit.ts";
import { bytesOf, type DeviceBuffer, type Executor, type Program } from "./executor.ts";
import type { Value } from "./graph.ts";

export interface CompiledCall {
  entry: Entry;
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

/** A program, and what a profile says of it. */
interface Entry extends ProgramTimes {
  readonly program: Program;
}

export interface ProgramTimes {
  /** What was asked for when it was compiled. */
  readonly name: string;
  readonly operations: number;
  /** Of arguments that differ from run to run, the largest first. */
  readonly shapes: readonly string[];
  calls: number;
  /** Seconds of runs, where they are waited for. */
  seconds: number;
  readonly compileSeconds: number;
}

/** What is known of one structure: which of its scalars have changed from one time to the next. */
interface Structure {
  scalars: number[];
  changing: Set<number>;
}

/** Programs of one executor. */
export class ProgramCache {
  private readonly executor: Executor;
  private readonly programs = new Map<string, Entry>();
  private readonly structures = new Map<string, Structure>();
  private runs = 0;
  /** Each run is waited for and timed: for profiles, since it keeps host and device from working side by side. */
  timed = false;

  constructor(executor: Executor) {
    this.executor = executor;
  }

  get statistics(): ProgramStatistics {
    // some executors compile at the first run and know only then how long it took
    const compileSeconds = [...this.programs.values()].reduce(
      (sum, { program }) => sum + program.compileSeconds,
      0,
    );
    return { compilations: this.programs.size, compileSeconds, runs: this.runs };
  }

  get times(): ProgramTimes[] {
    return [...this.programs.values()].map(({ program, ...times }) => ({
      ...times,
      compileSeconds: program.compileSeconds,
    }));
  }

  run({ entry }: CompiledCall, buffers: readonly DeviceBuffer[]): DeviceBuffer[] {
    this.runs++;
    entry.calls++;
    if (!this.timed) return entry.program.run(buffers);
    const began = performance.now();
    const results = entry.program.run(buffers);
    const smallest = results.reduce((a, b) => (bytesOf(b.spec) < bytesOf(a.spec) ? b : a));
    this.executor.download(smallest);
    entry.seconds += (performance.now() - began) / 1000;
    return results;
  }

  /**
   * The program that computes `outputs`. Scalars of the host stand in its text until one of them is seen with a second value
   * (a learning rate, a step's number): from then on that one is an argument, so that it costs no new program.
   * @param donated says whether an argument's memory may be reused
   * @param name for profiles
   */
  prepare(outputs: readonly Value[], donated: (value: Value) => boolean, name = "other"): CompiledCall {
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
    let entry = this.programs.get(key);
    if (entry === undefined) {
      const module = emitModule(outputs, { asArgument: (index) => known.changing.has(index) });
      dump(module);
      entry = {
        program: this.executor.compile(module.text, module.outputs, { donate }),
        name,
        operations: module.operations,
        shapes: batchShapes(values),
        calls: 0,
        seconds: 0,
        compileSeconds: 0,
      };
      this.programs.set(key, entry);
      this.structures.set(abstract.text, known);
    }
    return { entry, arguments: values };
  }

  dispose(): void {
    for (const { program } of this.programs.values()) program.free();
    this.programs.clear();
    this.structures.clear();
  }
}

/** Shapes of numbers that come from the host, which are the batch: the three largest. */
function batchShapes(values: readonly Value[]): string[] {
  const fresh = values.filter(({ definition, size }) => definition.kind === "host" && size > 1);
  const shapes = [...fresh].sort((a, b) => b.size - a.size).map(({ type, shape }) => `${type}[${shape}]`);
  return [...new Set(shapes)].slice(0, 3);
}

function numberOf({ definition }: Value): number {
  return definition.kind === "host" ? Number(definition.data[0]!) : Number.NaN;
}
