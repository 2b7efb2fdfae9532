/** Every recipe's programs compile for a card that is not here, and run on the CPU. */
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import type { DeviceBuffer, Executor, Spec } from "../../src/backend/stablehlo/executor.ts";
import { bytesOf, type ElementType, elementTypes, sizeOf } from "../../src/backend/stablehlo/executor.ts";
import { gpuTarget } from "../../src/backend/xla/pjrt/targets.ts";
import { loadRecipe } from "../../src/config/load.ts";
import { createRng } from "../../src/lib/rng.ts";
import { Compiler, planForDevice } from "../../src/planning/device/plan.ts";
import { type StageTrace, type StepProgram, traceStage } from "../../src/planning/device/trace.ts";
import { openRecipeModel } from "../../src/training/assemble.ts";
import { cpuExecutor, cpuPluginMissing, cudaPluginMissing, pluginFor } from "../helpers/engines.ts";
import { optionalPart, skipMark } from "../helpers/optional.ts";

/** Together: full and LoRA, whole batches and micro-batches, three algorithms, and each recipe's loss. */
const recipes: { config: string; set?: string[]; updatesOnly?: boolean }[] = [
  { config: "quickstart" },
  { config: "quickstart", set: ["model.lora.rank=4", "algorithm.micro_batch_rows=64"] },
  { config: "ppo", updatesOnly: true },
  { config: "lab-base", updatesOnly: true },
  { config: "items-sft", updatesOnly: true },
  { config: "autothink", updatesOnly: true },
  { config: "adaptive-thinking", updatesOnly: true },
  { config: "adacot", updatesOnly: true },
  { config: "adacot-slm", updatesOnly: true },
  { config: "limr", updatesOnly: true },
  { config: "no-thinking", updatesOnly: true },
  { config: "no-thinking-pictures" },
  { config: "cls-rl", updatesOnly: true },
  { config: "think-after-answer", updatesOnly: true },
];

async function traced(
  config: string,
  set: string[],
  updatesOnly: boolean,
  devices = 1,
): Promise<StageTrace[]> {
  const { stages } = loadRecipe(config, { set });
  const files = await openRecipeModel(stages[0]!.recipe, () => {}, { weights: false });
  const traces: StageTrace[] = [];
  for (const stage of stages)
    traces.push(await traceStage(stage, files, { device: "a card", devices, updatesOnly }));
  files.weights.close();
  return traces;
}

const keyOf = ({ program }: StepProgram) => createHash("sha256").update(program.text).digest("hex");

const cuda = pluginFor("cuda");
const compiles = cuda !== null && cuda.cudaTools !== null;
// minutes of compiling in all, also on an idle machine
const thorough = process.env["RLPT_THOROUGH"] === "1";
const notThorough = "minutes of compiling; RLPT_THOROUGH=1 runs it";
/** Of the recipes, those that every run of the tests compiles; RLPT_THOROUGH=1 compiles all. */
const usual = new Set(["quickstart", "ppo"]);
optionalPart(
  "programs for a card that is not here",
  compiles,
  cudaPluginMissing,
)(() => {
  const compiler = compiles ? new Compiler(cuda!, gpuTarget("h100")) : null;

  for (const { config, set = [], updatesOnly = false } of recipes) {
    const title = `${config} ${set.join(" ")} compiles for an H100`;
    if (!thorough && !usual.has(config)) {
      it.skip(`${title} ${skipMark}${notThorough}]`, () => {});
      continue;
    }
    it(title, async () => {
      for (const { programs, held } of await traced(`configs/${config}.yaml`, set, updatesOnly)) {
        expect(programs.length).toBeGreaterThan(0);
        for (const program of programs) {
          const { memory, kernels } = compiler!.compile(program);
          const [run] = program.runs;
          // LoRA's optimizer has no business with the frozen weights
          const least = program.phase === "optimizer step" ? held.moments : held.weights / 2;
          expect(memory!.arguments, program.phase).toBeGreaterThan(least);
          // the compiler's arguments are among what the run holds, but for alignment
          expect(memory!.arguments).toBeLessThanOrEqual(run!.inUse * 1.01 + 4096);
          expect(
            kernels(run!.turns).some(({ flops }) => flops > 0) || program.phase === "optimizer step",
          ).toBe(true);
        }
      }
    }, 600_000);
  }
});

const gguf = process.env["RLPT_SMOLLM2_GGUF"];
optionalPart(
  "SmolLM2 for a card that is not here",
  compiles && thorough && gguf !== undefined,
  `${notThorough}, with RLPT_SMOLLM2_GGUF, where a CUDA plugin is`,
)(() => {
  const compiler = compiles ? new Compiler(cuda!, gpuTarget("h100")) : null;

  it("SmolLM2 by LoRA and whole: what plan --device prints adds up", async () => {
    const small = [
      `model.path=${gguf}`,
      "rollout.prompts_per_step=2",
      "rollout.group_size=2",
      "rollout.max_new_tokens=32",
    ];
    const plan = await planForDevice(
      "configs/smollm2-gsm8k.yaml",
      "h100",
      { set: small },
      {
        plugin: cuda!,
        search: false,
      },
    );
    const [stage] = plan.stages;
    expect(stage!.programs.map(({ phase }) => phase)).toEqual(["generation", "training step"]);
    expect(stage!.weights_bytes).toBe(4 * (stage!.parameters + stage!.trainable));
    expect(plan.fits).toBe(true);
    for (const program of stage!.programs) {
      expect(program.peak_bytes).toBeGreaterThan(stage!.weights_bytes + stage!.moments_bytes);
      expect(program.temporary_bytes).toBeGreaterThan(0);
      // every weight is read once at least: no step is faster than that
      expect(program.roofline_s).toBeGreaterThan(stage!.weights_bytes / gpuTarget("h100").bandwidth / 2);
    }
    const whole = await traced("configs/smollm2-gsm8k.yaml", [...small, "model.lora=null"], true);
    for (const program of whole[0]!.programs) {
      expect(compiler!.compile(program).memory!.aliased).toBeGreaterThan(2 * 4 * whole[0]!.parameters);
    }
  }, 900_000);
});

