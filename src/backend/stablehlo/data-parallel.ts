/**
 * One program for several devices of a machine (data parallel). XLA's partitioner makes it from the program for one: it
 * keeps the meaning of every operation, wherever arrays lie, and puts exchanges between devices where they are needed.
 *
 * How an array lies is said by the code that makes it, never guessed from its shape:
 * - whole on each device is the rule: weights, moments, tables of positions, scalars, metrics
 * - the arrays of a batch are cut by rows (`LazyBackend.byRows`, `overDevices` for tensors): tokens, masks of packed rows,
 *   targets, generation's caches. Their first axis must divide by the number of devices; where it does not, they lie whole,
 *   and each device computes all of it
 * What is computed from rows is cut by rows too, and a sum over rows becomes a sum across devices.
 */
import { BackendError } from "../../lib/errors.ts";
import { type Sharding, type Spec, typeText } from "./executor.ts";
import { operation, type Value } from "./graph.ts";

/**
 * Marks a program's arguments and results for XLA's partitioner.
 * @param text as emit.ts writes it, before donation
 * @param argumentShardings how each argument lies; the first axis of "rows" must divide by `devices`
 * @param outputShardings the same for results
 * @throws BackendError when the text has other arguments or results
 */
export function forDevices(
  text: string,
  devices: number,
  argumentShardings: readonly Sharding[],
  outputShardings: readonly Sharding[],
): string {
  const head = /^module @rlpt \{\nfunc\.func public @main\((.*?)\) -> \((.*?)\) \{/.exec(text);
  if (head === null) throw new BackendError("only programs of the tracer can be cut for several devices");
  const [all, signature, results] = head as unknown as [string, string, string];
  const marked = marks(signature, devices, argumentShardings, "arguments");
  const returned = marks(results, devices, outputShardings, "results");
  const attributes = `mhlo.num_partitions = ${devices} : i32, mhlo.num_replicas = 1 : i32`;
  return `module @rlpt attributes {${attributes}} {\nfunc.func public @main(${marked}) -> (${returned}) {${text.slice(all.length)}`;
}

function marks(list: string, devices: number, shardings: readonly Sharding[], what: string): string {
  const types = list === "" ? [] : list.split(", ");
  if (types.length !== shardings.length) {
    throw new BackendError(
      `the program has ${types.length} ${what}, and shardings are given for ${shardings.length}`,
    );
  }
  return types
    .map((type, i) => {
      const rank = type.split("x").length - 1;
      return `${type} {mhlo.sharding = "${shardingText(shardings[i]!, devices, rank)}"}`;
    })
    .join(", ");
}

function shardingText(sharding: Sharding, devices: number, rank: number): string {
  if (sharding === "replicated") return "{replicated}";
  return `{devices=[${[devices, ...new Array<number>(Math.max(0, rank - 1)).fill(1)]}]<=[${devices}]}`;
}

/** x, cut by rows: the partitioner lays out what comes before and after it to fit. */
export function cutByRows(x: Value, devices: number): Value {
  const type = x.text;
  const sharding = shardingText("rows", devices, x.shape.length);
  return operation(
    x.type,
    x.shape,
    type,
    [x],
    -1,
    ([a]) => `stablehlo.custom_call @Sharding(${a}) {mhlo.sharding = "${sharding}"} : (${type}) -> ${type}`,
  );
}

/** What lies on one device. @throws BackendError when rows do not divide */
export function partSpec(spec: Spec, sharding: Sharding, devices: number): Spec {
  if (sharding === "replicated" || devices === 1) return spec;
  const [rows, ...rest] = spec.shape;
  if (rows === undefined || rows % devices !== 0) {
    throw new BackendError(`a ${typeText(spec)} cannot be cut into ${devices} equal parts of rows`);
  }
  return { type: spec.type, shape: [rows / devices, ...rest] };
}
