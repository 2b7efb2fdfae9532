/** Rows that are kept, by conditions on their columns. */
import { compilePattern } from "./answer-pattern.ts";
import { columnText, lookUp, RowFault } from "./columns.ts";
import type { FilterOptions } from "./filter-options.ts";

export type RowFilter = (fields: Readonly<Record<string, unknown>>) => boolean;

/**
 * A column without a value (null) fulfils no condition but `not_in`.
 * @returns whether a row fulfils all conditions; throws RowFault where a column is not there, or no number where one is asked for
 */
export function rowFilter(conditions: readonly FilterOptions[]): RowFilter {
  const tests = conditions.map(one);
  return (fields) => tests.every((test) => test(fields));
}

function one(condition: FilterOptions): RowFilter {
  const { column, min, max } = condition;
  const among = condition.in?.map(String);
  const apart = condition.not_in?.map(String);
  const found = condition.matches === undefined ? null : compilePattern(condition.matches);
  const { min_characters: shortest = 0, max_characters: longest = Number.POSITIVE_INFINITY } = condition;
  return (fields) => {
    if (lookUp(fields, column) === null)
      return Object.keys(condition).every((key) => key === "column" || key === "not_in");
    const text = columnText(fields, column);
    if (among !== undefined && !among.includes(text)) return false;
    if (apart?.includes(text)) return false;
    if (min !== undefined || max !== undefined) {
      const number = text.trim() === "" ? Number.NaN : Number(text);
      if (Number.isNaN(number))
        throw new RowFault(
          `column ${column} is ${JSON.stringify(text.slice(0, 40))}, and filter compares it with a number`,
        );
      if (number < (min ?? Number.NEGATIVE_INFINITY) || number > (max ?? Number.POSITIVE_INFINITY))
        return false;
    }
    if (found !== null && !found(text)) return false;
    const length = [...text].length;
    return length >= shortest && length <= longest;
  };
}
