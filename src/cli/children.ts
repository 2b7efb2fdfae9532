/** Commands that run others: what is said while they go on. */
import type { Children } from "../terminal/children.ts";
import { terminalChildren } from "../terminal/progress.ts";

/** @param silent nothing is said: the output is for programs */
export async function withChildren<T>(
  silent: boolean,
  work: (shown: { note: (text: string) => void; children?: Children }) => Promise<T>,
): Promise<T> {
  if (silent) return work({ note: () => {} });
  const children = terminalChildren();
  try {
    return await work({ note: children.note, children });
  } finally {
    children.close();
  }
}
