/** Where files lay on the machine that made a run is no reader's business: paths as reports show them. */

const ABSOLUTE = /^(?:\/|[A-Za-z]:[\\/]|\\\\|~[\\/])/;

/** A path as it was given; of an absolute one the last part. */
export function shownPath(path: string): string {
  if (!ABSOLUTE.test(path)) return path;
  const segments = path.split(/[\\/]+/).filter((part) => part !== "");
  return segments.at(-1) ?? path;
}

/** The same for every absolute path inside a text, such as a command line or what a backend says of itself. */
export function withoutFolders(text: string): string {
  if (ABSOLUTE.test(text) && !/\s/.test(text)) return shownPath(text);
  return text.replaceAll(/(?<![\w.:/\\~-])(?:\/|~\/|[A-Za-z]:[\\/])[^\s"'(),;=]*[^\s"'(),;=.]/g, (path) =>
    // "/" alone and fractions of a sentence stay
    /[\\/]./.test(path) ? shownPath(path) : path,
  );
}

/**
 * Paths of one key over several configs: as short as keeps different ones apart.
 * @returns values in their order; what is no path stays
 */
export function distinctPaths(values: readonly unknown[]): unknown[] {
  const paths = values.filter((value): value is string => typeof value === "string" && ABSOLUTE.test(value));
  const segments = (path: string) => path.split(/[\\/]+/).filter((part) => part !== "");
  const different = new Set(paths).size;
  const longest = Math.max(0, ...paths.map((path) => segments(path).length));
  let kept = 1;
  const cut = (path: string) => segments(path).slice(-kept).join("/");
  while (kept < longest && new Set(paths.map(cut)).size < different) kept++;
  return values.map((value) => (typeof value === "string" && paths.includes(value) ? cut(value) : value));
}
