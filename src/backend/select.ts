/** Starts a tensor backend: a named one, or the first of a fixed order that starts and computes correctly. */
import * as tf from "@tensorflow/tfjs";
import { BackendError } from "../lib/errors.ts";
import type { EngineDeclaration, StartOptions as EngineOptions } from "./declaration.ts";
import { engines } from "./engines.ts";
import { autoOrder, type BackendKind, kindsWithKey } from "./options.ts";
import { type SelfTestResult, selfTest } from "./self-test.ts";
import { BackendUnavailable, firstLine, type StartedBackend } from "./unavailable.ts";

export interface StartOptions extends EngineOptions {
  kind: "auto" | BackendKind;
}

export interface BackendInfo extends Pick<StartedBackend, "matmul" | "platform" | "devices"> {
  kind: BackendKind;
  /** The hardware. */
  device: string;
  /** One line: what computes. */
  description: string;
  /** Backends before this one in `auto`'s order, and why they were passed over. */
  tried: { kind: BackendKind; reason: string; fix: string | null }[];
  /** Package and library versions, for provenance. */
  versions: Record<string, string>;
  selfTest: SelfTestResult;
}

/**
 * Sets the tfjs backend of this process. May be called again for another kind.
 * @throws BackendError when a named backend cannot start or fails its self-test: there is no fallback then
 */
export async function startBackend(options: StartOptions): Promise<BackendInfo> {
  // no debug checks, and no advice to install another backend on stderr
  tf.enableProdMode();
  if (options.kind !== "auto") {
    try {
      return { ...(await startAndCheck(options.kind, options, false)), tried: [] };
    } catch (error) {
      if (!(error instanceof BackendUnavailable)) throw error;
      const fix = error.fix === null ? "" : ` Fix: ${error.fix}; or`;
      throw new BackendError(
        `backend ${options.kind} cannot start: ${error.reason}.${fix || " Fix:"} use --backend auto (rlpt doctor shows what works here).`,
        { cause: error },
      );
    }
  }
  const tried: BackendInfo["tried"] = [];
  for (const { kind, device } of autoOrder) {
    const reason = declarationOf(kind).leftOut?.({ ...options, device }) ?? null;
    if (reason !== null) {
      tried.push({ kind, reason, fix: null });
      continue;
    }
    try {
      return { ...(await startAndCheck(kind, { ...options, device }, true)), tried };
    } catch (error) {
      if (!(error instanceof BackendUnavailable)) throw error;
      tried.push({ kind, reason: error.reason, fix: error.fix });
    }
  }
  const list = tried.map(({ kind, reason }) => `  ${kind}: ${reason}`).join("\n");
  throw new BackendError(`no tensor backend starts on this machine:\n${list}`);
}

async function startAndCheck(
  kind: BackendKind,
  options: StartOptions,
  auto: boolean,
): Promise<Omit<BackendInfo, "tried">> {
  const engine = declarationOf(kind);
  const { precision = "f32", devices = "auto" } = options;
  if (precision !== "f32") needsKey(engine, "precision", precision);
  if (devices !== "auto" && devices > 1) needsKey(engine, "devices", devices);
  const started = await engine.start(options, auto);
  if (tf.getBackend() !== started.tfName) {
    throw new BackendUnavailable(`tfjs is on ${tf.getBackend()} instead of ${started.tfName}`, null);
  }
  const { tfName: _, arm, ...rest } = started;
  const result = await checkedSelfTest();
  if (!result.passed) {
    throw new BackendUnavailable(
      `it computes wrongly: the self-test's ${result.of} is off by ${result.deviation.toExponential(1)} (relative)`,
      "update the driver or library below it",
    );
  }
  arm?.();
  return { kind, ...rest, versions: { tfjs: tf.version_core, ...rest.versions }, selfTest: result };
}

async function checkedSelfTest(): Promise<SelfTestResult> {
  try {
    return await selfTest();
  } catch (cause) {
    throw new BackendUnavailable(
      `its self-test stopped: ${firstLine(cause)}`,
      "update the driver or library below it",
      { cause },
    );
  }
}

function declarationOf(kind: BackendKind): EngineDeclaration {
  return engines.find((engine) => engine.kind === kind)!;
}

/** @throws BackendUnavailable when the engine does not read a key that asks it for something */
function needsKey({ keys }: EngineDeclaration, key: "precision" | "devices", value: string | number): void {
  if (keys.includes(key)) return;
  throw new BackendUnavailable(
    `backend.${key} ${value} needs compiled programs`,
    `use backend ${kindsWithKey(key).join(" or ")}`,
  );
}
