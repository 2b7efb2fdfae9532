/** Tries backends, each in a process of its own: a driver that crashes or hangs then costs one row, not the command. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { autoOrder, type BackendKind } from "../backend/options.ts";
import type { BackendInfo } from "../backend/select.ts";
import { packageRoot } from "../lib/version.ts";

export type ProbeResult =
  | { kind: BackendKind; usable: true; seconds: number; info: BackendInfo }
  | { kind: BackendKind; usable: false; reason: string; fix: string | null };

const TIMEOUT_SECONDS = 60;

export interface SelfRun {
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  timedOut: boolean;
}

/** Runs this program with other arguments. @param onStderr gets what it says while it works */
export function runSelf(
  args: readonly string[],
  options: { timeoutSeconds: number; env?: NodeJS.ProcessEnv; onStderr?(text: string): void },
): Promise<SelfRun> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(packageRoot(), "bin", "rlpt.js"), ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...options.env },
    });
    const result: SelfRun = { status: null, signal: null, stdout: "", stderr: "", timedOut: false };
    const timer = setTimeout(() => {
      result.timedOut = true;
      child.kill("SIGKILL");
    }, options.timeoutSeconds * 1000);
    child.stdout.on("data", (chunk: Buffer) => {
      result.stdout += chunk;
    });
    child.stderr.on("data", (chunk: Buffer) => {
      result.stderr += chunk;
      options.onStderr?.(chunk.toString());
    });
    child.on("error", reject);
    child.on("close", (status, signal) => {
      clearTimeout(timer);
      resolve({ ...result, status, signal });
    });
  });
}

/** In the child: starts the backend and prints one line of JSON. */
export async function probeHere(kind: BackendKind): Promise<ProbeResult> {
  const { startBackend } = await import("../backend/select.ts");
  const { BackendUnavailable } = await import("../backend/unavailable.ts");
  const begin = process.hrtime.bigint();
  try {
    const info = await startBackend({ kind });
    return { kind, usable: true, seconds: Number(process.hrtime.bigint() - begin) / 1e9, info };
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    if (cause instanceof BackendUnavailable) {
      return { kind, usable: false, reason: cause.reason, fix: cause.fix };
    }
    return { kind, usable: false, reason: error instanceof Error ? error.message : String(error), fix: null };
  }
}

/** In the parent. Never rejects because of the backend. */
export async function probeBackend(kind: BackendKind): Promise<ProbeResult> {
  const run = await runSelf(["backend", "probe", kind], { timeoutSeconds: TIMEOUT_SECONDS });
  const failed = (reason: string): ProbeResult => ({ kind, usable: false, reason, fix: "update its driver" });
  if (run.timedOut) return failed(`it did not start within ${TIMEOUT_SECONDS} s`);
  // the answer counts even if a driver crashes at exit, after it
  const answer = run.stdout.split("\n").find((line) => line.startsWith('{"kind"'));
  if (answer !== undefined) return JSON.parse(answer) as ProbeResult;
  if (run.signal !== null) return failed(`it crashed the process (${run.signal})`);
  const said = run.stderr.trim().split("\n").at(-1);
  return failed(`its trial ended with status ${run.status}${said ? `: ${said}` : ""}`);
}

/** All of them, two at a time, in the order given. */
export async function probeBackends(kinds: readonly BackendKind[]): Promise<ProbeResult[]> {
  const results: ProbeResult[] = new Array(kinds.length);
  let next = 0;
  const worker = async () => {
    while (next < kinds.length) {
      const index = next++;
      results[index] = await probeBackend(kinds[index]!);
    }
  };
  await Promise.all([worker(), worker()]);
  return results;
}

/** What `auto` would take. A software WebGPU adapter starts when forced, but `auto` does not want it. */
export function autoChoice(results: readonly ProbeResult[]): ProbeResult | undefined {
  for (const { kind, device } of autoOrder) {
    const result = results.find((each) => each.kind === kind);
    if (result === undefined || !result.usable || isSoftware(result.info)) continue;
    if (device === undefined || (device === "cpu") === (result.info.platform === "cpu")) return result;
  }
  return undefined;
}

export function isSoftware(info: BackendInfo): boolean {
  return info.kind === "webgpu" && info.device.endsWith("(software)");
}
