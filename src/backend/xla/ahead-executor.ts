/**
 * An executor without a device: it records programs instead of running them, so that the code of a training step can be
 * traced at its real shapes where neither the card nor the weights are. Reads give numbers that let the host's code go on.
 */
import { BackendError } from "../../lib/errors.ts";
import { partSpec } from "../stablehlo/data-parallel.ts";
import {
  bytesOf,
  type CompileOptions,
  type DeviceBuffer,
  type Executor,
  elementTypes,
  type HostArray,
  type Platform,
  type Program,
  type Sharding,
  type Spec,
  sizeOf,
} from "../stablehlo/executor.ts";
import { type LoopTurns, loopTurns } from "../stablehlo/loop-turns.ts";

/** A program, and what was done with it. */
export interface RecordedProgram {
  /** StableHLO. */
  readonly text: string;
  readonly outputs: readonly Spec[];
  readonly options: CompileOptions;
  readonly runs: RecordedRun[];
}

export interface RecordedRun {
  /** `AheadExecutor.phase` at that time. */
  readonly phase: string;
  /** Bytes of all buffers on one device when it began, its arguments among them. */
  readonly inUse: number;
  /** Turns of its longest loop whose bound is an argument; 1 without. Loops of fixed length the compiler counts itself. */
  readonly turns: number;
  /** Its scalar arguments; null for all else. */
  readonly scalars: readonly (number | null)[];
}

class AheadBuffer implements DeviceBuffer {
  readonly spec: Spec;
  /** Of a scalar, where it is known. */
  readonly number: number | null;
  consumed = false;
  private readonly freed: () => void;

  constructor(spec: Spec, number: number | null, freed: () => void) {
    this.spec = spec;
    this.number = number;
    this.freed = freed;
  }

  free(): void {
    if (this.consumed) return;
    this.consumed = true;
    this.freed();
  }
}

export interface AheadExecutorOptions {
  /** The card, for messages. */
  readonly device: string;
  /** How many of them share each batch; default 1. */
  readonly count?: number;
  /** Of what will run the programs; default cuda. */
  readonly platform?: Platform;
  /** What every element of an array that is read is, by type: a token where integers are read. Default 0. */
  readonly numbers?: (spec: Spec) => number;
}

export class AheadExecutor implements Executor {
  readonly name = "a compiler without a device";
  readonly platform: Platform;
  readonly devices: readonly string[];
  readonly versions = {};
  readonly programs: RecordedProgram[] = [];
  /** What the host is doing: written down with each run. */
  phase = "";
  /** Runs of all programs so far. */
  runs = 0;
  private inUse = 0;
  private readonly numbers: (spec: Spec) => number;

  constructor({ device, count = 1, platform = "cuda", numbers = () => 0 }: AheadExecutorOptions) {
    this.platform = platform;
    this.devices = new Array<string>(count).fill(device);
    this.numbers = numbers;
  }

  /** Bytes of all buffers on one device. */
  get bytes(): number {
    return this.inUse;
  }

  compile(text: string, outputs: readonly Spec[], options: CompileOptions = {}): Program {
    const recorded: RecordedProgram = { text, outputs, options, runs: [] };
    this.programs.push(recorded);
    return {
      outputs,
      memory: null,
      cost: null,
      compileSeconds: 0,
      cached: false,
      run: (args) => this.run(recorded, args as readonly AheadBuffer[]),
      free() {},
    };
  }

  private run(program: RecordedProgram, args: readonly AheadBuffer[]): DeviceBuffer[] {
    const used = args.findIndex(({ consumed }) => consumed);
    if (used >= 0) throw new BackendError(`argument ${used} of a program was freed or donated before`);
    const { inUse } = this;
    const scalars = args.map(({ number }) => number);
    const known = loopTurns(program.text, scalars);
    for (const index of program.options.donate ?? []) args[index]!.free();
    program.runs.push({ phase: this.phase, inUse, turns: openTurns(program.text, known), scalars });
    this.runs++;
    const lies = (i: number) => program.options.outputShardings?.[i] ?? "replicated";
    return program.outputs.map((spec, i) => this.buffer(spec, lies(i), known.results[i] ?? null));
  }

  upload(data: ArrayBufferView, spec: Spec, sharding: Sharding = "replicated"): DeviceBuffer {
    const number = sizeOf(spec.shape) === 1 ? Number((data as HostArray)[0]!) : null;
    return this.buffer(spec, sharding, number);
  }

  private buffer(spec: Spec, sharding: Sharding, number: number | null): AheadBuffer {
    const bytes = bytesOf(partSpec(spec, sharding, this.devices.length));
    this.inUse += bytes;
    return new AheadBuffer(spec, number, () => {
      this.inUse -= bytes;
    });
  }

  download(buffer: DeviceBuffer): HostArray {
    const { spec, number } = buffer as AheadBuffer;
    const { array } = elementTypes[spec.type];
    const numbers = new array(sizeOf(spec.shape)) as Float32Array;
    const value = number ?? this.numbers(spec);
    return value === 0 ? numbers : numbers.fill(value);
  }

  async read(buffer: DeviceBuffer): Promise<HostArray> {
    return this.download(buffer);
  }

  memory(): null {
    return null;
  }

  close(): void {}
}

/** Turns of the longest loop that the compiler cannot count: without arguments its bound is not known. */
function openTurns(text: string, { turns }: LoopTurns): number {
  const counted = loopTurns(text, []).turns;
  return Math.max(1, ...turns.map((count, i) => (counted[i] === null ? (count ?? 1) : 1)));
}
