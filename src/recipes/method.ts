/** What a paper's method is, as data: what `rlpt recipes show` prints and `recipe: name` lays beneath a config. */

/** One setting with where it comes from. */
export interface Setting {
  /** Dotted key of the recipe, such as `algorithm.kl.coef`; `stages.0.steps` for a stage. */
  key: string;
  value: unknown;
  /** "paper, section 3.2", "code, scripts/train.sh", or "default of rlpt: why". */
  source: string;
}

export interface Method {
  /** What `recipe:` names. */
  name: string;
  /** The paper's title or the method's full name. */
  title: string;
  /** One line for people. */
  summary: string;
  /** arXiv number, repository, both with what was read of them. */
  references: readonly string[];
  /** The method in equations and short sentences, in the order in which they act. Plain text, a line each. */
  equations: readonly string[];
  settings: readonly Setting[];
  /** What goes wrong, and which metric shows it. */
  pitfalls: readonly string[];
}

/** Settings as the partial recipe they stand for. @throws RangeError when two settings contradict in shape */
export function settingsToRecipe(settings: readonly Setting[]): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  for (const { key, value } of settings) {
    const path = key.split(".");
    let at: Record<string, unknown> | unknown[] = root;
    for (const [i, part] of path.entries()) {
      const slot = (Array.isArray(at) ? Number(part) : part) as never;
      if (i === path.length - 1) {
        at[slot] = value as never;
        break;
      }
      const isList = /^\d+$/.test(path[i + 1]!);
      const below = at[slot] as unknown;
      if (below === undefined) at[slot] = (isList ? [] : {}) as never;
      else if (typeof below !== "object" || Array.isArray(below) !== isList) {
        throw new RangeError(
          `setting ${key} goes below ${path.slice(0, i + 1).join(".")}, which is no ${isList ? "list" : "map"}`,
        );
      }
      at = at[slot];
    }
  }
  return root;
}
