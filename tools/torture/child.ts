/** A process that tries cases one after another and may be lost at any of them; its parent watches it. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { createRng } from "../../src/lib/rng.ts";
import { stackOf } from "./command.ts";
import { type Attempt, NOT_READY, type Outcome, type Part, type Task, triedFile } from "./part.ts";
import { parts } from "./parts.ts";

const attempts = new Map<string, Promise<Attempt>>();
let current: Task | null = null;

/** A fault that was planted to show that it is found: a module that exports `open` of a part, by its name. */
async function planted(): Promise<Record<string, Part["open"]>> {
  const file = process.env["RLPT_TORTURE_PLANTED"];
  return file === undefined ? {} : ((await import(pathToFileURL(file).href)) as Record<string, Part["open"]>);
}

async function attemptOf({ part: name, shared }: Task): Promise<Attempt> {
  const open = (await planted())[name.replaceAll("-", "_")] ?? parts.find((part) => part.name === name)!.open;
  return open(shared);
}

async function attempt(task: Task): Promise<Outcome> {
  mkdirSync(task.folder, { recursive: true });
  const opened = attempts.get(task.part) ?? attemptOf(task);
  attempts.set(task.part, opened);
  let run: Attempt;
  try {
    run = await opened;
  } catch (error) {
    return { kind: NOT_READY, tried: "", fault: stackOf(error) };
  }
  const rng = createRng(task.seed).fork("torture", task.part, task.index);
  try {
    return await run({ index: task.index, rng, folder: task.folder, trying });
  } catch (error) {
    return { kind: "thrown", tried: "", fault: `an exception: ${stackOf(error)}` };
  }
}

const trying = (what: string): void => {
  // a file, since messages are lost where the process aborts
  writeFileSync(triedFile(current!), what);
};

const answer = (outcome: Outcome): void => {
  const index = current?.index;
  current = null;
  process.send?.({ index, outcome, rss: process.memoryUsage.rss() });
};

process.on("message", async (task: Task) => {
  current = task;
  const outcome = await attempt(task);
  if (outcome.fault === undefined) rmSync(task.folder, { recursive: true, force: true });
  if (current === task) answer(outcome);
});
for (const event of ["uncaughtException", "unhandledRejection"] as const) {
  process.on(event, (error: unknown) => {
    answer({ kind: "thrown", tried: "", fault: `${event}: ${stackOf(error)}` });
  });
}
process.on("disconnect", () => process.exit());
process.send?.({ ready: true });
