import type { EnvironmentAction, EnvironmentHost, EnvironmentReply } from "../types.ts";
import { checkStart, checkStep } from "./answers.ts";
import type { Environment } from "./define.ts";

/** Built-in environments: they compute a moment and hold nothing, so they need no thread. */
export function localHost(name: string, create: () => Environment): EnvironmentHost {
  const live = new Map<string, Environment>();
  const reply = async <Value>(call: () => unknown, check: (said: unknown) => Value) => {
    try {
      return { kind: "ok", value: check(await call()) } satisfies EnvironmentReply<Value>;
    } catch (error) {
      return { kind: "error", message: (error as Error).message } satisfies EnvironmentReply<Value>;
    }
  };
  return {
    name,
    start(key, seed, row) {
      const episode = create();
      live.set(key, episode);
      return reply(() => episode.reset(seed, row), checkStart);
    },
    step: (key, action: EnvironmentAction) => reply(() => live.get(key)!.step(action), checkStep),
    end: (key) => void live.delete(key),
    close: async () => live.clear(),
  };
}