optionalPart(
  "the same programs on the CPU",
  pluginFor("cpu") !== null && thorough,
  pluginFor("cpu") === null ? cpuPluginMissing : notThorough,
)(() => {
  it("run, and give numbers", async () => {
    const executor = await cpuExecutor("pjrt");
    const done = new Set<string>();
    try {
      // each kind of program once; the other recipes' losses differ in a line
      for (const { config, set = [], updatesOnly = false } of recipes.slice(0, 4)) {
        for (const { programs } of await traced(`configs/${config}.yaml`, set, updatesOnly)) {
          for (const program of programs) {
            if (done.has(keyOf(program))) continue;
            done.add(keyOf(program));
            runOnce(executor, program, config);
          }
        }
      }
    } finally {
      executor.close();
    }
    expect(done.size).toBeGreaterThan(9);
  }, 900_000);
});

/** A program of the quickstart by the code that `rlpt train` runs on so many cards. */
async function compiled(devices: number, phase: string) {
  const set = ["algorithm.micro_batch_rows=64", "algorithm.kl.coef=0.1"];
  const [trace] = await traced("configs/quickstart.yaml", set, phase !== "generation", devices);
  const program = trace!.programs.find((one) => one.phase === phase)!;
  const compiler = new Compiler(cuda!, gpuTarget("h100"), () => {}, devices);
  return { trace: trace!, ...compiler.compile(program) };
}

optionalPart(
  "batches cut for eight cards",
  compiles,
  cudaPluginMissing,
)(() => {
  it("an update's cards exchange the sum of gradients, and little else", async () => {
    const one = await compiled(1, "micro-batch");
    const eight = await compiled(8, "micro-batch");
    expect(eight.memory!.temporary).toBeLessThan(one.memory!.temporary / 4);
    expect(one.collectives(1)).toEqual([]);
    const collectives = eight.collectives(1);
    expect(collectives.every(({ kind, times }) => kind === "all-reduce" && times === 1)).toBe(true);
    const bytes = collectives.reduce((sum, collective) => sum + collective.bytes, 0);
    // gradients of all weights, once, and a few statistics
    expect(bytes).toBeGreaterThanOrEqual(4 * eight.trace.trainable);
    expect(bytes).toBeLessThan(4 * eight.trace.trainable + 1000);
  }, 600_000);
});

optionalPart(
  "generation cut for eight cards",
  compiles && thorough,
  compiles ? notThorough : cudaPluginMissing,
)(() => {
  it("generation's cards tell each other, token by token, whether all rows have ended, and nothing else", async () => {
    const one = await compiled(1, "generation");
    const eight = await compiled(8, "generation");
    expect(eight.memory!.temporary).toBeLessThan(one.memory!.temporary / 4);
    const inLoop = eight.collectives(10).filter(({ open }) => open);
    expect(inLoop).toEqual([{ kind: "all-reduce", bytes: 1, times: 10, open: true }]);
  }, 600_000);
});

/** Runs a program on small numbers and looks for NaN. */
function runOnce(executor: Executor, { program, runs, phase }: StepProgram, config: string): void {
  const { scalars } = runs[0]!;
  const rng = createRng(1).fork("arguments");
  const compiled = executor.compile(program.text, program.outputs, program.options);
  const args = signature(program.text).map((spec, i) =>
    executor.upload(numbersFor(spec, scalars[i] ?? null, rng.fork(i)), spec),
  );
  let results: DeviceBuffer[] = [];
  try {
    results = compiled.run(args);
    for (const [i, result] of results.entries()) {
      const numbers = executor.download(result);
      expect(numbers.byteLength).toBe(bytesOf(program.outputs[i]!));
      if (numbers instanceof Float32Array)
        expect(numbers.some(Number.isNaN), `${config}, ${phase}, result ${i}`).toBe(false);
    }
  } finally {
    for (const buffer of [...args, ...results]) buffer.free();
    compiled.free();
  }
}

/** Types and shapes of @main's arguments. */
function signature(text: string): Spec[] {
  const inside = /@main\((.*?)\) -> /.exec(text)![1]!;
  return [...inside.matchAll(/%arg\d+: tensor<((?:\d+x)*)(\w+)>/g)].map(([, sizes, type]) => ({
    type: type as ElementType,
    shape: sizes!.split("x").filter(Boolean).map(Number),
  }));
}

function numbersFor(
  { type, shape }: Spec,
  scalar: number | null,
  rng: ReturnType<typeof createRng>,
): ArrayBufferView {
  const { array } = elementTypes[type];
  const size = sizeOf(shape);
  const numbers = new array(size) as Float32Array;
  if (scalar !== null) return numbers.fill(scalar);
  // second moments among them must not be negative; the smallest vocabulary has more than 8 words
  for (let i = 0; i < size; i++) {
    if (type === "f32") numbers[i] = 0.01 * rng.uniform(i);
    else if (type === "i32") numbers[i] = Math.floor(8 * rng.uniform(i));
  }
  return numbers;
}
