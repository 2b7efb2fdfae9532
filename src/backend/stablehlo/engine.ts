/** What the rest of the program asks of a backend that is traced (engine.ts). */
import type * as tf from "@tensorflow/tfjs";
import type { Engine, HalvedTensors, Programs, QuantisedTensors } from "../engine.ts";
import { differentiable } from "../fused.ts";
import type { LazyBackend } from "./lazy-backend.ts";
import { gradientsApart, loopOverRows } from "./loops.ts";

export function tracedEngine(backend: LazyBackend): Engine {
  const halves: HalvedTensors = {
    get wanted() {
      return backend.precision === "bf16";
    },
    make: (bits, shape) => backend.halves(bits, shape),
    has: (tensor) => backend.typeOf(tensor) === "bf16",
  };
  const quantised: QuantisedTensors = {
    make: (matrix, transposed) => backend.quantised(matrix, transposed),
    bytes: (tensor) => backend.quantisedBytes(tensor),
  };
  const programs: Programs = {
    get statistics() {
      return backend.statistics;
    },
    get times() {
      return backend.programTimes;
    },
    startTiming: () => backend.timePrograms(),
    mark: (name) => backend.mark(name),
    settle: () => backend.flush(),
    loopOverRows: (...args) => loopOverRows(backend, ...args),
    gradientsApart: (...args) => gradientsApart(backend, ...args),
  };
  return {
    readsSynchronously: true,
    get devices() {
      return backend.devices;
    },
    overDevices: (make) => overDevices(backend, make),
    get precision() {
      return backend.precision;
    },
    withExactProducts: (fn) => backend.withPrecision("f32", fn),
    halves,
    quantised,
    programs,
  };
}

/** How arrays lie is said in data-parallel.ts. */
function overDevices<T extends tf.Tensor>(backend: LazyBackend, make: () => T): T {
  if (backend.devices === 1) return make();
  const x = backend.beforeUpload(make);
  const value = backend.take(x);
  const parts = backend.byRows(value);
  if (parts === value) return x;
  return differentiable(
    { x },
    () => backend.tensor(parts),
    (dy) => ({ x: () => backend.tensor(backend.byRows(backend.take(dy))) }),
  ) as T;
}
