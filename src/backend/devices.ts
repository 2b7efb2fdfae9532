/** Rows of a batch on several devices of one machine; a single device, and backends that have no more, do nothing here. */
import type * as tf from "@tensorflow/tfjs";
import { differentiable } from "./fused.ts";
import { currentLazyBackend } from "./stablehlo/lazy-backend.ts";

/** Devices that share the rows of each batch. */
export function deviceCount(): number {
  return currentLazyBackend()?.devices ?? 1;
}

/**
 * A tensor with its first axis, the rows of a batch, cut between the devices (stablehlo/data-parallel.ts). Differentiable.
 * @param given the tensor, or what makes it from numbers of the host: then it goes to the devices in parts, however large
 */
export function overDevices<T extends tf.Tensor>(given: T | (() => T)): T {
  const backend = currentLazyBackend();
  const make = () => (typeof given === "function" ? given() : given);
  if (backend === null || backend.devices === 1) return make();
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
