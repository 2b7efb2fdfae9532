/** An executor of compiled programs for tests: XLA's CPU plugin for PJRT, else TensorFlow's library. */
import { existsSync } from "node:fs";
import type { DeviceBuffer, Executor } from "../../src/backend/xla/executor.ts";
import { openPjrtExecutor } from "../../src/backend/xla/pjrt/executor.ts";
import { openTensorFlowExecutor } from "../../src/backend/xla/tensorflow/executor.ts";

const plugin = process.env["RLPT_PJRT_PLUGIN"];
const folder = process.env["RLPT_TENSORFLOW"];

export const xlaHere =
  (plugin !== undefined && existsSync(plugin)) || (folder !== undefined && existsSync(folder));

export const xlaMissing =
  "no library that compiles programs; set RLPT_PJRT_PLUGIN to a PJRT plugin or RLPT_TENSORFLOW to TensorFlow's folder";

export function openTestExecutor(): Executor {
  if (plugin !== undefined) return openPjrtExecutor({ plugin, threads: 1 });
  return openTensorFlowExecutor({ folder: folder!, threads: 1 });
}

/** What an executor was asked to do. */
export interface Watched {
  executor: Executor;
  /** Texts of the programs that were compiled, in order. */
  modules: string[];
  /** Arguments given to donation, per compiled program. */
  donations: (readonly number[])[];
  runs(): number;
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
  const executor: Executor = {
    ...inner,
    compile(module, outputs, options) {
      modules.push(module);
      donations.push(options?.donate ?? []);
      const program = inner.compile(module, outputs, options);
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
    live: () => {
      for (const buffer of buffers) if (buffer.consumed) buffers.delete(buffer);
      return buffers.size;
    },
  };
}
