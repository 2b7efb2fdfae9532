import { BackendError } from "../lib/errors.ts";

/** A backend that this machine cannot run, in two parts: why, and what would change that. */
export class BackendUnavailable extends BackendError {
  /** Full clause without a full stop, such as "no GPU was found". */
  readonly reason: string;
  /** What to do about it, or null when nothing helps. */
  readonly fix: string | null;
  constructor(reason: string, fix: string | null, options: { cause?: unknown } = {}) {
    super(fix === null ? reason : `${reason}; ${fix}`, options);
    this.reason = reason;
    this.fix = fix;
  }
}

/** What a starter hands back: the tfjs backend is set and ready, but not yet checked. */
export interface StartedBackend {
  /** What tfjs calls it. */
  tfName: string;
  /** The hardware: "NVIDIA H100", "2 CPU cores". */
  device: string;
  /** One line: what computes. */
  description: string;
  versions: Record<string, string>;
  /** What multiplies matrices, where that is a choice. */
  matmul?: "cblas" | "simd";
  /** What a library computes on: cpu, cuda ... */
  platform?: string;
  /** How many devices share each batch, where there may be several. */
  devices?: number;
  /** Called when the self-test has passed: faults that were collected until then throw from now on. */
  arm?(): void;
}

export function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0]!;
}
