/** A number for each prompt that lives as long as the stage and survives a kill. */
import type { Cells } from "../types.ts";

export interface PromptTable {
  get(promptId: string): number | undefined;
  set(promptId: string, value: number): void;
  readonly size: number;
}

export function promptTable(cells: Cells, name: string): PromptTable {
  const cell = cells.cell<Record<string, number>>(name, {});
  return {
    get: (promptId) => (Object.hasOwn(cell.value, promptId) ? cell.value[promptId] : undefined),
    set(promptId, value) {
      // an own property whatever the id is
      Object.defineProperty(cell.value, promptId, {
        value,
        writable: true,
        enumerable: true,
        configurable: true,
      });
    },
    get size() {
      return Object.keys(cell.value).length;
    },
  };
}
