/** Compiled programs on disk, so that a second run of the same config starts at once. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from "node:fs";
import { arch, cpus, platform } from "node:os";
import { join } from "node:path";
import koffi from "koffi";
import { writeFileAtomic } from "../../../lib/files.ts";
import type { Pointer } from "../native.ts";
import { Arena, type PjrtPlugin } from "./api.ts";
import { serialize } from "./executable.ts";

export interface ProgramCache {
  key(text: string, options: Uint8Array): string;
  /** @returns the program, or null when it is not there or does not load any more */
  load(plugin: PjrtPlugin, client: Pointer, key: string): Pointer | null;
  /** Keeps a program; a plugin that cannot serialise, or a full disk, leaves nothing behind. */
  keep(plugin: PjrtPlugin, loaded: Pointer, key: string): void;
}

/** Machine code fits one processor: its model and features are part of the key. */
function machine(): string {
  let flags = "";
  try {
    flags = /^(?:flags|Features)\s*:.*$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[0] ?? "";
  } catch {
    // not Linux
  }
  return [platform(), arch(), cpus()[0]?.model ?? "", cpus().length, flags].join("\n");
}

/**
 * @param plugin path of the library: its size and time are part of the key, beside the versions it reports, and $XLA_FLAGS,
 * which every plugin reads
 */
export function programCache(
  folder: string,
  plugin: string,
  versions: Readonly<Record<string, string>>,
): ProgramCache {
  const { size, mtimeMs } = statSync(plugin);
  const flags = process.env["XLA_FLAGS"] ?? "";
  const base = JSON.stringify([plugin, size, mtimeMs, versions, machine(), flags]);
  const pathOf = (key: string) => join(folder, `${key}.pjrt`);
  return {
    key: (text, options) =>
      createHash("sha256").update(base).update("\0").update(options).update("\0").update(text).digest("hex"),
    load: (api, client, key) => {
      const path = pathOf(key);
      if (!existsSync(path)) return null;
      const arena = new Arena();
      try {
        const bytes = readFileSync(path);
        const now = new Date();
        utimesSync(path, now, now); // what is used stays
        const { loaded_executable } = api.call("Executable_DeserializeAndLoad", {
          client,
          serialized_executable: arena.keep(bytes),
          serialized_executable_size: bytes.length,
        });
        return loaded_executable;
      } catch {
        rmSync(path, { force: true });
        return null;
      } finally {
        arena.release();
      }
    },
    keep: (api, loaded, key) => {
      try {
        writeFileAtomic(pathOf(key), serialize(api, loaded, callDeleter));
        dropOldest(folder, LARGEST_BYTES);
      } catch {
        // the next run compiles again
      }
    },
  };
}

/** Programs kept, bytes; some 250 of a model with 30 layers. */
const LARGEST_BYTES = 2 ** 30;

/** Removes the files that have not been used for longest, until the others are below the limit. */
export function dropOldest(folder: string, limit: number): void {
  const files = readdirSync(folder)
    .filter((name) => name.endsWith(".pjrt"))
    .map((name) => {
      const path = join(folder, name);
      const { size, mtimeMs } = statSync(path);
      return { path, size, mtimeMs };
    })
    .sort((a, b) => b.mtimeMs - a.mtimeMs);
  let kept = 0;
  for (const { path, size } of files) {
    kept += size;
    if (kept > limit) rmSync(path, { force: true });
  }
}

let deleter: ReturnType<typeof koffi.proto> | undefined;
function callDeleter(at: Pointer, serialized: Pointer): void {
  deleter ??= koffi.proto("void", ["uintptr_t"]);
  if (at !== 0) koffi.call(BigInt(at), deleter, serialized);
}
