/** Rules between fields of a recipe: what each says of a value that is impossible. */

export interface Finding {
  /** Short name, for tests and for JSON output. */
  rule: string;
  /** Dotted key that the message is about. */
  path: string;
  /** Further keys that the rule reads: it keeps silent while one of them is wrong by itself. */
  uses?: readonly string[];
  /** What the message shows; the value in the recipe when absent. */
  value?: unknown;
  reason: string;
  fix: string;
}

export interface RuleContext {
  report(finding: Finding): void;
  /** Did the user write this key, in a file or by a flag? */
  written(path: string): boolean;
  /** Most tokens of a row that the model takes, and that in words; null where its files do not say. */
  positions(): { count: number; limit: string } | null;
}

/** Looks at a whole recipe. Sections that are invalid by themselves are absent. */
export type RuleOf<Recipe> = (recipe: Partial<Recipe>, context: RuleContext) => void;
