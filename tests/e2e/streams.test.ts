/** A training whose terminal, reader or disk for messages goes away. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { packageRoot } from "../../src/lib/version.ts";
import { rowsWithoutTime, tinyGrpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);
const config = space.write("tiny.yaml", tinyGrpo.replace("checkpoint_every: 2", "checkpoint_every: 1000"));
const rlpt = join(packageRoot(), "bin", "rlpt.js");

function train(
  name: string,
  steps: number,
  through: (command: string) => string,
  stdio?: "ignore",
): ChildProcess {
  const command = [
    "exec",
    process.execPath,
    rlpt,
    "train",
    config,
    "--run-dir",
    space.path(name),
    "--steps",
    String(steps),
    "--backend",
    "wasm",
    "--set",
    "eval.every=0",
  ];
  const quoted = command.map((word) => (word === "exec" ? word : `'${word}'`)).join(" ");
  return spawn("bash", ["-c", through(quoted)], {
    stdio: stdio ?? ["ignore", "pipe", "pipe"],
    detached: true,
  });
}

const end = (child: ChildProcess): Promise<unknown> =>
  new Promise((resolve) => child.on("exit", (code, signal) => resolve(code ?? signal)));

const steps = (name: string): number => {
  const file = space.path(join(name, "metrics.csv"));
  return existsSync(file) ? rowsWithoutTime(file).length : 0;
};

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 50));
}

describe.skipIf(process.platform === "win32")("a training", { timeout: 120_000 }, () => {
  it("whose reader of progress and result closes the pipe makes all of its steps", async () => {
    const child = train("closed", 40, (command) => `${command} 2>&1`);
    child.stdout!.once("data", () => child.stdout!.destroy());
    expect(await end(child)).toBe(0);
    expect(steps("closed")).toBe(40);
    expect(existsSync(space.path("closed/checkpoints/000040/manifest.json"))).toBe(true);
  });

  it.skipIf(!existsSync("/dev/full"))(
    "whose stderr is full or closed does so too; a result that is lost is told by the status",
    async () => {
      expect(await end(train("full", 4, (command) => `${command} 2>/dev/full`))).toBe(0);
      expect(await end(train("shut", 4, (command) => `${command} 2>&-`))).toBe(0);
      const child = train("result", 4, (command) => `${command} >/dev/full`);
      let said = "";
      child.stderr!.on("data", (chunk) => {
        said += chunk;
      });
      expect(await end(child)).toBe(1);
      expect(said).toContain("rlpt: the output was not written: the disk is full");
      expect(["full", "shut", "result"].map(steps)).toEqual([4, 4, 4]);
    },
  );

  it("that loses its terminal writes a checkpoint and ends with 130", async () => {
    const child = train("hangup", 100_000, (command) => command);
    await until(() => steps("hangup") > 2);
    process.kill(child.pid!, "SIGHUP");
    process.kill(child.pid!, "SIGHUP");
    expect(await end(child)).toBe(130);
    const made = steps("hangup");
    expect(existsSync(space.path(`hangup/checkpoints/${String(made).padStart(6, "0")}`))).toBe(true);
  });

  it("under nohup goes on without it", async () => {
    const log = openSync(space.path("log"), "w");
    const child = spawn(
      "bash",
      [
        "-c",
        `nohup '${process.execPath}' '${rlpt}' train '${config}' --run-dir '${space.path("nohup")}' --steps 400 --backend wasm --set eval.every=0`,
      ],
      { stdio: ["ignore", log, log] },
    );
    await until(() => steps("nohup") > 2);
    process.kill(child.pid!, "SIGHUP");
    expect(await end(child)).toBe(0);
    expect(steps("nohup")).toBe(400);
    expect(readFileSync(space.path("log"), "utf8")).not.toContain("SIGHUP");
  });
});
