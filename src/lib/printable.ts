/** Text of files and of models for terminals and pages: what would steer them is shown, not obeyed. */

/**
 * Control characters but line feed and tab, and marks that turn the direction of text around, as escapes such as
 * \u001b. A terminal obeys the first; the second make one text look like another.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const STEERING = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** @returns the text with `STEERING` shown as escapes; line feeds and tabs stay */
export function printable(text: string): string {
  return text
    .replaceAll("\r\n", "\n")
    .replaceAll(STEERING, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** The same in one line, for names and messages. */
export const printableLine = (text: string): string =>
  printable(text).replaceAll("\n", "\\n").replaceAll("\t", "\\t");

const FORMULA = /^[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]/;

/**
 * A cell of a CSV file as a table program reads it: text that it would take for a formula gets an apostrophe before it
 * (OWASP, CSV injection); numbers stay, negative ones too.
 */
export function csvText(text: string): string {
  return isFormula(text) ? `'${text}` : text;
}

const isFormula = (text: string): boolean =>
  FORMULA.test(text) && !/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$|^-Infinity$/i.test(text);

/** As `csvText`, for a table that is read again: {@link fromCsvCell} gives back the text, whatever it is. */
export const csvCell = (text: string): string => (isFormula(text.replace(/^'+/, "")) ? `'${text}` : text);

/** The text that `csvCell` wrote. */
export const fromCsvCell = (cell: string): string =>
  cell.startsWith("'") && isFormula(cell.replace(/^'+/, "")) ? cell.slice(1) : cell;
