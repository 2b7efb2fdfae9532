/**
 * Episodes of a user's file in a thread of their own, many at once. A call that waits too long is given up alone. A thread that no
 * longer answers, or ends, is replaced; what was in flight is called again one by one, so that only the call at fault fails again.
 * Episodes of a lost thread are played again from seed and actions when their next call comes.
 */
import { Worker } from "node:worker_threads";
import { ConfigError } from "../lib/errors.ts";
import type { EnvironmentAction, EnvironmentHost, EnvironmentReply } from "../types.ts";
import { checkStart, checkStep } from "./answers.ts";
import { bundleEnvironment } from "./bundle.ts";

/** Time for a thread to load its code; far above what it takes. */
const START_MS = 30_000;
/** Time for a thread that only waits to answer a ping. */
const PING_MS = 500;

export interface ThreadOptions {
  file: string;
  timeout_ms: number;
  memory_mb: number;
  /** Characters of an answer at most. */
  mostCharacters: number;
}

type Row = Readonly<Record<string, unknown>>;
type Request = { key: string } & (
  | { op: "start"; seed: number; row: Row }
  | { op: "step"; action: EnvironmentAction }
);
type Answer = { json: string } | { long: number } | { failure: string };
type Message = { ready: boolean } | { pong: true } | ({ id: number } & Answer);

interface Journal {
  seed: number;
  row: Row;
  /** Answered ones. */
  actions: EnvironmentAction[];
  /** The thread that holds the episode. */
  thread: number;
}

/** "again": the thread was lost while others were in flight too, any of which may be at fault. */
type Outcome = Answer | EnvironmentReply<never> | "again";

interface Flight {
  settle(outcome: Outcome): void;
}

export class EnvironmentThread implements EnvironmentHost {
  readonly name: string;
  private readonly options: ThreadOptions;
  private readonly code: URL;
  private worker: Worker | null = null;
  private starting: Promise<void> | null = null;
  /** Number of the present thread. */
  private thread = 0;
  private nextId = 0;
  private readonly flights = new Map<number, Flight>();
  private readonly journals = new Map<string, Journal>();
  /** Calls that are made one by one. */
  private alone: Promise<void> = Promise.resolve();
  private waiting = 0;
  private onPong: (() => void)[] = [];

  private constructor(options: ThreadOptions, code: URL) {
    this.options = options;
    this.code = code;
    this.name = options.file;
  }

  /** @throws ConfigError where the file does not load or exports no environment */
  static async open(options: ThreadOptions): Promise<EnvironmentThread> {
    const opened = new EnvironmentThread(options, await bundleEnvironment(options.file));
    await opened.begin();
    return opened;
  }

  async start(key: string, seed: number, row: Row) {
    this.journals.set(key, { seed, row, actions: [], thread: this.thread });
    return this.call({ op: "start", key, seed, row }, checkStart);
  }

  async step(key: string, action: EnvironmentAction) {
    const reply = await this.call({ op: "step", key, action }, checkStep);
    this.journals.get(key)?.actions.push(action);
    return reply;
  }

  end(key: string): void {
    this.journals.delete(key);
    this.worker?.postMessage({ op: "end", key });
  }

  async close(): Promise<void> {
    const { worker } = this;
    this.worker = null;
    this.starting = null;
    this.journals.clear();
    await worker?.terminate();
  }

  private async call<Value>(
    request: Request,
    check: (said: unknown) => Value,
  ): Promise<EnvironmentReply<Value>> {
    while (this.waiting > 0) await this.alone;
    let said = await this.send(request);
    if (said === "again") {
      this.waiting++;
      const turn = this.alone.then(() => this.send(request));
      this.alone = turn.then(() => void this.waiting--);
      said = await turn;
    }
    if (said === "again") throw new Error("a call alone in its thread was lost without a reason");
    if ("kind" in said) return said;
    if ("failure" in said) return { kind: "error", message: said.failure };
    if ("long" in said) {
      const message = `an answer of ${said.long} characters, the limit is ${this.options.mostCharacters}`;
      return { kind: "observation", message };
    }
    try {
      return { kind: "ok", value: check(JSON.parse(said.json)) };
    } catch (error) {
      return { kind: "error", message: (error as Error).message };
    }
  }

