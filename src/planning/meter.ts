/** How many bytes of tensors generation and updates hold at most, and at which shapes. */
import * as tf from "@tensorflow/tfjs";
import { type CompiledProgram, compiledPrograms } from "../backend/read.ts";
import type { SharedPrompts, TrainablePolicy } from "../policy/interfaces.ts";
import type { GenerationSession } from "../types.ts";

/** Rows and tokens per row of a pass; a generation's length is prompt and completion. */
export interface PassShape {
  rows: number;
  length: number;
  /** Where rows are prompts with several completions each. */
  shared?: SharedPrompts | null;
}

export interface PhasePeak extends PassShape {
  /** Of tensors alive at the peak, those that stay included; counted from the meter's beginning. */
  bytes: number;
}

/** What compiled programs take besides what stays: the largest of each kind; 0 where the compiler does not say. */
export interface CompiledPeaks {
  update: number;
  generation: number;
  /** Programs of updates that are new, and the mean seconds of compiling one; of one of any kind where those were kept. */
  updates: number;
  update_s: number;
}

/** Since the last call; null where there was no such pass. */
export interface Peaks {
  update: PhasePeak | null;
  generation: PhasePeak | null;
  longestPrompt: number;
  /** Longest completion in an update, padded, and completions (rows, in supervised training) of all of them. */
  longestCompletion: number;
  updateRows: number;
  /** On backends that compile: there tensors are names, and the compiler says what memory is. */
  compiled: CompiledPeaks | null;
}

export interface TensorMeter {
  /** The policy, watched. */
  watch(policy: TrainablePolicy): TrainablePolicy;
  take(): Peaks;
  dispose(): void;
}

/** Counts where tfjs notes its data buffers, so every backend is covered, and shared buffers count once. */
export function createTensorMeter(): TensorMeter {
  const { state } = tf.engine() as unknown as {
    state: { tensorInfo: WeakMap<object, { bytes: number }> };
  };
  const { tensorInfo } = state;
  const { set, delete: remove } = WeakMap.prototype;
  let bytes = 0;
  let peak = 0;
  Object.assign(tensorInfo, {
    set(id: object, info: { bytes: number }) {
      if (!tensorInfo.has(id)) bytes += info.bytes;
      if (bytes > peak) peak = bytes;
      return set.call(tensorInfo, id, info);
    },
    delete(id: object) {
      bytes -= tensorInfo.get(id)?.bytes ?? 0;
      return remove.call(tensorInfo, id);
    },
  });
  let update: PhasePeak | null = null;
  let generation: PhasePeak | null = null;
  let longestPrompt = 0;
  let longestCompletion = 0;
  let updateRows = 0;
  const larger = (before: PhasePeak | null, shape: PassShape): PhasePeak =>
    before === null || peak > before.bytes ? { ...shape, bytes: peak } : before;
  /** Runs of each compiled program at the last call, in the order of compilation. */
  let calls: number[] = [];

  const watch = (policy: TrainablePolicy): TrainablePolicy => {
    let shape: PassShape = { rows: 0, length: 0 };
    return Object.create(policy, {
      score: {
        value: (...args: Parameters<TrainablePolicy["score"]>) => {
          const [{ rows, length, shared = null }] = args;
          shape = { rows, length, shared };
          return policy.score(...args);
        },
      },
      lossAndGradients: {
        value: (loss: Parameters<TrainablePolicy["lossAndGradients"]>[0]) => {
          peak = bytes;
          const result = policy.lossAndGradients(loss);
          update = larger(update, shape);
          const { rows, length, shared } = shape;
          const completion = shared ? shared.completionLength + 1 : length - longestPrompt;
          longestCompletion = Math.max(longestCompletion, completion);
          updateRows += rows * (shared?.completions ?? 1);
          return result;
        },
      },
      startGeneration: {
        value: async (...args: Parameters<TrainablePolicy["startGeneration"]>) => {
          const [prompts, { repeats }] = args;
          const prompt = Math.max(...prompts.map(({ length }) => length));
          longestPrompt = Math.max(longestPrompt, prompt);
          peak = bytes;
          const session = await policy.startGeneration(...args);
          return watchSession(session, (steps) => {
            generation = larger(generation, { rows: prompts.length * repeats, length: prompt + steps });
          });
        },
      },
    }) as TrainablePolicy;
  };
  return {
    watch,
    take() {
      const programs = compiledPrograms();
      const compiled = programs === null ? null : peaksOf(programs, calls);
      calls = programs?.map((program) => program.calls) ?? [];
      const taken = { update, generation, longestPrompt, longestCompletion, updateRows, compiled };
      update = null;
      generation = null;
      longestCompletion = 0;
      updateRows = 0;
      return taken;
    },
    dispose() {
      // the prototype's own again
      delete (tensorInfo as Partial<typeof tensorInfo>).set;
      delete (tensorInfo as { delete?: unknown }).delete;
    },
  };
}

const fresh = (programs: readonly CompiledProgram[]) => programs.filter(({ kept }) => !kept);

function meanSeconds(programs: readonly CompiledProgram[]): number | null {
  return programs.length === 0
    ? null
    : programs.reduce((sum, { seconds }) => sum + seconds, 0) / programs.length;
}

/** @param before runs of the programs that there were already */
function peaksOf(programs: readonly CompiledProgram[], before: readonly number[]): CompiledPeaks {
  const ran = programs.filter(({ calls }, i) => calls > (before[i] ?? 0));
  const generation = ran.filter(({ name }) => name.includes("decoding"));
  const updates = programs.slice(before.length).filter(({ name }) => name.includes("gradients"));
  const largest = (of: readonly CompiledProgram[]) => Math.max(0, ...of.map(({ bytes }) => bytes ?? 0));
  return {
    update: largest(ran.filter(({ name }) => name.includes("gradients"))),
    generation: largest(generation),
    updates: updates.length,
    update_s: meanSeconds(fresh(updates)) ?? meanSeconds(fresh(programs)) ?? meanSeconds(updates) ?? 0,
  };
}

/** @param ended is told how many tokens were fed back when the session is over */
function watchSession(session: GenerationSession, ended: (steps: number) => void): GenerationSession {
  let steps = 0;
  let over = false;
  return {
    get logits() {
      return session.logits;
    },
    get rows() {
      return session.rows;
    },
    step(tokens) {
      steps++;
      return session.step(tokens);
    },
    keep: (rows) => session.keep(rows),
    dispose() {
      session.dispose();
      if (!over) ended(steps);
      over = true;
    },
  };
}
