/** `rlpt export`: a model's weights for other tools, as a Hugging Face directory or a GGUF file. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { startBackend } from "../backend/select.ts";
import { ConfigError, describeSystemError, ModelFileError, RlptError } from "../lib/errors.ts";
import { syncDirectory } from "../lib/files.ts";
import { planGguf, writeGgufModel } from "../policy/files/gguf-export.ts";
import { savedGenerationConfig, saveModel } from "../policy/files/model-directory.ts";
import { WRITTEN_TYPES, type WrittenType } from "../policy/files/quantise.ts";
import { parseModelConfig } from "../policy/model-config.ts";
import type { Note } from "./assemble.ts";
import { type OpenedPolicy, openPolicy } from "./open-policy.ts";

/** What a model can be written as. The first type is the default. */
const FORMATS = {
  "hugging-face": { types: ["F32", "BF16", "F16"] },
  gguf: { types: ["F16", ...WRITTEN_TYPES.filter((type) => type !== "F16")] },
} as const;
type Format = keyof typeof FORMATS;

export interface ExportRequest {
  checkpoint?: string;
  /** As typed; by the destination's name when absent. */
  format?: string;
  type?: string;
}

export interface Exported {
  parameters: number;
  type: WrittenType;
}

/**
 * @param path a run, checkpoint, config or model; an adapter is merged
 * @param destination a new or empty directory, or a .gguf file that does not exist
 * @throws ConfigError for a flag or destination, before anything is loaded
 */
export async function exportModel(
  path: string,
  destination: string,
  request: ExportRequest,
  note: Note,
): Promise<Exported> {
  const { format, type } = checkedRequest(destination, request);
  await startBackend({ kind: "auto" });
  const opened = await openPolicy(path, request.checkpoint, note);
  // aside first, so that a half-written model is never taken for one
  const aside = `${resolve(destination)}.${process.pid}.tmp`;
  try {
    const write =
      format === "gguf" ? await ggufWriter(opened, type, destination, note) : directoryWriter(opened, type);
    mkdirSync(dirname(aside), { recursive: true });
    await opened.policy.prepareExport();
    write(aside);
    rmSync(destination, { recursive: true, force: true });
    renameSync(aside, destination);
    syncDirectory(dirname(aside));
  } catch (error) {
    if (error instanceof RlptError || (error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new ModelFileError(`${destination} cannot be written: ${describeSystemError(error)}`, {
      cause: error,
    });
  } finally {
    rmSync(aside, { recursive: true, force: true });
    opened.files.weights.close();
    opened.policy.dispose();
  }
  return { parameters: opened.policy.parameterCount, type };
}

function checkedRequest(destination: string, request: ExportRequest): { format: Format; type: WrittenType } {
  const format = request.format ?? (destination.endsWith(".gguf") ? "gguf" : "hugging-face");
  if (!Object.hasOwn(FORMATS, format)) {
    throw new ConfigError(`--format ${format}: use one of ${Object.keys(FORMATS).join(", ")}`);
  }
  const types: readonly string[] = FORMATS[format as Format].types;
  const type = (request.type ?? types[0]!).toUpperCase();
  if (!types.includes(type)) {
    throw new ConfigError(
      `--type ${request.type}: with --format ${format} use one of ${types.map((each) => each.toLowerCase()).join(", ")}`,
    );
  }
  if (format === "gguf" && !destination.endsWith(".gguf")) {
    throw new ConfigError(`${destination}: --format gguf writes one file: give a name that ends in .gguf`);
  }
  if (format !== "gguf" && destination.endsWith(".gguf")) {
    throw new ConfigError(
      `${destination}: --format ${format} writes a directory: give another name, or --format gguf`,
    );
  }
  if (format === "gguf" && existsSync(destination)) {
    throw new ConfigError(`${destination} exists already: give another name`);
  }
  if (format !== "gguf" && existsSync(destination) && readdirSync(destination).length > 0) {
    throw new ConfigError(`${destination} is not empty: give another directory`);
  }
  return { format: format as Format, type: type as WrittenType };
}

function directoryWriter({ files, policy }: OpenedPolicy, type: WrittenType): (path: string) => void {
  return (path) =>
    saveModel(path, {
      config: files.config,
      generationConfig: savedGenerationConfig(files),
      tokenizerFiles: files.tokenizerFiles,
      weights: policy.exportWeights(),
      dtype: type as "F32" | "BF16" | "F16",
    });
}

async function ggufWriter(
  { files, policy }: OpenedPolicy,
  type: WrittenType,
  destination: string,
  note: Note,
): Promise<(path: string) => void> {
  const plan = planGguf(files, type, basename(destination, ".gguf"));
  for (const text of plan.notes) note(text, "warning");
  return (path) =>
    writeGgufModel(path, plan, parseModelConfig(files.config, files.source), policy.exportWeights());
}
