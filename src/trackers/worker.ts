/** Entry of the thread that sends a run to a service while it trains, built as dist/tracker-worker.js. */
import { parentPort, workerData } from "node:worker_threads";
import type { TrackerName } from "../run/tracker-names.ts";
import { AwayError } from "./http.ts";
import { serviceFor, trackers } from "./kinds.ts";
import { createSender, waitAfter } from "./sender.ts";
import type { RunEnd } from "./service.ts";
import type { ThreadTask, ThreadWord } from "./thread.ts";
import { trackedRun } from "./tracked-run.ts";

/** Between looks at the files. */
const LOOK_MS = 1_000;
/** Between signs of life, where nothing was sent. */
const SILENCE_MS = 30_000;
const TRIES_AT_END = 3;

const { name, runDir } = workerData as ThreadTask;
const say = (word: ThreadWord): void => parentPort?.postMessage(word);

let ending: RunEnd | null = null;
let wake = (): void => {};
parentPort?.on("message", (how: RunEnd) => {
  ending = how;
  wake();
});
const rest = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });

async function follow(name: TrackerName): Promise<void> {
  const tracker = trackers[name];
  if (tracker.kind === "files") throw new Error(`${name} is no service`);
  const service = serviceFor(tracker, name, trackedRun(runDir));
  const sender = createSender(service, runDir);
  let failures = 0;
  let told = false;
  let triesAtEnd = 0;
  let [steps, spoke] = [0, performance.now()];
  for (;;) {
    try {
      if (ending !== null) {
        await sender.end(ending);
        say({ done: true });
        return;
      }
      await sender.send();
      failures = 0;
      if (sender.steps > steps) [steps, spoke] = [sender.steps, performance.now()];
      else if (performance.now() - spoke > SILENCE_MS) {
        spoke = performance.now();
        await service.alive?.();
      }
      if (ending === null) await rest(LOOK_MS);
    } catch (error) {
      if (!(error instanceof AwayError)) throw error;
      failures++;
      if (!told) say({ away: error.message });
      told = true;
      // nobody waits for a server that stays away
      if (ending !== null && ++triesAtEnd === TRIES_AT_END) {
        say({ behind: true });
        return;
      }
      await rest(ending === null ? waitAfter(error, failures) : LOOK_MS);
    }
  }
}

follow(name as TrackerName)
  .catch((error: Error) => say({ failed: error.message }))
  .finally(() => parentPort?.close());
