/** What `rlpt push` sends: a run's model as `rlpt export` writes it or a model directory as it is, and its card. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { CheckpointError, ConfigError } from "../lib/errors.ts";
import { parseHubId } from "../lib/hub/repository.ts";
import type { UploadFile } from "../lib/hub/upload.ts";
import { isFolder } from "../lib/regular-file.ts";
import { VERSION } from "../lib/version.ts";
import { modelCard } from "../report/model-card.ts";
import { type RunFiles, readRun } from "../report/read-run.ts";
import type { Note } from "../training/assemble.ts";
import { exportModel } from "../training/export-model.ts";
import { hasRecipe } from "../training/open-policy.ts";
import { resolveTarget } from "../training/target.ts";

interface Packed {
  /** For the commit's title. */
  what: string;
  card: string;
  /** The card as README.md among them. */
  files: (UploadFile & { bytes: number })[];
  /** Deletes what was written aside. */
  remove(): void;
}

/** Files that a model directory is made of; others beside them are somebody's own. */
const MODEL_FILE =
  /^(?:[\w.-]*config|tokenizer|vocab|added_tokens|special_tokens_map|model\.safetensors\.index)\.json$|\.safetensors$|^merges\.txt$|\.jinja$/;

/** @throws ConfigError when the target is neither; CheckpointError for a run that has no checkpoint */
export async function packModel(
  target: string,
  name: string,
  flags: { checkpoint: string; type?: string },
  note: Note,
): Promise<Packed> {
  if (!hasRecipe(target)) return packDirectory(target, name, flags.type);
  const { runDir, checkpoint } = await resolveTarget(target, { which: flags.checkpoint }).catch((error) => {
    if (!(error instanceof CheckpointError)) throw error;
    const fix = "train on until one is written (rlpt train --resume), or choose another by --checkpoint";
    throw new CheckpointError(`${error.message}: there is nothing to push; ${fix}`, { cause: error });
  });
  if (runDir === null || checkpoint === null) {
    throw new ConfigError(`${target}: a config has no weights: give the run directory that rlpt train wrote`);
  }
  const run = readRun(runDir);
  const card = modelCard({
    name,
    run,
    recipeText: readFileSync(join(runDir, "recipe.yaml"), "utf8"),
    step: checkpoint.step,
    baseModel: baseModel(run),
    version: VERSION,
  });
  const aside = mkdtempSync(join(tmpdir(), "rlpt-push-"));
  const remove = () => rmSync(aside, { recursive: true, force: true });
  try {
    const written = join(aside, "model");
    const type = flags.type === undefined ? {} : { type: flags.type };
    await exportModel(checkpoint.directory, written, { format: "hugging-face", ...type }, note);
    const what = `${basename(resolve(runDir))} step ${checkpoint.step}`;
    return { what, card, files: [...readme(card), ...filesOf(written)], remove };
  } catch (error) {
    remove();
    throw error;
  }
}

function packDirectory(path: string, name: string, type: string | undefined): Packed {
  const names = isFolder(path) ? readdirSync(path) : [];
  if (!names.includes("config.json") || !names.some((each) => each.endsWith(".safetensors"))) {
    throw new ConfigError(
      `${path}: is no run, and no model directory with config.json and .safetensors: give one of them, or write one by rlpt export`,
    );
  }
  if (type !== undefined) {
    throw new ConfigError(
      `--type ${type}: a model directory is sent as it is; write it anew by rlpt export --type ${type}`,
    );
  }
  const own = join(path, "README.md");
  const card = existsSync(own)
    ? readFileSync(own, "utf8")
    : modelCard({ name, run: null, recipeText: "", step: 0, baseModel: null, version: VERSION });
  return {
    what: basename(resolve(path)),
    card,
    files: [...readme(card), ...filesOf(path)],
    remove: () => {},
  };
}

const readme = (card: string) => [
  { path: "README.md", content: { text: card }, bytes: Buffer.byteLength(card) },
];

const filesOf = (directory: string) =>
  readdirSync(directory)
    .filter((name) => MODEL_FILE.test(name))
    .sort()
    .map((name) => {
      const file = resolve(directory, name);
      return { path: name, content: { file }, bytes: statSync(file).size };
    });

/** The id of the model that was trained; a path that is there is a folder of this machine. */
function baseModel({ recipe }: RunFiles): string | null {
  const path = (recipe["model"] as { path?: unknown } | undefined)?.path;
  const id = typeof path === "string" && !existsSync(path) ? parseHubId(path) : null;
  return id?.name ?? null;
}
