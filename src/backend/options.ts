import { z } from "zod";
import type { BackendKey, DeviceKind, EngineDeclaration } from "./declaration.ts";
import { engines } from "./engines.ts";

const declarations: readonly EngineDeclaration[] = engines;

export type BackendKind = (typeof engines)[number]["kind"];
export const backendKinds: readonly BackendKind[] = engines.map((engine) => engine.kind);

/** Kinds that read a key of `backend`. */
export function kindsWithKey(key: BackendKey): BackendKind[] {
  return declarations.filter(({ keys }) => keys.includes(key)).map(({ kind }) => kind as BackendKind);
}

interface AutoChoice {
  kind: BackendKind;
  /** Where the engine is to compute; absent where it has no choice. */
  device?: DeviceKind;
}

/** What `auto` tries, in this order: what computes on a GPU first. */
export const autoOrder: readonly AutoChoice[] = (["gpu", "cpu"] as const).flatMap((device) =>
  declarations
    .filter(({ computesOn }) => computesOn.includes(device))
    .map(({ kind, computesOn }) => ({
      kind: kind as BackendKind,
      ...(computesOn.length > 1 && { device }),
    })),
);

/** "xla and tensorflow on a GPU, webgpu (with a real GPU), ..." */
function autoOrderInWords(): string {
  const places = { gpu: "a GPU", cpu: "the CPU" };
  const steps: { kinds: string[]; device: DeviceKind | undefined }[] = [];
  for (const { kind, device } of autoOrder) {
    const note = declarations.find((engine) => engine.kind === kind)!.autoOnly;
    const name = note === undefined ? kind : `${kind} (${note})`;
    const last = steps.at(-1);
    if (device !== undefined && last?.device === device) last.kinds.push(name);
    else steps.push({ kinds: [name], device });
  }
  return steps
    .map(({ kinds, device }) => kinds.join(" and ") + (device === undefined ? "" : ` on ${places[device]}`))
    .join(", ");
}

const only = (key: BackendKey) => `${kindsWithKey(key).join(" and ")} only`;

const kind = z
  .enum(["auto", ...backendKinds])
  .default("auto")
  .describe(
    `auto takes the first of ${autoOrderInWords()} that starts and passes its self-test; a named one that cannot start is an error`,
  );

export const backendObjectOptions = z.strictObject({
  kind,
  cblas: z
    .string()
    .min(1)
    .default("auto")
    .describe(
      `${only("cblas")}: auto uses the BLAS library it finds for matrix products, off the built-in kernel; or the path of a library with cblas_sgemm`,
    ),
  library: z
    .string()
    .min(1)
    .default("auto")
    .describe(
      "xla: what compiles and runs programs, a folder with TensorFlow's libraries or a PJRT plugin; tensorflow: such a folder. auto takes the first that it finds, the word tensorflow TensorFlow's library, wherever it is (rlpt doctor shows where it looks)",
    ),
  precision: z
    .enum(["f32", "tf32", "bf16"])
    .default("f32")
    .describe(
      `${only("precision")}: how operands of matrix products are rounded; sums, weights, moments and everything else stay f32. tf32 keeps 10 bits on GPUs and is f32 on CPUs; bf16 keeps 7, fast where a processor has bf16 units, and frozen weights that are bf16 in their file stay so on the device. policy/precision_gap says what that does to logprobs`,
    ),
  devices: z
    .union([z.literal("auto"), z.int().min(1).max(64)])
    .default("auto")
    .describe(
      `${only("devices")}: devices of this machine that share the rows of each batch, weights whole on each; auto takes every GPU, and 1 on the CPU. Steps are the same to rounding whatever the number. On the CPU a number above 1 makes that many virtual devices of it, to try things out: it is not faster`,
    ),
  memory_limit: z
    .string()
    .regex(/^(off|auto|\d+(\.\d+)? ?[mg]i?b)$/i, 'use auto, off, or a size such as "8 GB"')
    .default("off")
    .describe(
      `${only("memory_limit")}: what training may take, "8 GB" of the process (on a GPU: of its memory). algorithm.micro_batch_rows and rollout.batch_rows that the config leaves open, and eval.batch_rows where it is too large, are found before anything is loaded: the compiler says what programs of the largest batches take, which costs a few compilations. They are written into recipe.yaml, so that resumed and replayed runs have the same. auto: 0.8 of the machine's memory, or the card's. off by default: sizes found on another machine differ, and the last digits of results with them`,
    ),
  threads: z
    .int()
    .min(1)
    .max(1024)
    .optional()
    .describe("threads of the BLAS library, and of xla and tensorflow on the CPU; every core when absent"),
});

/** The `backend` key: a kind by itself, or an object. */
export const backendOptions = z.preprocess(
  (value) => (typeof value === "string" ? { kind: value } : value),
  backendObjectOptions,
);
