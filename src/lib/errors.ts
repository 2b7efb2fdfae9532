/** Errors that people see. Each has an exit status; `cli` prints `message`, and the stack with --verbose. */

export class RlptError extends Error {
  /** Exit status: 1 the run failed, 2 usage or config, 5 stopped by an alarm, 130 interrupted. */
  readonly exitCode: number;
  constructor(message: string, options: { exitCode?: number; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.exitCode = options.exitCode ?? 1;
  }
}

/** The command line or the config is wrong; nothing was loaded. */
export class ConfigError extends RlptError {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, { ...options, exitCode: 2 });
  }
}

/** A file the user gave cannot be used: weights, tokenizer, adapter. The message starts with its path. */
export class ModelFileError extends RlptError {}

/** A dataset row or file is wrong. The message starts with path:line. */
export class DataError extends RlptError {}

/** A tensor backend could not start, or a kernel is missing. */
export class BackendError extends RlptError {}

/** A checkpoint or run directory is torn, or does not fit the recipe. */
export class CheckpointError extends RlptError {}

/** Logits that are no numbers: of a training, or of a model file. */
export class DivergedError extends RlptError {
  constructor() {
    super(
      "the policy has diverged: its logits are NaN or infinite. Lower optimizer.lr and start from a checkpoint before; " +
        "if nothing was trained yet, the model file is broken.",
    );
  }
}

/** A reward failed too often to trust the run. */
export class RewardError extends RlptError {}

/** Ctrl-C: a checkpoint was written first. */
export class InterruptedError extends RlptError {
  constructor(message: string) {
    super(message, { exitCode: 130 });
  }
}

/** An alarm of `run.stop_on` began: a checkpoint was written first. */
export class AlarmError extends RlptError {
  constructor(message: string) {
    super(message, { exitCode: 5 });
  }
}

/** "disk full", "permission denied": what the operating system's code means, for messages. */
export function describeSystemError(error: unknown): string {
  const code = (error as NodeJS.ErrnoException)?.code;
  switch (code) {
    case "ENOSPC":
      return "the disk is full";
    case "EACCES":
    case "EPERM":
      return "permission denied";
    case "ENOENT":
      return "no such file or directory";
    case "EROFS":
      return "the file system is read-only";
    case "EISDIR":
      return "it is a directory";
    case "ENOTDIR":
      return "a part of the path is not a directory";
    case "ENAMETOOLONG":
      return "the path, or a name in it, is too long";
    default:
      return error instanceof Error ? error.message : String(error);
  }
}
