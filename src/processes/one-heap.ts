/** Memory that compiled programs free stays with the process, for their next run; graphs die young. */
import { existsSync } from "node:fs";
import { pluginCacheFolder, pluginNames } from "../backend/xla/pjrt/find.ts";

/** mallopt(3) of glibc, and its tunables. */
const oneHeap = {
  // one heap for all threads, which grows at its end and is never cut there
  MALLOC_ARENA_MAX: "1",
  MALLOC_TRIM_THRESHOLD_: "9223372036854775807",
  // larger arrays lie outside of it: kept in it they would tear holes (9 GB for a step that needs 3.7)
  MALLOC_MMAP_THRESHOLD_: String(128 * 2 ** 20),
  // and are given zeros by 2 MiB at a time, where the kernel has such pages
  GLIBC_TUNABLES: "glibc.malloc.hugetlb=1",
} as const;

/** Of V8, in MB: a step's graph is garbage before it fills this, so that it is rarely copied. */
const youngObjects = "--max-semi-space-size=64";

/** fcntl(2): the flags of a file descriptor. */
const F_SETFD = 2;

/** Set beside them, so that they can be told from a person's own. */
const mark = "RLPT_ONE_HEAP";

/** What is set about malloc already is left as it is. */
const settings = [...Object.keys(oneHeap), "MALLOC_MMAP_MAX_", "MALLOC_TOP_PAD_"];

/**
 * XLA allocates a program's temporary arrays at each run. glibc gives them back to the kernel each time, which fills them with
 * zeros again page by page: up to half of a small training step (decision 0010). It reads its settings once, when a process
 * starts.
 * @returns the environment to start with, or null: nothing compiles here, or malloc is set up already
 */
export function oneHeapEnvironment(
  environment: NodeJS.ProcessEnv,
  platform: NodeJS.Platform = process.platform,
): NodeJS.ProcessEnv | null {
  if (platform !== "linux" || settings.some((name) => environment[name])) return null;
  // a card's plugin compiles in many threads, and what it allocates lies on the card
  if (!environment["RLPT_PJRT_PLUGIN"] && !existsSync(pluginCacheFolder("xla-cpu"))) return null;
  return { ...environment, ...oneHeap, [mark]: "1" };
}

/** Node's arguments for a step's graphs: none where nothing compiles, or where a person has said something about it. */
function nodeArguments(environment: NodeJS.ProcessEnv, given: readonly string[]): readonly string[] {
  const chosenByUser = [...given, environment["NODE_OPTIONS"] ?? ""].some((flag) =>
    flag.includes("semi-space"),
  );
  const compiles =
    Boolean(environment["RLPT_PJRT_PLUGIN"]) ||
    pluginNames.some((name) => existsSync(pluginCacheFolder(name)));
  return chosenByUser || !compiles || process.platform !== "linux" ? [] : [youngObjects];
}

/** An environment for programs that are not ours. */
export function withoutOneHeap(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  if (!environment[mark]) return environment;
  const given = new Set<string>([...Object.keys(oneHeap), mark]);
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !given.has(name)));
}

/**
 * Puts this program in the place of itself, with one heap and room for graphs, where that helps; else returns. Only at the start: nothing is
 * open yet. A child of a pool keeps the channel to its parent, whose settings it has.
 */
export async function restartWithOneHeap(argv: readonly string[]): Promise<void> {
  // once it has lost its parent there is no channel either
  if (process.channel || process.connected !== undefined) return;
  const heap = oneHeapEnvironment(process.env);
  const flags = nodeArguments(process.env, process.execArgv);
  if (heap === null && flags.length === 0) return;
  try {
    const { default: koffi } = await import("koffi");
    const libc = koffi.load("libc.so.6");
    const execve = libc.func("int execve(const char *path, const char **argv, const char **envp)");
    const fcntl = libc.func("int fcntl(int fd, int command, ...)");
    // Node marks its standard streams to be closed when another program takes its place
    for (const stream of [0, 1, 2]) fcntl(stream, F_SETFD, "int", 0);
    const variables = Object.entries(heap ?? process.env).map(([name, value]) => `${name}=${value}`);
    const args = [argv[0]!, ...flags, ...process.execArgv, ...argv.slice(1), null];
    execve(process.execPath, args, [...variables, null]);
  } catch {
    // another C library: as it was
  }
}
