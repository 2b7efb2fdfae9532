/** A Python environment of its own for the other side: torch, transformers, trl and peft from the package index. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cacheDir } from "../../src/lib/cache.ts";
import { BackendError } from "../../src/lib/errors.ts";
import { packageRoot } from "../../src/lib/version.ts";

const MODULES = "import torch, transformers, trl, peft, datasets, math_verify";

/** Without TRL a plain loop of PyTorch takes its steps; a case that needs another module says so. */
const LEAST_MODULES = "import torch, transformers";

function requirements(): string {
  return join(packageRoot(), "tools", "peers", "requirements.txt");
}

/** The environment that `peerPython` makes. */
export function environmentFolder(): string {
  const wanted = createHash("sha256").update(readFileSync(requirements())).digest("hex").slice(0, 12);
  return join(cacheDir(), "peers", wanted);
}

/**
 * A Python that has what the other side needs; made when there is none yet, some gigabytes.
 * @param named use this one instead
 * @throws BackendError saying what is missing, and how to get it by hand
 */
export function peerPython(named: string | undefined, note: (line: string) => void): string {
  const byHand = `name a Python that has them with --python (pip install -r ${requirements()})`;
  if (named !== undefined) {
    const { status, stderr, error } = spawnSync(named, ["-c", LEAST_MODULES], { encoding: "utf8" });
    if (status === 0) return named;
    throw new BackendError(
      `${named} cannot import what the other side needs: ${error?.message ?? lastLine(stderr)}. Fix: ${named} -m pip install -r ${requirements()}.`,
    );
  }
  const folder = environmentFolder();
  const python = join(folder, process.platform === "win32" ? "Scripts/python.exe" : "bin/python");
  // written last: an installation that was cut off is made again
  const finished = join(folder, "installed");
  if (existsSync(finished)) return python;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const base = process.env["RLPT_PYTHON"] ?? "python3";
  note(`installing torch, transformers, trl, peft, datasets and math-verify into ${folder}: some gigabytes`);
  run(base, ["-m", "venv", folder], `no environment can be made with ${base} -m venv`, byHand);
  const pip = ["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"];
  run(python, [...pip, "-q", "-r", requirements()], "the package index does not give what is needed", byHand);
  run(python, ["-c", MODULES], "what was installed cannot be imported", byHand);
  writeFileSync(`${finished}.tmp`, readFileSync(requirements()));
  renameSync(`${finished}.tmp`, finished);
  return python;
}

function run(program: string, args: readonly string[], problem: string, byHand: string): void {
  const { status, stderr, error } = spawnSync(program, args, {
    encoding: "utf8",
    maxBuffer: 2 ** 26,
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (status === 0) return;
  throw new BackendError(
    `${problem}: ${error?.message ?? lastLine(stderr)}. Fix: check the network, or ${byHand}.`,
  );
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) || "it said nothing";
}
