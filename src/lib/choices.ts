import { z } from "zod";

/** An option that names an entry of a table; its description ends with what each entry is. */
export function choiceOf<Table extends Readonly<Record<string, { summary: string }>>>(
  table: Table,
  what: string,
) {
  const entries = Object.entries(table).map(([name, { summary }]) => `${name}: ${summary}`);
  return {
    schema: z.enum(Object.keys(table) as [keyof Table & string, ...(keyof Table & string)[]]),
    description: `${what}; ${entries.join("; ")}`,
  };
}
