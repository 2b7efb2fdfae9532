import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CheckpointError } from "../../src/lib/errors.ts";
import { lockName, lockRun } from "../../src/run/lock.ts";

let runDir: string;
beforeEach(() => {
  runDir = mkdtempSync(join(tmpdir(), "rlpt-lock-"));
});
afterEach(() => rmSync(runDir, { recursive: true, force: true }));

const owner = (change: object): void =>
  writeFileSync(
    join(runDir, lockName),
    JSON.stringify({ pid: process.pid, host: hostname(), started: null, token: "other", ...change }),
  );

test("held: a second one is refused and told who holds it; released: free again", () => {
  const lock = lockRun(runDir);
  expect(() => lockRun(runDir)).toThrow(CheckpointError);
  expect(() => lockRun(runDir)).toThrow(`process ${process.pid} writes this run`);
  lock.release();
  expect(readdirSync(runDir)).toEqual([]);
  lock.release();
  lockRun(runDir).release();
});

test("a dead process's lock is taken over, with a note", () => {
  const { pid } = spawnSync(process.execPath, ["-e", ""]);
  owner({ pid });
  // killed while it rewrote a table
  writeFileSync(join(runDir, `.metrics.csv.${pid}.0123abcd.tmp`), "step");
  const notes: string[] = [];
  const lock = lockRun(runDir, (text) => notes.push(text));
  expect(notes).toEqual([`${runDir}: took over from process ${pid}, which is gone`]);
  expect(readdirSync(runDir)).toEqual([lockName]);
  expect(JSON.parse(readFileSync(join(runDir, lockName), "utf8"))).toMatchObject({ pid: process.pid });
  lock.release();
});

test.skipIf(process.platform !== "linux")("a pid that now names another process is a dead one", () => {
  owner({ started: "1" });
  lockRun(runDir).release();
  expect(readdirSync(runDir)).toEqual([]);
});

test.skipIf(process.platform !== "linux")(
  "a dead process that nobody has waited for is a dead one",
  async () => {
    // the shell's child ends, and what the shell became never waits for it
    const parent = spawn("sh", ["-c", "sleep 0 & echo $!; exec sleep 20"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    try {
      const pid = Number(await new Promise((resolve) => parent.stdout.once("data", resolve)));
      const state = () => readFileSync(`/proc/${pid}/stat`, "utf8").replace(/.*\) /, "")[0];
      while (state() !== "Z") await new Promise((resolve) => setTimeout(resolve, 5));
      owner({ pid });
      lockRun(runDir).release();
      expect(readdirSync(runDir)).toEqual([]);
    } finally {
      parent.kill();
    }
  },
);

test("another machine's lock and an unreadable one are never taken", () => {
  owner({ host: "elsewhere", pid: 1 });
  expect(() => lockRun(runDir)).toThrow(
    `process 1 on elsewhere writes this run. If it is gone, delete ${lockName}.`,
  );
  writeFileSync(join(runDir, lockName), "");
  expect(() => lockRun(runDir)).toThrow("cannot be read. Delete it if no rlpt writes this run.");
});

test("release leaves a lock alone that another process has taken since", () => {
  const lock = lockRun(runDir);
  owner({ token: "theirs" });
  lock.release();
  expect(readdirSync(runDir)).toEqual([lockName]);
});

test("a folder that is not there", () => {
  expect(() => lockRun(join(runDir, "nowhere"))).toThrow("cannot lock the run: no such file or directory.");
});
