/** malloc is set up where programs are compiled, by starting again with its settings. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { packageRoot } from "../../src/lib/version.ts";
import { oneHeapEnvironment, withoutOneHeap } from "../../src/processes/one-heap.ts";
import { optionalPart } from "../helpers/optional.ts";

const plugin = { RLPT_PJRT_PLUGIN: "/somewhere/pjrt.so" };
const folder = mkdtempSync(join(tmpdir(), "rlpt heap "));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("one heap", () => {
  it("where a plugin for the CPU is named or installed, and nothing else is said", () => {
    const wanted = { MALLOC_ARENA_MAX: "1", MALLOC_MMAP_THRESHOLD_: "134217728" };
    expect(oneHeapEnvironment(plugin, "linux")).toMatchObject({ ...plugin, ...wanted });
    const cache = join(folder, "cache");
    expect(oneHeapEnvironment({ ...process.env, ...empty(), RLPT_CACHE: cache }, "linux")).toBeNull();
    expect(oneHeapEnvironment({ ...plugin, MALLOC_ARENA_MAX: "4" }, "linux")).toBeNull();
    expect(oneHeapEnvironment({ ...plugin, GLIBC_TUNABLES: "glibc.malloc.hugetlb=1" }, "linux")).toBeNull();
    expect(oneHeapEnvironment(plugin, "darwin")).toBeNull();
    expect(oneHeapEnvironment(plugin, "win32")).toBeNull();
  });

  it("is not started again within itself, and is no matter of other programs", () => {
    const inside = oneHeapEnvironment({ ...plugin, HOME: "/home" }, "linux")!;
    expect(oneHeapEnvironment(inside, "linux")).toBeNull();
    expect(withoutOneHeap(inside)).toEqual({ ...plugin, HOME: "/home" });
    const own = { MALLOC_ARENA_MAX: "2", HOME: "/home" };
    expect(withoutOneHeap(own)).toEqual(own);
  });
});

/** No settings of a person's, no plugin. */
function empty(): NodeJS.ProcessEnv {
  return { RLPT_PJRT_PLUGIN: "", GLIBC_TUNABLES: "", MALLOC_ARENA_MAX: "", MALLOC_MMAP_THRESHOLD_: "" };
}

const glibc =
  process.platform === "linux" &&
  (process.report.getReport() as { header: { glibcVersionRuntime?: string } }).header.glibcVersionRuntime !==
    undefined;

optionalPart(
  "this program with one heap",
  glibc,
  "malloc's settings are glibc's",
)(() => {
  /** What the program's process looked like to a module that Node loads before it. */
  const seen = (env: NodeJS.ProcessEnv, stdin = "") => {
    const script = join(folder, "look.mjs");
    const file = join(folder, "seen.json");
    mkdirSync(folder, { recursive: true });
    writeFileSync(
      script,
      `import { writeFileSync } from "node:fs";
       writeFileSync(${JSON.stringify(file)}, JSON.stringify({ pid: process.pid, argv: process.argv.slice(2),
         execArgv: process.execArgv, arenas: process.env.MALLOC_ARENA_MAX ?? null }));`,
    );
    const args = ["--import", script, join(packageRoot(), "bin", "rlpt.js"), "nothing like this", "--x=1 2"];
    const run = spawnSync(process.execPath, args, {
      env: { ...process.env, ...empty(), RLPT_CACHE: join(folder, "none"), ...env },
      input: stdin,
      encoding: "utf8",
    });
    return { ...run, seen: JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown> };
  };

  it("is the same process with the same arguments, streams and exit status", () => {
    const with_ = seen({ RLPT_PJRT_PLUGIN: "/somewhere/pjrt.so" });
    expect(with_.seen).toMatchObject({ pid: with_.pid, argv: ["nothing like this", "--x=1 2"], arenas: "1" });
    expect((with_.seen["execArgv"] as string[]).slice(0, 2)).toEqual([
      "--max-semi-space-size=64",
      "--import",
    ]);
    const cache = join(folder, "card");
    mkdirSync(join(cache, "pjrt", "cuda13"), { recursive: true });
    const card = seen({ RLPT_CACHE: cache });
    expect(card.seen).toMatchObject({ pid: card.pid, arenas: "" });
    expect((card.seen["execArgv"] as string[])[0]).toBe("--max-semi-space-size=64");
    const own = seen({ ...plugin, NODE_OPTIONS: "--max-semi-space-size=32" });
    expect((own.seen["execArgv"] as string[])[0]).toBe("--import");
    const without = seen({});
    expect(without.seen).toMatchObject({ pid: without.pid, arenas: "" });
    expect(with_.stderr).toContain("unknown command 'nothing like this'");
    expect(with_.stderr).toBe(without.stderr);
    expect([with_.status, without.status]).toEqual([2, 2]);
  });
});
