/** Columns of a row, and what can be wrong with them. */

/** Why a row does not fit, as the rest of a sentence that begins with the row. */
export class RowFault extends Error {}

/** The value under a column's name, or under a path into nested objects ("meta.level"). */
export function lookUp(fields: Readonly<Record<string, unknown>>, column: string): unknown {
  if (Object.hasOwn(fields, column)) return fields[column];
  let value: unknown = fields;
  for (const part of column.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

/** Says that a row lacks a column, and which it has. */
export function noColumn(fields: Readonly<Record<string, unknown>>, column: string): string {
  const present = Object.keys(fields);
  const shown = present.slice(0, 12).join(", ") + (present.length > 12 ? ", ..." : "");
  return `has no column ${column}; it has ${shown === "" ? "none" : shown}`;
}

/** A column as text. @throws RowFault when the row has none, or nothing that is plain text */
export function columnText(fields: Readonly<Record<string, unknown>>, column: string): string {
  const value = lookUp(fields, column);
  if (value === undefined) throw new RowFault(noColumn(fields, column));
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return String(value);
  if (typeof value === "number") {
    if (Number.isInteger(value) && !Number.isSafeInteger(value))
      throw new RowFault(`column ${column} is a whole number too big to be read exactly; put it in quotes`);
    return String(value);
  }
  const what = value === null ? "null" : Array.isArray(value) ? "a list" : "an object";
  throw new RowFault(`column ${column} is ${what}; only text, numbers and true/false can be used`);
}
