/** A folder with a folder for each class: what is in it, by names alone. */
import { readdirSync, realpathSync } from "node:fs";
import { extname, join, relative, resolve, sep } from "node:path";
import { DataError, describeSystemError } from "../../lib/errors.ts";
import { isFolder } from "../../lib/regular-file.ts";
import { type LabelledPath, type LabelledSet, shownNames } from "../classification.ts";
import { isEvalPart } from "../eval-part.ts";
import type { ImageFolderOptions } from "../image-folder-options.ts";

const READ = new Set([".jpg", ".jpeg", ".png", ".webp", ".gif"]);
/** Pictures that no model gets to see here: they are named rather than passed over. */
const UNREAD = new Set([".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".svg"]);

/**
 * @param name of the dataset, for messages
 * @throws DataError where there are no class folders, or classes that options name are not there
 */
export function readImageFolder(
  options: ImageFolderOptions,
  name: string,
  note: (text: string, level: "warning") => void,
): LabelledSet {
  const folder = resolve(options.path);
  if (!isFolder(folder)) throw new DataError(`${folder}: there is no such folder of pictures.`);
  const present = classFolders(folder);
  const { classes, names } = chosenClasses(options, folder, present);
  const shown = names ?? shownNames(classes, options.spaces_for);
  const twice = shown.findIndex((each, index) => shown.indexOf(each) < index);
  if (twice >= 0)
    throw new DataError(
      `${folder}: the folders ${classes[shown.indexOf(shown[twice]!)]} and ${classes[twice]} are both shown as ${JSON.stringify(shown[twice])}. Give them names under classes, or set spaces_for: [].`,
    );
  const { classes_split: halves, split } = options;
  for (const [half, wanted] of Object.entries(halves ?? {})) {
    const unknown = wanted.find((each) => !classes.includes(each));
    if (unknown !== undefined)
      throw new DataError(`${folder}: classes_split.${half} names ${unknown}, which is no class folder.`);
  }
  const listed =
    halves === undefined
      ? classes
      : classes.filter((each) => halves.base.includes(each) || halves.new.includes(each));
  const loose = readFolder(folder).filter(({ name: file }) => READ.has(extname(file).toLowerCase()));
  if (loose.length > 0)
    note(
      `${folder}: ${loose.length} pictures lie beside the class folders, have no class and are left out`,
      "warning",
    );
  const root = { folder, followLinks: options.follow_links };
  const items: LabelledPath[] = [];
  for (const [label, each] of listed.entries()) {
    const found = picturesBelow(join(folder, each), options.follow_links, folder);
    if (found.length === 0)
      throw new DataError(
        `${join(folder, each)}: this class folder holds no .jpg, .jpeg, .png, .webp or .gif file. Add pictures, or leave the class out with classes.`,
      );
    for (const path of found) {
      const id = relative(folder, path).split(sep).join("/");
      if (split !== undefined && isEvalPart(id, split.salt, split.eval_share) !== (split.part === "eval"))
        continue;
      items.push({ path: id, id, label });
    }
  }
  if (items.length === 0)
    throw new DataError(`${folder}: no picture is in this part. Use another eval_share or salt.`);
  return {
    name,
    root,
    classes: listed,
    shown: listed.map((each) => shown[classes.indexOf(each)]!),
    base: halves?.base ?? null,
    items,
    question: options.question,
    slices: {},
    placeOf: ({ path }) => ({ path: join(folder, path), line: 1 }),
  };
}

function readFolder(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter(({ name }) => !name.startsWith("."))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    throw new DataError(`${folder}: cannot be read: ${describeSystemError(error)}.`, { cause: error });
  }
}

function classFolders(folder: string): string[] {
  const found = readFolder(folder)
    .filter((entry) => entry.isDirectory() || (entry.isSymbolicLink() && isFolder(join(folder, entry.name))))
    .map(({ name }) => name);
  if (found.length > 0) return found;
  throw new DataError(
    `${folder}: the folder holds no folders; put the pictures of each class into one of its name.`,
  );
}

function chosenClasses(
  { classes }: ImageFolderOptions,
  folder: string,
  present: readonly string[],
): { classes: string[]; names: string[] | null } {
  if (classes === undefined) return { classes: [...present], names: null };
  const wanted = Array.isArray(classes) ? classes : Object.keys(classes);
  const absent = wanted.find((name) => !present.includes(name));
  if (absent !== undefined)
    throw new DataError(
      `${folder}: there is no class folder ${absent}. It has ${present.slice(0, 12).join(", ")}${present.length > 12 ? ", ..." : ""}.`,
    );
  const twice = wanted.find((name, index) => wanted.indexOf(name) < index);
  if (twice !== undefined) throw new DataError(`${folder}: classes names ${twice} twice. Remove one.`);
  return { classes: wanted, names: Array.isArray(classes) ? null : Object.values(classes) };
}

/**
 * Files that are named as pictures, below a folder at any depth, sorted by code unit.
 * @throws DataError at a link to a folder that leads out of the root, and at pictures of formats that are not read
 */
export function picturesBelow(start: string, followLinks: boolean, root: string): string[] {
  const found: string[] = [];
  const seen = new Set<string>();
  const home = realpathSync.native(root);
  const visit = (folder: string): void => {
    const real = realpathSync.native(folder);
    // a link may lead back up
    if (seen.has(real)) return;
    seen.add(real);
    if (!followLinks && real !== home && !real.startsWith(home + sep))
      throw new DataError(
        `${folder}: is a link that leads out of ${root}. Name the folder itself, or set follow_links: true if you trust its links.`,
      );
    for (const entry of readFolder(folder)) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() || (entry.isSymbolicLink() && isFolder(path))) visit(path);
      else if (READ.has(extname(entry.name).toLowerCase())) found.push(path);
      else if (UNREAD.has(extname(entry.name).toLowerCase()))
        throw new DataError(
          `${path}: pictures of this format are not read. Convert it to PNG or JPEG, or remove it.`,
        );
    }
  };
  visit(start);
  return found.sort();
}
