/** Compiled programs by their text, so that a step that comes again is not compiled again. */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import type { ProgramStatistics, ProgramTimes } from "../engine.ts";
import { forDevices } from "./data-parallel.ts";
import { emitModule, type ModuleText } from "./emit.ts";
import { bytesOf, type DeviceBuffer, type Executor, type Program } from "./executor.ts";
import type { Value } from "./graph.ts";
import { StructureMap, structureOf } from "./structure.ts";

export interface CompiledCall {
  entry: Entry;
  /** Values that the program takes, in order. */
  arguments: readonly Value[];
}

/** With RLPT_XLA_DUMP=folder every program's text is written there, in the order of compilation. */
function dump(text: string): void {
  const folder = process.env["RLPT_XLA_DUMP"];
  if (folder === undefined) return;
  mkdirSync(folder, { recursive: true });
  const number = String(readdirSync(folder).length).padStart(4, "0");
  writeFileSync(join(folder, `${number}.mlir`), text);
}

/** A program, and what a profile says of it. */
interface Entry extends ProgramTimes {
  readonly program: Program;
  /** Of its arguments: places among the structure's inputs and, after those, its scalars. */
  readonly takes: readonly number[];
}

/** What is known of one structure. */
interface Structure {
  /** Its scalars when it was seen first, and which of them have had another value since. */
  readonly scalars: readonly number[];
  readonly changing: Set<number>;
  /** By donation, and by the scalars that do not change. */
  readonly programs: Map<string, Entry>;
}

/** Programs of one executor. */
export class ProgramCache {
  private readonly executor: Executor;
  private readonly structures = new StructureMap<Structure>();
  private runs = 0;
  private timed = false;

  constructor(executor: Executor) {
    this.executor = executor;
  }

  /** From now on each run is waited for and timed: for profiles, since it keeps host and device from working side by side. */
  startTiming(): void {
    this.timed = true;
    for (const entry of this.entries()) {
      entry.calls = 0;
      entry.seconds = 0;
    }
  }

  get statistics(): ProgramStatistics {
    // some executors compile at the first run and know only then how long it took
    const entries = this.entries();
    const compileSeconds = entries.reduce((sum, { program }) => sum + program.compileSeconds, 0);
    return { compilations: entries.length, compileSeconds, runs: this.runs };
  }

  get times(): ProgramTimes[] {
    return this.entries().map(({ program, takes: _, ...times }) => ({
      ...times,
      compileSeconds: program.compileSeconds,
      ownBytes: ownBytes(program),
      kept: program.cached,
    }));
  }

  private entries(): Entry[] {
    return [...this.structures.values()].flatMap(({ programs }) => [...programs.values()]);
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
    const structure = structureOf(outputs);
    const { inputs } = structure;
    const scalars = structure.scalars.map(numberOf);
    let known = this.structures.get(structure);
    if (known === undefined) {
      known = { scalars, changing: new Set(), programs: new Map() };
      this.structures.set(structure, known);
    }
    const { changing, programs } = known;
    for (const [i, value] of scalars.entries()) {
      if (!Object.is(known.scalars[i], value)) changing.add(i);
    }
    const lent = inputs.flatMap((value, i) => (donated(value) ? [i] : []));
    const fixed = scalars.filter((_, i) => !changing.has(i));
    const key = `${lent}|${[...changing]}|${fixed}`;
    const values = [...inputs, ...structure.scalars];
    let entry = programs.get(key);
    if (entry === undefined) {
      const places = new Map(values.map((value, i) => [value, i]));
      const isArgument = (value: Value) => changing.has(places.get(value)! - inputs.length);
      const module = emitModule(outputs, isArgument);
      const text = this.textOf(module, outputs);
      dump(text);
      const donate = module.arguments.flatMap((value, i) => (lent.includes(places.get(value)!) ? [i] : []));
      entry = {
        program: this.executor.compile(text, module.outputs, {
          donate,
          partitions: this.executor.devices.length,
          outputShardings: outputs.map(({ sharding }) => sharding),
        }),
        takes: module.arguments.map((value) => places.get(value)!),
        name,
        operations: module.operations,
        shapes: batchShapes(module.arguments),
        calls: 0,
        seconds: 0,
        compileSeconds: 0,
        ownBytes: null,
        kept: false,
      };
      programs.set(key, entry);
    }
    return { entry, arguments: entry.takes.map((i) => values[i]!) };
  }

  private textOf({ text, arguments: values }: ModuleText, outputs: readonly Value[]): string {
    const devices = this.executor.devices.length;
    if (devices === 1) return text;
    const shardings = (of: readonly Value[]) => of.map(({ sharding }) => sharding);
    return forDevices(text, devices, shardings(values), shardings(outputs));
  }

  dispose(): void {
    for (const { program } of this.entries()) program.free();
    this.structures.clear();
  }
}

function ownBytes({ memory }: Program): number | null {
  if (memory === null) return null;
  return memory.temporary + memory.generated + Math.max(0, memory.outputs - memory.aliased);
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
