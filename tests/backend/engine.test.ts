import * as tf from "@tensorflow/tfjs";
import { afterEach, expect, it } from "vitest";
import { deviceCount, overDevices } from "../../src/backend/devices.ts";
import { currentEngine, type Engine, plainEngine, registerEngine } from "../../src/backend/engine.ts";
import { holdsHalves, isHalved } from "../../src/backend/frozen.ts";
import {
  compilation,
  compilesPrograms,
  productPrecision,
  readsSynchronously,
  settle,
  withExactProducts,
} from "../../src/backend/read.ts";

afterEach(async () => {
  await tf.setBackend("cpu");
});

/** tfjs's cpu backend under another name, so that it can be said to do more. */
async function startAs(name: string, engine?: Engine): Promise<void> {
  const backend = tf.findBackendFactory("cpu")() as tf.KernelBackend;
  tf.registerBackend(name, () => backend, 0);
  await tf.setBackend(name);
  if (engine !== undefined) registerEngine(backend, engine);
}

it("takes a backend that registers nothing for one that computes operation by operation", async () => {
  await startAs("unregistered");
  const x = tf.scalar(2);
  expect(overDevices(x)).toBe(x);
  expect([deviceCount(), readsSynchronously(), productPrecision()]).toEqual([1, true, "f32"]);
  expect([compilesPrograms(), compilation(), holdsHalves(), isHalved(x)]).toEqual([
    false,
    null,
    false,
    false,
  ]);
  expect(withExactProducts(() => 7)).toBe(7);
  x.dispose();
});

it("asks the current backend's engine, whatever it is called", async () => {
  const asked: string[] = [];
  await startAs("invented", {
    ...plainEngine,
    devices: 3,
    precision: "tf32",
    readsSynchronously: false,
    overDevices: (make) => {
      asked.push("overDevices");
      return make();
    },
    programs: {
      statistics: { compilations: 4, compileSeconds: 5, runs: 6 },
      times: [],
      startTiming: () => {},
      mark: () => {},
      settle: () => asked.push("settle"),
      loopOverRows: () => {
        throw new Error("not asked");
      },
      gradientsApart: () => {
        throw new Error("not asked");
      },
    },
  });
  const x = overDevices(() => tf.scalar(2));
  settle();
  expect(asked).toEqual(["overDevices", "settle"]);
  expect([deviceCount(), readsSynchronously(), productPrecision()]).toEqual([3, false, "tf32"]);
  expect(compilation()).toEqual({ programs: 4, seconds: 5 });
  x.dispose();
  await tf.setBackend("cpu");
  expect(currentEngine()).toBe(plainEngine);
});
