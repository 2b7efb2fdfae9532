/** One program for several devices of a machine: the rows of a batch are cut between them, everything else lies whole on each. */
import { BackendError } from "../../lib/errors.ts";
import type { Sharding } from "./executor.ts";

/**
 * Marks a program's arguments and results for XLA's partitioner, which then puts the exchange of sums where it is needed.
 * @param text as emit.ts writes it, before donation
 * @param argumentShardings how each argument lies; the first axis of "rows" must divide by `devices`
 * @throws BackendError when the text has other arguments
 */
export function forDevices(text: string, devices: number, argumentShardings: readonly Sharding[]): string {
  const head = /^module @rlpt \{\nfunc\.func public @main\((.*?)\) -> \((.*?)\) \{/.exec(text);
  if (head === null) throw new BackendError("only programs of the tracer can be cut for several devices");
  const [all, signature, results] = head as unknown as [string, string, string];
  const types = signature === "" ? [] : signature.split(", ");
  if (types.length !== argumentShardings.length) {
    throw new BackendError(
      `the program has ${types.length} arguments, and shardings are given for ${argumentShardings.length}`,
    );
  }
  const marked = types.map((argument, i) => {
    const rank = argument.split("x").length - 1;
    return `${argument} {mhlo.sharding = "${shardingText(argumentShardings[i]!, devices, rank)}"}`;
  });
  const returned = results
    .split(", ")
    .map((type) => `${type} {mhlo.sharding = "${shardingText("replicated", devices, 0)}"}`);
  const attributes = `mhlo.num_partitions = ${devices} : i32, mhlo.num_replicas = 1 : i32`;
  return `module @rlpt attributes {${attributes}} {\nfunc.func public @main(${marked.join(", ")}) -> (${returned.join(", ")}) {${text.slice(all.length)}`;
}

function shardingText(sharding: Sharding, devices: number, rank: number): string {
  if (sharding === "replicated") return "{replicated}";
  return `{devices=[${[devices, ...new Array<number>(rank - 1).fill(1)]}]<=[${devices}]}`;
}
