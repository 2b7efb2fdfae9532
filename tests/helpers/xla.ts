/** An executor of compiled programs for tests: XLA's CPU plugin for PJRT, else TensorFlow's library. */
import type { DeviceBuffer, Executor, Program } from "../../src/backend/stablehlo/executor.ts";
import { openPjrtExecutor } from "../../src/backend/xla/pjrt/executor.ts";
import { openTensorFlowExecutor } from "../../src/backend/xla/tensorflow/executor.ts";
import { pluginFor, tensorflowFolder } from "./engines.ts";

const plugin = pluginFor("cpu")?.path;
const folder = plugin === undefined ? (tensorflowFolder() ?? undefined) : undefined;

export const xlaHere = plugin !== undefined || folder !== undefined;

// the same library where a test says `backend: xla`
if (plugin !== undefined) process.env["RLPT_PJRT_PLUGIN"] = plugin;
else if (folder !== undefined) process.env["RLPT_TENSORFLOW"] = folder;

export const xlaMissing = "no library that compiles programs; rlpt backend install xla-cpu";

/** On one thread. */
export function openTestExecutor(): Executor {
  if (plugin !== undefined) return openPjrtExecutor({ plugin, threads: 1 });
  return openTensorFlowExecutor({ folder: folder!, threads: 1 });
}

/** What an executor was asked to do. */
export interface Watched {
  executor: Executor;
  /** Texts of the programs that were compiled, in order. */
  modules: string[];
  /** Arguments given to donation, per run. */
  donations: (readonly number[])[];
  runs(): number;
  /** The program compiled last. */
  last(): Program;
  /** Buffers that are neither freed nor donated. */
  live(): number;
}

/** The executor, with a count of its buffers and a record of its programs. */
export function watched(inner: Executor): Watched {
  const buffers = new Set<DeviceBuffer>();
  const note = <T extends DeviceBuffer>(buffer: T): T => {
    buffers.add(buffer);
    return buffer;
  };
  const modules: string[] = [];
  const donations: (readonly number[])[] = [];
  let runs = 0;
  let last: Program | null = null;
  const executor: Executor = {
    ...inner,
    compile(module, outputs, options) {
      modules.push(module);
      const program = inner.compile(module, outputs, options);
      last = program;
      return {
        outputs,
        memory: program.memory,
        cost: program.cost,
        cached: program.cached,
        get compileSeconds() {
          return program.compileSeconds;
        },
        run(args) {
          runs++;
          donations.push(options?.donate ?? []);
          return program.run(args).map(note);
        },
        free: () => program.free(),
      };
    },
    upload: (data, spec, sharding) => note(inner.upload(data, spec, sharding)),
  };
  return {
    executor,
    modules,
    donations,
    runs: () => runs,
    last: () => last!,
    live: () => {
      for (const buffer of buffers) if (buffer.consumed) buffers.delete(buffer);
      return buffers.size;
    },
  };
}
