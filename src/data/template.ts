/** Templates with {column} placeholders; {{ and }} are braces, {} is itself. */

const token = /\{\{|\}\}|\{([^{}]+)\}/g;

/** Columns that a template reads, each once, in order. */
export function templateColumns(template: string): string[] {
  const names = [...template.matchAll(token)].flatMap((match) => (match[1] === undefined ? [] : [match[1]]));
  return [...new Set(names)];
}

/** Fills a template. @param value text of a column */
export function fillTemplate(template: string, value: (column: string) => string): string {
  return template.replace(token, (match, column: string | undefined) =>
    column === undefined ? match[0]! : value(column),
  );
}

/** What is wrong with a template, or null. */
export function templateFault(template: string): string | null {
  if (templateColumns(template).length > 0) return null;
  return template.trim() === "" || /\s/.test(template.trim())
    ? "reads no column; write a column's name in braces, such as {question}"
    : `reads no column; write {${template.trim().replace(/[{}]/g, "")}} for the column of that name`;
}
