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

/** Time for a thread to load its code; far above what it takes, also on a busy machine. */
const START_MS = 30_000;

/**
 * A thread that works through tasks, each under a deadline of wall-clock time. A task that misses it, or kills the
 * thread (endless loop, out of memory), is given up: the thread is ended and a new one takes the rest.
 * The thread's code posts `{ready: info}` when loaded and answers each message `{index, task}` with
 * `{index, value}` or `{index, failure}`. An idle thread does not keep the process alive.
 */
export class DeadlineWorker<Task, Result, Info = unknown> {
  readonly #entry: () => Promise<URL>;
  #worker: Worker | undefined;
  #started: Promise<Info> | undefined;
  #queue: Promise<unknown> = Promise.resolve();

  /** @param entry the module to run; asked for when the first task comes */
  constructor(entry: () => Promise<URL>) {
    this.#entry = entry;
  }

  /** Loads the thread's code. @returns what it said when ready @throws Error when it fails to load */
  start(): Promise<Info> {
    this.#started ??= this.#spawn();
    return this.#started;
  }

  /** Ends the thread; the next task starts a new one. */
  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#started = undefined;
    await worker?.terminate();
  }

  /** Works through the tasks one after another. @returns outcomes in the tasks' order */
  run(tasks: readonly Task[], deadlineMs: number): Promise<Outcome<Result>[]> {
    const result = this.#queue.then(() => this.#runAll(tasks, deadlineMs));
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async #spawn(): Promise<Info> {
    const worker = new Worker(await this.#entry(), {
      // a reward that fills the memory must not take the run with it
      resourceLimits: { maxOldGenerationSizeMb: 512 },
    });
    this.#worker = worker;
    try {
      return await new Promise<Info>((resolve, reject) => {
        const timer = setTimeout(
          () => reject(new Error(`it did not load within ${START_MS / 1000} s`)),
          START_MS,
        );
        const finish = (): void => {
          clearTimeout(timer);
          worker.removeAllListeners();
        };
        worker.once("message", (message: Message<Result, Info>) => {
          finish();
          resolve((message as { ready: Info }).ready);
        });
        worker.once("error", (error) => {
          finish();
          reject(error);
        });
        worker.once("exit", () => {
          finish();
          reject(new Error("it ended while loading"));
        });
      });
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      worker.unref();
    }
  }

  async #runAll(tasks: readonly Task[], deadlineMs: number): Promise<Outcome<Result>[]> {
    const outcomes: Outcome<Result>[] = [];
    while (outcomes.length < tasks.length) {
      await this.start();
      const lost = await this.#runFrom(tasks, outcomes, deadlineMs);
      if (lost === null) break;
      outcomes.push(lost);
      await this.close();
    }
    return outcomes;
  }

  /** Appends outcomes until all are there (null), or a task is lost: then its outcome, the thread being unusable. */
  #runFrom(
    tasks: readonly Task[],
    outcomes: Outcome<Result>[],
    deadlineMs: number,
  ): Promise<Outcome<Result> | null> {
    const worker = this.#worker!;
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout;
      const arm = (): void => {
        clearTimeout(timer);
        timer = setTimeout(() => {
          // this thread may have been busy itself: let answers that are waiting come in first
          const waitingFor = outcomes.length;
          setTimeout(() => {
            if (outcomes.length === waitingFor) finish({ kind: "timeout" });
          }, 20);
        }, deadlineMs);
      };
      const finish = (lost: Outcome<Result> | null): void => {
        clearTimeout(timer);
        worker.removeAllListeners();
        worker.unref();
        // an ended thread may still report; unheard, that would be an uncaught exception
        if (lost !== null) worker.on("error", () => undefined);
        resolve(lost);
      };
      worker.ref();
      worker.on("message", (message: Message<Result, Info>) => {
        if (!("index" in message) || message.index !== outcomes.length) return;
        outcomes.push(
          "failure" in message
            ? { kind: "failed", message: message.failure }
            : { kind: "done", value: message.value },
        );
        if (outcomes.length === tasks.length) finish(null);
        else arm();
      });
      worker.on("error", (error: Error) => finish({ kind: "failed", message: error.message }));
      worker.on("exit", () => finish({ kind: "failed", message: "the reward ended its thread" }));
      for (let index = outcomes.length; index < tasks.length; index++) {
        worker.postMessage({ index, task: tasks[index] });
      }
      arm();
    });
  }
}
