/** Compiling for cards that are not here: what a program would take of one, and what its devices would exchange. */
import { withDonation } from "../../stablehlo/donation.ts";
import type { ProgramMemory } from "../../stablehlo/executor.ts";
import { Arena, openPlugin, type PjrtPlugin } from "./api.ts";
import { type Collective, collectivesOf } from "./collectives.ts";
import { compileOptions, type XlaFlags } from "./compile-options.ts";
import { memoryOf, optimizedProgram } from "./executable.ts";
import type { FoundPlugin } from "./find.ts";
import { gpuFlags } from "./gpu-settings.ts";
import { type KernelCost, kernelsOf } from "./hlo-cost.ts";
import { readHloModule } from "./hlo-module.ts";
import { type GpuTarget, targetConfig } from "./targets.ts";

export interface AheadProgram {
  /** Bytes of one card, as the compiler planned them. */
  readonly memory: ProgramMemory | null;
  /**
   * What one run computes and moves, read from the compiled program: CUDA's plugin does not count for cards that are not here.
   * @param turns of loops whose number of turns the compiler does not know
   */
  kernels(turns: number): KernelCost[];
  readonly compileSeconds: number;
  /** What cards exchange in one run; nothing on one card. @param turns as for kernels */
  collectives(turns: number): Collective[];
}

export interface AheadOptions {
  readonly plugin: FoundPlugin;
  readonly target: GpuTarget;
  /** Cards of one machine that the program is cut for; default 1. */
  readonly cards?: number;
  /** Arguments that the program may reuse, as for an executor. */
  readonly donate?: readonly number[];
  readonly flags?: XlaFlags;
}

/**
 * @param module StableHLO text
 * @throws BackendError with the compiler's message
 */
export function compileAhead(module: string, options: AheadOptions): AheadProgram {
  const plugin = openPlugin(options.plugin.path);
  const cards = options.cards ?? 1;
  const begin = process.hrtime.bigint();
  const topology = createTopology(plugin, options.target, cards);
  const arena = new Arena();
  try {
    const code = arena.text(withDonation(module, options.donate ?? []));
    const format = arena.text("mlir");
    const wanted = compileOptions(cards, {
      // kernels cannot be timed without the card: the compiler's own estimates choose
      ...gpuFlags(options.plugin),
      xla_gpu_autotune_level: 0,
      ...options.flags,
    });
    const { executable } = plugin.call("Compile", {
      topology,
      program: arena.struct("Program", {
        code: code.at,
        code_size: code.size,
        format: format.at,
        format_size: format.size,
      }),
      compile_options: arena.keep(wanted),
      compile_options_size: wanted.length,
    });
    const compileSeconds = Number(process.hrtime.bigint() - begin) / 1e9;
    const compiled = readHloModule(optimizedProgram(plugin, executable));
    const program: AheadProgram = {
      memory: memoryOf(plugin, executable),
      kernels: (turns) => kernelsOf(compiled, turns),
      compileSeconds,
      collectives: (turns) => collectivesOf(compiled, turns),
    };
    plugin.call("Executable_Destroy", { executable });
    return program;
  } finally {
    arena.release();
    plugin.call("TopologyDescription_Destroy", { topology });
  }
}

function createTopology(plugin: PjrtPlugin, target: GpuTarget, cards: number): number {
  const arena = new Arena();
  const name = arena.text(target.description);
  // slices x hosts of a slice x devices of a host
  const values = arena.namedValues({ target_config: targetConfig(target), topology: `1x1x${cards}` });
  const { topology } = plugin.call("TopologyDescription_Create", {
    topology_name: name.at,
    topology_name_size: name.size,
    create_options: values.at,
    num_options: values.count,
  });
  arena.release();
  return topology;
}