  private async send(request: Request): Promise<Outcome> {
    await this.begin();
    const journal = this.journals.get(request.key);
    if (journal === undefined) return { kind: "error", message: "the episode is over" };
    const isAway = request.op === "step" && journal.thread !== this.thread;
    journal.thread = this.thread;
    const { timeout_ms: ms, mostCharacters: most } = this.options;
    const { worker } = this;
    const id = this.nextId++;
    const deadline = ms * (isAway ? journal.actions.length + 2 : 1);
    return new Promise((resolve) => {
      const timer = setTimeout(() => void this.late(id), deadline);
      this.flights.set(id, {
        settle: (outcome) => {
          clearTimeout(timer);
          this.flights.delete(id);
          if (this.flights.size === 0) worker?.unref();
          resolve(outcome);
        },
      });
      worker!.ref();
      const { seed, row, actions } = journal;
      worker!.postMessage({ id, most, ...request, ...(isAway ? { replay: { seed, row, actions } } : {}) });
    });
  }

  /** A call is past its deadline: is it the thread that is busy, or does this call alone wait? */
  private async late(id: number): Promise<void> {
    const { worker, thread } = this;
    const answers = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), PING_MS);
      this.onPong.push(() => {
        clearTimeout(timer);
        resolve(true);
      });
      worker?.postMessage({ op: "ping" });
    });
    const flight = this.flights.get(id);
    if (flight === undefined || thread !== this.thread) return;
    const message = `a call took more than ${this.options.timeout_ms} ms`;
    if (answers) flight.settle({ kind: "deadline", message });
    else {
      this.lose(thread, { kind: "deadline", message });
      await worker?.terminate();
    }
  }

  /** The thread is no more. */
  private lose(thread: number, lost: EnvironmentReply<never>): void {
    if (thread !== this.thread) return;
    this.worker = null;
    this.starting = null;
    this.thread++;
    const flights = [...this.flights.values()];
    for (const flight of flights) flight.settle(flights.length === 1 ? lost : "again");
  }

  private begin(): Promise<void> {
    this.starting ??= this.spawn();
    return this.starting;
  }

  private async spawn(): Promise<void> {
    const worker = new Worker(this.code, {
      // what fills the memory must not take the run with it
      resourceLimits: { maxOldGenerationSizeMb: this.options.memory_mb },
    });
    const { thread } = this;
    this.worker = worker;
    const fault = (reason: string) =>
      new ConfigError(`${this.options.file}: the environment failed while loading: ${reason}`);
    const hasEnvironment = await new Promise<boolean>((resolve, reject) => {
      const timer = setTimeout(() => reject(fault(`it did not load within ${START_MS / 1000} s`)), START_MS);
      worker.on("message", (message: Message) => {
        clearTimeout(timer);
        if ("ready" in message) resolve(message.ready);
        else if ("pong" in message) for (const tell of this.onPong.splice(0)) tell();
        else this.flights.get(message.id)?.settle(message);
      });
      worker.on("error", (error: Error & { code?: string }) => {
        clearTimeout(timer);
        reject(fault(error.message));
        const full = error.code === "ERR_WORKER_OUT_OF_MEMORY";
        const message = full ? `it filled ${this.options.memory_mb} MB` : String(error.message ?? error);
        this.lose(thread, { kind: full ? "memory" : "error", message });
      });
      worker.on("exit", () => {
        clearTimeout(timer);
        reject(fault("it ended while loading"));
        this.lose(thread, { kind: "error", message: "it ended its thread" });
      });
    });
    worker.unref();
    if (hasEnvironment) return;
    await this.close();
    throw new ConfigError(
      `${this.options.file}: it exports no function named environment; write \`export function environment() { return { reset, step }; }\``,
    );
  }
}
