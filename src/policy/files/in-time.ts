/** A time limit for what a stranger's regular expression may take: V8 ends it, also while it backtracks. */
import { createContext, Script } from "node:vm";

const context = createContext({ work: null as (() => unknown) | null, result: undefined as unknown });
const script = new Script("result = work()");

/** @returns what the work returns; null where it took longer. It must not await anything, nor call this. */
export function inTime<T>(milliseconds: number, work: () => T): { value: T } | null {
  const box = context as { work: (() => unknown) | null; result: unknown };
  box.work = work;
  try {
    script.runInContext(context, { timeout: Math.ceil(milliseconds) });
    return { value: box.result as T };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_SCRIPT_EXECUTION_TIMEOUT") return null;
    throw error;
  } finally {
    box.work = null;
    box.result = undefined;
  }
}
