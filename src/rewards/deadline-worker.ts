import { Worker } from "node:worker_threads";

/** What became of one task. */
export type Outcome<Result> =
  | { kind: "done"; value: Result }
  | { kind: "failed"; message: string }
  | { kind: "timeout" };

/** Messages from the thread: `ready` once, then one per task, in order. */
type Message<Result, Info> =
  | { ready: Info }
  | { index: number; value: Result }
  | { index: number; failure: string };

/** Time for a thread to load its code; far above what it takes. */
const START_MS = 30_000;
/** Where processor time counts, a thread that waits for nothing ends after this many deadlines. */
const WALL_DEADLINES = 20;

/** Processor time of this process with all its threads, milliseconds. */
function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/**
 * A timer over processor time, so that a busy machine decides nothing: what has had no processor has not been slow.
 * @returns what stops it
 */
function afterProcessorTime(milliseconds: number, then: () => void): () => void {
  const began = processorMs();
  const end = performance.now() + WALL_DEADLINES * milliseconds;
  let timer: NodeJS.Timeout;
  const wait = (left: number): void => {
    timer = setTimeout(() => {
      const used = processorMs() - began;
      if (used >= milliseconds || performance.now() >= end) then();
      else wait(milliseconds - used);
    }, left);
  };
  wait(milliseconds);
  return () => clearTimeout(timer);
}

function afterWallTime(milliseconds: number, then: () => void): () => void {
  const timer = setTimeout(then, milliseconds);
  return () => clearTimeout(timer);
}

/**
 * A thread that works through tasks, each under a deadline. A task that misses it, or kills the
 * thread (endless loop, out of memory), is given up: the thread is ended and a new one takes the rest.
 * The thread's code posts `{ready: info}` when loaded and answers each message `{index, task}` with
 * `{index, value}` or `{index, failure}`. An idle thread does not keep the process alive.
 */
export class DeadlineWorker<Task, Result, Info = unknown> {
  private readonly entry: () => Promise<URL>;
  private readonly after: typeof afterWallTime;
  private worker: Worker | undefined;
  private started: Promise<Info> | undefined;
  private queue: Promise<unknown> = Promise.resolve();

  /**
   * @param entry the module to run; asked for when the first task comes
   * @param clock "processor" for code that only computes: the same outcome on a busy machine. "wall" for what may wait
   */
  constructor(entry: () => Promise<URL>, clock: "processor" | "wall") {
    this.entry = entry;
    this.after = clock === "processor" ? afterProcessorTime : afterWallTime;
  }

  /** Loads the thread's code. @returns what it said when ready @throws Error when it fails to load */
  start(): Promise<Info> {
    this.started ??= this.spawn();
    return this.started;
  }

  /** Ends the thread; the next task starts a new one. */
  async close(): Promise<void> {
    const worker = this.worker;
    this.worker = undefined;
    this.started = undefined;
    await worker?.terminate();
  }

  /** Works through the tasks one after another. @returns outcomes in the tasks' order */
  run(tasks: readonly Task[], deadlineMs: number): Promise<Outcome<Result>[]> {
    const result = this.queue.then(() => this.runAll(tasks, deadlineMs));
    this.queue = result.catch(() => undefined);
    return result;
  }

  private async spawn(): Promise<Info> {
    const worker = new Worker(await this.entry(), {
      // a reward that fills the memory must not take the run with it
      resourceLimits: { maxOldGenerationSizeMb: 512 },
    });
    this.worker = worker;
    // a thread that is being ended may still report; unheard, that would be an uncaught exception
    worker.on("error", () => undefined);
    try {
      return await new Promise<Info>((resolve, reject) => {
        const stop = afterProcessorTime(START_MS, () =>
          reject(new Error(`it did not load within ${START_MS / 1000} s`)),
        );
        const listeners = {
          message: (message: Message<Result, Info>) =>
            settle(() => resolve((message as { ready: Info }).ready)),
          error: (error: unknown) => settle(() => reject(error)),
          exit: () => settle(() => reject(new Error("it ended while loading"))),
        };
        const settle = (then: () => void): void => {
          stop();
          unlisten(worker, listeners);
          then();
        };
        listen(worker, listeners);
      });
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      worker.unref();
    }
  }

  private async runAll(tasks: readonly Task[], deadlineMs: number): Promise<Outcome<Result>[]> {
    const outcomes: Outcome<Result>[] = [];
    while (outcomes.length < tasks.length) {
      await this.start();
      const lost = await this.runFrom(tasks, outcomes, deadlineMs);
      if (lost === null) break;
      outcomes.push(lost);
      await this.close();
    }
    return outcomes;
  }

  /** Appends outcomes until all are there (null), or a task is lost: then its outcome, the thread being unusable. */
  private runFrom(
    tasks: readonly Task[],
    outcomes: Outcome<Result>[],
    deadlineMs: number,
  ): Promise<Outcome<Result> | null> {
    const worker = this.worker!;
    return new Promise((resolve) => {
      let stop = (): void => {};
      const arm = (): void => {
        stop();
        stop = this.after(deadlineMs, () => {
          // this thread may have been busy itself: let answers that are waiting come in first
          const waitingFor = outcomes.length;
          stop = afterWallTime(20, () => {
            if (outcomes.length === waitingFor) finish({ kind: "timeout" });
          });
        });
      };
      const listeners = {
        message: (message: Message<Result, Info>) => {
          if (!("index" in message) || message.index !== outcomes.length) return;
          outcomes.push(
            "failure" in message
              ? { kind: "failed", message: message.failure }
              : { kind: "done", value: message.value },
          );
          if (outcomes.length === tasks.length) finish(null);
          else arm();
        },
        error: (error: unknown) =>
          finish({ kind: "failed", message: error instanceof Error ? error.message : String(error) }),
        exit: () => finish({ kind: "failed", message: "the reward ended its thread" }),
      };
      const finish = (lost: Outcome<Result> | null): void => {
        stop();
        unlisten(worker, listeners);
        worker.unref();
        resolve(lost);
      };
      worker.ref();
      listen(worker, listeners);
      for (let index = outcomes.length; index < tasks.length; index++) {
        worker.postMessage({ index, task: tasks[index] });
      }
      arm();
    });
  }
}

interface Listeners<M> {
  message: (message: M) => void;
  error: (error: unknown) => void;
  exit: () => void;
}

function listen<M>(worker: Worker, listeners: Listeners<M>): void {
  worker.on("message", listeners.message).on("error", listeners.error).on("exit", listeners.exit);
}

/** One by one: removing all would take the thread's own bookkeeping with it, and no message would come again. */
function unlisten<M>(worker: Worker, listeners: Listeners<M>): void {
  worker.off("message", listeners.message).off("error", listeners.error).off("exit", listeners.exit);
}
