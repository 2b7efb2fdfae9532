/** Rows of a batch on several devices of one machine; a single device, and backends that have no more, do nothing here. */
import type * as tf from "@tensorflow/tfjs";
import { currentEngine } from "./engine.ts";

/** Devices that share the rows of each batch. */
export function deviceCount(): number {
  return currentEngine().devices;
}

/**
 * A tensor with its first axis, the rows of a batch, cut between the devices. Differentiable.
 * @param given the tensor, or what makes it from numbers of the host: then it goes to the devices in parts, however large
 */
export function overDevices<T extends tf.Tensor>(given: T | (() => T)): T {
  return currentEngine().overDevices(() => (typeof given === "function" ? given() : given));
}
