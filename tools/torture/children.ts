/** Processes that try cases, watched from outside: what hangs, grows or dies is a finding, and the next takes over. */
import { type ChildProcess, fork } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { type Outcome, type Part, type Task, triedFile } from "./part.ts";

export interface Limits {
  /** Processor time of one case, seconds; also how long one may wait for nothing. */
  seconds: number;
  /** Resident memory. */
  bytes: number;
}

export const defaultLimits: Limits = { seconds: 10, bytes: 2e9 };
/** Cases that one process tries; what leaks a little does not add up. */
const CASES_PER_PROCESS = 150;
const RESTART_ABOVE_BYTES = 900e6;
const LOOK_MS = 200;

interface Usage {
  /** Processor time of all threads, seconds. */
  cpu: number;
  rss: number;
}

/** On Linux; null elsewhere and for a process that has gone. */
function usageOf(pid: number): Usage | null {
  try {
    // the name in parentheses may hold spaces
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
    const ticks = Number(fields[11]) + Number(fields[12]);
    return { cpu: ticks / 100, rss: Number(fields[21]) * 4096 };
  } catch {
    return null;
  }
}

/** What a lost process had begun. */
function lastWords(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

export interface Result {
  task: Task;
  outcome: Outcome;
}

/** Tries tasks in one process after the other. */
export class Child {
  readonly #module: string;
  readonly #limits: Limits;
  #process: ChildProcess | null = null;
  #tried = 0;
  #said = "";

  /** @param module what a process runs: child.ts, bundled */
  constructor(module: string, limits: Limits) {
    this.#module = module;
    this.#limits = limits;
  }

  async #start(): Promise<ChildProcess> {
    if (this.#process !== null) return this.#process;
    this.#tried = 0;
    this.#said = "";
    const child = fork(this.#module, [], {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      execArgv: [],
      env: { ...process.env, NO_COLOR: "1", HF_HUB_OFFLINE: "1" },
    });
    for (const stream of [child.stdout!, child.stderr!])
      stream.on("data", (text: Buffer) => {
        this.#said = (this.#said + text.toString()).slice(-2000);
      });
    await new Promise<void>((resolve, reject) => {
      child.once("message", () => resolve());
      child.once("exit", () => reject(new Error(`the process for cases does not start: ${this.#said}`)));
    });
    this.#process = child;
    return child;
  }

  /** @returns what became of the case; a lost process is an outcome with a fault */
  async try(part: Part, task: Task): Promise<Result> {
    const child = await this.#start();
    const done = await this.#watched(child, part, task);
    if (done.lost || ++this.#tried >= CASES_PER_PROCESS || done.rss > RESTART_ABOVE_BYTES) await this.close();
    const { outcome } = done;
    const tried = outcome.tried === "" ? lastWords(triedFile(task)) : outcome.tried;
    rmSync(triedFile(task), { force: true });
    return { task, outcome: { ...outcome, tried } };
  }

  #watched(
    child: ChildProcess,
    part: Part,
    task: Task,
  ): Promise<{ outcome: Outcome; rss: number; lost: boolean }> {
    const began = usageOf(child.pid!);
    const beganAt = performance.now();
    let moved = { cpu: began?.cpu ?? 0, at: beganAt };
    return new Promise((resolve) => {
      const finish = (outcome: Outcome, rss: number, lost: boolean): void => {
        clearInterval(timer);
        child.off("message", heard);
        child.off("exit", ended);
        resolve({ outcome, rss, lost });
      };
      const lost = (kind: string, fault: string): void => {
        finish({ kind, tried: "", fault }, 0, true);
        child.kill("SIGKILL");
      };
      const heard = (message: unknown): void => {
        const { index, outcome, rss } = message as { index: number; outcome: Outcome; rss: number };
        if (index === task.index) finish(outcome, rss, outcome.kind === "thrown");
      };
      const ended = (code: number | null, signal: string | null): void => {
        this.#process = null;
        finish(
          {
            kind: "died",
            tried: "",
            fault: `the process ended by itself: ${signal ?? `status ${code}`}\n${this.#said}`,
          },
          0,
          true,
        );
      };
      const timer = setInterval(() => {
        const now = usageOf(child.pid!);
        const { seconds, bytes } = this.#limits;
        if (now === null) {
          if (!part.waits && performance.now() - beganAt > 6000 * seconds)
            lost("hung", `no answer in ${6 * seconds} s`);
          return;
        }
        if (now.rss > bytes) return lost("grew", `more than ${(bytes / 1e9).toFixed(1)} GB of memory`);
        if (part.waits) return;
        if (now.cpu - (began?.cpu ?? 0) > seconds)
          return lost("hung", `more than ${seconds} s of processor time`);
        if (now.cpu - moved.cpu > 0.05) moved = { cpu: now.cpu, at: performance.now() };
        else if (performance.now() - moved.at > 1000 * seconds)
          lost("hung", `waited for nothing, ${seconds} s long`);
      }, LOOK_MS);
      child.on("message", heard);
      child.on("exit", ended);
      child.send(task);
    });
  }

  async close(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    await new Promise<void>((resolve) => {
      child.once("exit", () => resolve());
      child.kill("SIGKILL");
    });
  }
}
