import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterAll, expect, it } from "vitest";
import { renderReport } from "../../tools/gpu-check/report.mjs";
import { pluginFor } from "../helpers/engines.ts";
import { optionalPart } from "../helpers/optional.ts";

const folder = mkdtempSync(join(tmpdir(), "rlpt gpu check "));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it("leaves results of what was reached when its time is over", () => {
  const out = join(folder, "out");
  const check = ["tools/gpu-check/check.mjs", "--dry", "--parts", "doctor,devices", "--out", out];
  const run = spawnSync(process.execPath, [...check, "--budget", "9"], { encoding: "utf8" });
  const report = JSON.parse(readFileSync(join(out, "report.json"), "utf8"));
  expect(Object.keys(report.parts), run.stderr).toEqual(["doctor", "devices"]);
  // neither has the five seconds that a part needs at least
  expect(report.parts.doctor).toMatchObject({ status: "left out" });
  expect(run.stdout).toContain("0 passed, 0 failed, 2 left out");
  expect(readFileSync(join(out, "report.md"), "utf8")).toContain("| doctor | left out | 0 |");
});

it("says which part was cut off, and leaves no process behind", async () => {
  const out = join(folder, "cut off");
  const args = ["tools/gpu-check/check.mjs", "--dry", "--parts", "doctor", "--out", out];
  const child = spawn(process.execPath, args, { stdio: "ignore" });
  const state = () => {
    const path = join(out, "report.json");
    return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).parts.doctor?.status : undefined;
  };
  const children = () =>
    readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim().split(" ").filter(Boolean);
  const until = async (what: () => boolean, seconds = 20) => {
    for (let tries = 0; !what(); tries++) {
      if (tries > 40 * seconds) throw new Error("it takes too long");
      await setTimeout(25);
    }
  };
  await until(() => state() === "running");
  const linux = process.platform === "linux";
  let started: string[] = [];
  if (linux) {
    await until(() => children().length > 0);
    started = children();
  }
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await ended;
  expect(state()).toBe("cut off");
  // by itself it would go on for seconds
  const over = (pid: string) =>
    !existsSync(`/proc/${pid}`) || / [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  if (linux) await until(() => started.every(over), 0.5);
});

it("keeps earlier parts of a report, says what failed, and escapes cells", () => {
  const parts = [
    { name: "a", title: "First" },
    { name: "b", title: "Second" },
    { name: "c", title: "Third" },
  ];
  const part = { status: "passed", seconds: 1.6, notes: [], tables: [], figures: {} };
  const text = renderReport(
    {
      command: "run.sh",
      dry: false,
      xlaFlags: null,
      machine: { gpus: [], python: null, node: "v20.0.0", platform: "linux-x64" },
      parts: {
        b: { ...part, tables: [{ title: "Times.", header: ["x", "y"], rows: [["a|b", "1\n2"]] }] },
        a: { ...part, status: "failed", problems: ["too slow"] },
      },
    },
    parts,
  );
  expect(text.indexOf("## First")).toBeLessThan(text.indexOf("## Second"));
  expect(text).toContain("| a | failed | 2 |");
  expect(text).toContain("**Failed**: too slow");
  expect(text).toContain("Times.\n\n| x | y |\n| --- | --- |\n| a\\|b | 1 2 |");
  expect(text).not.toContain("Third");
});

// half a minute on two cores: most of it finds out which files are loaded
optionalPart(
  "the pack for a machine without Node",
  process.env["RLPT_THOROUGH"] === "1",
  "slow; set RLPT_THOROUGH=1",
)(() => {
  it("has what training takes, and little else", { timeout: 180_000 }, () => {
    const tree = join(folder, "tree");
    const home = join(folder, "home");
    const made = spawnSync(process.execPath, ["tools/gpu-check/pack.mjs", "--tree", "--to", tree], {
      encoding: "utf8",
    });
    expect(made.status, made.stderr).toBe(0);
    for (const name of ["bin", "src", "tools", "configs", "models", "package.json"]) {
      cpSync(name, join(tree, name), { recursive: true });
    }
    mkdirSync(home);
    const plugin = pluginFor("cpu")?.path;
    // without this machine's path, home and packages
    const named = plugin === undefined ? {} : { RLPT_PJRT_PLUGIN: plugin };
    const env = { PATH: "/usr/bin:/bin", HOME: home, ...named };
    const bare = (...args: string[]) =>
      spawnSync(process.execPath, ["bin/rlpt.js", ...args], { cwd: tree, env, encoding: "utf8" });

    expect(bare("--version").stdout).toMatch(/^\d+\.\d+\.\d+/);
    const backend = plugin === undefined ? "wasm" : "xla";
    const size = ["--steps", "1", "--set", "data.eval.size=2", "--backend", backend, "--quiet"];
    const run = bare("train", "configs/quickstart.yaml", ...size, "--run-dir", join(folder, "run"));
    expect(run.status, run.stderr).toBe(0);
    expect(
      readFileSync(join(folder, "run", "metrics.csv"), "utf8")
        .trim()
        .split("\n"),
    ).toHaveLength(2);

    const packages = join(tree, "node_modules");
    expect(existsSync(join(packages, "vitest"))).toBe(false);
    const bytes = readdirSync(packages, { recursive: true, encoding: "utf8" })
      .map((path) => statSync(join(packages, path)))
      .reduce((sum, stat) => sum + (stat.isFile() ? stat.size : 0), 0);
    expect(bytes).toBeLessThan(60 * 2 ** 20);
    // it would have failed without one of them
    rmSync(join(packages, "koffi"), { recursive: true });
    expect(bare("train", "configs/quickstart.yaml", ...size, "--backend", "xla").status).not.toBe(0);
  });
});
