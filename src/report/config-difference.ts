/** Keys at which resolved configs differ. */

export interface ConfigDifference {
  path: string;
  /** One per config; undefined where it lacks the key. */
  values: readonly unknown[];
}

const isContainer = (value: unknown): value is object => typeof value === "object" && value !== null;

/** Short lists of plain values count as one value, so that levels: [1, 2] is one row. */
const isLeaf = (value: unknown): boolean =>
  !isContainer(value) || (Array.isArray(value) && value.every((inner) => !isContainer(inner)));

/** In the order in which the keys first occur. */
export function configDifferences(configs: readonly unknown[]): ConfigDifference[] {
  const found: ConfigDifference[] = [];
  const compare = (values: readonly unknown[], path: string): void => {
    const present = values.filter((value) => value !== undefined);
    if (present.every(isLeaf)) {
      const texts = new Set(values.map((value) => (value === undefined ? undefined : JSON.stringify(value))));
      if (texts.size > 1) found.push({ path, values });
      return;
    }
    const arrays = present.some(Array.isArray);
    const keys = new Set(present.filter(isContainer).flatMap((value) => Object.keys(value)));
    if (present.some((value) => !isContainer(value))) found.push({ path, values });
    else {
      for (const key of keys) {
        compare(
          values.map((value) => (value as Record<string, unknown> | undefined)?.[key]),
          arrays ? `${path}[${key}]` : path === "" ? key : `${path}.${key}`,
        );
      }
    }
  };
  compare(configs, "");
  return found;
}

/** A value as one would write it in a config; undefined is blank. */
export function showValue(value: unknown): string {
  if (value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}
