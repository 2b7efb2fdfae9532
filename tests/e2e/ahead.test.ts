/** Every recipe's programs compile for a card that is not here, and run on the CPU. */
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { forDevices } from "../../src/backend/xla/data-parallel.ts";
import type { DeviceBuffer, Executor, Sharding, Spec } from "../../src/backend/xla/executor.ts";
import { bytesOf, type ElementType, elementTypes, sizeOf } from "../../src/backend/xla/executor.ts";
import { compileAhead } from "../../src/backend/xla/pjrt/ahead.ts";
import { gpuTarget } from "../../src/backend/xla/pjrt/targets.ts";
import { openRecipeModel } from "../../src/cli/assemble.ts";
import { Compiler, planForDevice } from "../../src/cli/device/plan.ts";
import { type StageTrace, type StepProgram, traceStage } from "../../src/cli/device/trace.ts";
import { loadRecipe } from "../../src/config/load.ts";
import { createRng } from "../../src/lib/rng.ts";
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
  { config: "cls-rl", updatesOnly: true },
  { config: "think-after-answer", updatesOnly: true },
];

async function traced(config: string, set: string[], updatesOnly: boolean): Promise<StageTrace[]> {
  const { stages } = loadRecipe(config, { set });
  const files = await openRecipeModel(stages[0]!.recipe, () => {}, { weights: false });
  const traces: StageTrace[] = [];
  for (const stage of stages) traces.push(await traceStage(stage, files, { device: "a card", updatesOnly }));
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

/** Eight prompts of eight completions: a prompt for each card. */
const batchRows = ["algorithm.micro_batch_rows=64", "algorithm.kl.coef=0.1"];

/** A micro-batch's program, its arguments and how each lies: what came from the host in whole rows is cut. */
async function microBatch(devices: number) {
  const [trace] = await traced("configs/quickstart.yaml", batchRows, true);
  const { program, runs } = trace!.programs.find(({ phase }) => phase === "micro-batch")!;
  const { fresh } = runs[0]!;
  const specs = signature(program.text);
  const shardings = specs.map(({ shape }, i): Sharding => {
    return fresh[i] && shape.length > 0 && shape[0]! % devices === 0 ? "rows" : "replicated";
  });
  return { program, specs, shardings, text: forDevices(program.text, devices, shardings), trace: trace! };
}

optionalPart(
  "a batch cut for eight cards",
  compiles,
  cudaPluginMissing,
)(() => {
  it("exchanges sums of gradients, and gathers one array", async () => {
    const { program, specs, shardings, text } = await microBatch(8);
    const { donate = [] } = program.options;
    const target = gpuTarget("h100");
    const whole = compileAhead(program.text, { plugin: cuda!, target, donate });
    const cut = compileAhead(text, { plugin: cuda!, target, donate, cards: 8 });
    const rows = specs
      .filter((_, i) => shardings[i] === "rows")
      .reduce((sum, spec) => sum + bytesOf(spec), 0);
    expect(rows).toBeGreaterThan(5 * 64 * 48 * 4);
    expect(cut.memory!.arguments).toBe(whole.memory!.arguments - rows + rows / 8);
    expect(cut.memory!.temporary).toBeLessThan(whole.memory!.temporary / 3);
    const { "all-reduce": plain = 0, "all-reduce-start": started = 0, ...others } = cut.collectives;
    expect(plain + started).toBeGreaterThan(0);
    expect(others).toEqual({ "all-gather": 1 });
  }, 600_000);
});

optionalPart(
  "a batch cut for two devices",
  pluginFor("cpu") !== null,
  cpuPluginMissing,
)(() => {
  it("gives the gradients of one device", async () => {
    const { openPjrtExecutor } = await import("../../src/backend/xla/pjrt/executor.ts");
    const { program, specs, shardings, text } = await microBatch(2);
    const rng = createRng(3);
    const data = specs.map((spec, i) => numbersFor(spec, null, rng.fork(i)));
    const results = [1, 2].map((devices) => {
      const executor = openPjrtExecutor({ plugin: pluginFor("cpu")!.path, devices });
      try {
        const options = { ...program.options, partitions: devices };
        const compiled = executor.compile(devices === 1 ? program.text : text, program.outputs, options);
        const args = specs.map((spec, i) =>
          executor.upload(data[i]!, spec, devices === 1 ? undefined : shardings[i]),
        );
        return compiled.run(args).map((buffer) => [...(executor.download(buffer) as Float32Array)]);
      } finally {
        executor.close();
      }
    });
    const [one, two] = results as [number[][], number[][]];
    let largest = 0;
    for (const [i, numbers] of one.entries()) {
      for (const [k, number] of numbers.entries()) {
        largest = Math.max(largest, Math.abs(number));
        expect(Math.abs(two[i]![k]! - number)).toBeLessThan(1e-5 * Math.max(1, Math.abs(number)));
      }
    }
    expect(largest).toBeGreaterThan(1e-3);
  }, 120_000);
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
