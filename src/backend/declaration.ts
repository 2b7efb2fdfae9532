/** What an engine says of itself before it starts: free of tensors, so that a config is checked without any. */
import type { StartedBackend } from "./unavailable.ts";

export type DeviceKind = "gpu" | "cpu";

/** Keys of the config's `backend` that not every engine reads. */
export type BackendKey = "cblas" | "library" | "precision" | "devices" | "memory_limit" | "threads";

export interface StartOptions {
  /** A library with cblas_sgemm: "auto" (default) takes the one that is found, "off" none, else a path. */
  cblas?: string | undefined;
  /** "auto" (default), or "tensorflow", or a folder with TensorFlow's libraries, or a PJRT plugin. */
  library?: string | undefined;
  /** Of the model, where it is known. */
  parameters?: number | undefined;
  /** Rounding of operands of matrix products; f32 when absent. */
  precision?: "f32" | "tf32" | "bf16" | undefined;
  /** Where it computes; a GPU where there is one when absent. */
  device?: DeviceKind | undefined;
  /** Devices that share each batch; "auto" (default) is every GPU, and 1 on the CPU. */
  devices?: "auto" | number | undefined;
  /** Of the CBLAS library or of compiled programs; every core when absent. */
  threads?: number | undefined;
}

export interface EngineDeclaration {
  /** What `backend.kind` calls it. */
  readonly kind: string;
  readonly keys: readonly BackendKey[];
  /** Of two, `auto` tries it on a GPU, and on the CPU after all that computes on a GPU. */
  readonly computesOn: readonly DeviceKind[];
  /** When `auto` takes it, for the config's reference: "with a real GPU". */
  readonly autoOnly?: string;
  /** Why `auto` leaves it out, or null. */
  leftOut?(options: StartOptions): string | null;
  /**
   * Makes it the tfjs backend of this process.
   * @param auto nobody has named it
   * @throws BackendUnavailable when it cannot start here
   */
  start(options: StartOptions, auto: boolean): Promise<StartedBackend>;
}
