/** The user's file as code for a thread, TypeScript or not, with what it imports. */
import { existsSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { ConfigError } from "../lib/errors.ts";
import { bundleUserFile } from "../lib/user-bundle.ts";

/**
 * What runs in the thread. A message is `{id, key, op, ...}`; `ping` is answered at once, which tells a thread that waits from one
 * that is busy. `replay` plays the actions of an episode again, after a thread was lost. Answers are JSON texts, measured here, so
 * that what is too long never leaves the thread.
 */
const HARNESS = `
import { parentPort } from "node:worker_threads";
import * as user from "USER_FILE";
const live = new Map();
const text = (error) => (error instanceof Error ? error.name + ": " + error.message : String(error));
async function begin(key, seed, row) {
  const episode = await user["environment"]();
  if (typeof episode?.reset !== "function" || typeof episode?.step !== "function")
    throw new TypeError("environment() returned no { reset, step }");
  live.set(key, episode);
  return episode.reset(seed, row);
}
async function call({ op, key, seed, row, action, replay }) {
  if (replay) {
    await begin(key, replay.seed, replay.row);
    for (const past of replay.actions) await live.get(key).step(past);
  }
  return op === "start" ? begin(key, seed, row) : live.get(key).step(action);
}
parentPort.on("message", (message) => {
  if (message.op === "ping") return parentPort.postMessage({ pong: true });
  if (message.op === "end") return live.delete(message.key);
  call(message).then((said) => {
    const json = JSON.stringify(said) ?? "null";
    if (json.length > message.most) parentPort.postMessage({ id: message.id, long: json.length });
    else parentPort.postMessage({ id: message.id, json });
  }).catch((error) => parentPort.postMessage({ id: message.id, failure: text(error).slice(0, 2000) }));
});
parentPort.postMessage({ ready: typeof user["environment"] === "function" });
`;

/** @throws ConfigError where the file is missing or does not compile */
export async function bundleEnvironment(file: string): Promise<URL> {
  const path = resolve(file);
  if (!existsSync(path)) throw new ConfigError(`${path}: there is no such environment file`);
  if (!statSync(path).isFile()) throw new ConfigError(`${path}: an environment is a file, this is a folder`);
  return bundleUserFile(path, HARNESS, "environment");
}
