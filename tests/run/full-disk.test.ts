import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readCsvTable } from "../../src/run/append-log.ts";
import { optionalPart } from "../helpers/optional.ts";
import { bundleChild } from "./bundle-child.ts";

const folder = mkdtempSync(join(tmpdir(), "rlpt-full-"));
const disk = join(folder, "disk");
mkdirSync(disk);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a shell script in mount namespaces of its own, where `disk` is a disk of 1 MiB. */
function onSmallDisk(script: string, env: Record<string, string> = {}) {
  const mount = `mount -t tmpfs -o size=1m none ${disk}`;
  return spawnSync("unshare", ["-rm", "sh", "-c", `${mount} && ${script}`], {
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
}

const mountable = onSmallDisk("true").status === 0;

optionalPart(
  "a full disk",
  mountable,
  "no permission to mount a tmpfs (unshare -rm)",
)(() => {
  const script = join(folder, "child.mjs");
  beforeAll(() => bundleChild(script));

  test("while a checkpoint is written: nothing is left aside, the one before is intact, and the run goes on later", () => {
    const child = `"${process.execPath}" ${script} ${disk}/run 30 5`;
    const steps = [
      `mkdir ${disk}/run`,
      `${child} 2> ${folder}/error`,
      `echo "status $?"`,
      `ls -A ${disk}/run/checkpoints`,
      `mount -o remount,size=8m ${disk}`,
      `echo "again"`,
      child,
      `cp ${disk}/run/metrics.csv ${disk}/run/samples.jsonl ${folder}`,
    ];
    // three checkpoints stay (two newest and the best), and a fourth does not fit
    const { stdout, status } = onSmallDisk(steps.join("\n"), { FILL_BYTES: "300000" });
    expect(status).toBe(0);
    const [first, second] = stdout.split("again\n");
    const [, kept] = first!.split("status 1\n");
    const names = kept!.trim().split("\n");
    expect(names.every((name) => /^\d{6}$/.test(name))).toBe(true);
    const last = Number(names.at(-1));
    expect(last).toBeGreaterThanOrEqual(10);
    const error = readFileSync(join(folder, "error"), "utf8");
    const path = `${disk}/run/checkpoints/${String(last + 5).padStart(6, "0")}`;
    const needed = /needs at least (\d+) bytes; (\d+) bytes are free/.exec(error);
    expect(error).toContain(`CheckpointError: ${path}: the checkpoint was not written: the disk is full.`);
    expect(Number(needed?.[1])).toBeGreaterThan(300_000);
    expect(Number(needed?.[2])).toBeLessThan(300_000);
    expect(error).toContain(`The checkpoint of step ${last} is intact. Free some space`);
    expect(second).toContain(`begin ${last}\n`);

    // what a disk with room gives
    const roomy = join(folder, "roomy");
    mkdirSync(roomy);
    const { stdout: expected } = spawnSync(process.execPath, [script, roomy, "30", "5"], {
      encoding: "utf8",
    });
    const hash = /done (\w{64})/;
    expect(hash.exec(second!)?.[1]).toBe(hash.exec(expected)![1]);
    expect(readFileSync(join(folder, "samples.jsonl"), "utf8")).toBe(
      readFileSync(join(roomy, "samples.jsonl"), "utf8"),
    );
    expect(readCsvTable(join(folder, "metrics.csv")).rows).toHaveLength(30);
  });

  test("while a row is written: the file ends with its last whole row, the error names it", () => {
    const child = `"${process.execPath}" ${script} ${disk}/run 300 1000`;
    const steps = [
      `mkdir ${disk}/run`,
      `dd if=/dev/zero of=${disk}/ballast bs=1024 count=976 2> ${folder}/dd`,
      `${child} 2> ${folder}/error`,
      `echo "status $?"`,
      `cat ${disk}/run/samples.jsonl`,
    ];
    const { stdout } = onSmallDisk(steps.join("\n"));
    const [, samples] = stdout.split("status 1\n");
    expect(readFileSync(join(folder, "error"), "utf8")).toMatch(
      /\/run\/\w+\.\w+: cannot (write row \d+|open for writing): the disk is full\. The run can be/,
    );
    expect(samples!.endsWith("\n")).toBe(true);
    const lines = samples!.trimEnd().split("\n");
    expect(lines.length).toBeGreaterThan(2);
    for (const line of lines) expect(JSON.parse(line)).toHaveProperty("prompt_id");
  });
});
