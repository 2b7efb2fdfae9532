import { z } from "zod";
import type { Rng } from "../lib/rng.ts";
import { defineBootcamp, pickSome, range, within } from "./define.ts";

/** The cells of each row, column and block of a square of 4 by 4. */
const UNITS: number[][] = [0, 1, 2, 3].flatMap((n) => [
  [0, 1, 2, 3].map((i) => 4 * n + i),
  [0, 1, 2, 3].map((i) => n + 4 * i),
  [0, 1, 4, 5].map((i) => 8 * Math.floor(n / 2) + 2 * (n % 2) + i),
]);

export const sudoku = defineBootcamp({
  name: "sudoku",
  about: "a square of 4 by 4 filled with 1 to 4; every filling that fits is right",
  difficulty: z.strictObject({ blanks: range(1, 12, [2, 6]).describe("cells to fill") }),
  identity: z.strictObject({ grid: z.string().regex(/^[1-4.]{16}$/) }),
  draw(rng, { blanks }) {
    const cells = [...fullSquare(rng.fork("square"))];
    const all = Array.from({ length: 16 }, (_, i) => i);
    for (const i of pickSome(rng.fork("blanks"), all, within(rng.fork("count"), blanks))) cells[i] = ".";
    return { grid: cells.join("") };
  },
  prompt: ({ grid }) =>
    `Fill the dots of this square so that every row, every column and every 2 by 2 corner block holds 1, 2, 3 and 4. Answer with the four rows.\n${rows(grid).join("\n")}`,
  brief: ({ grid }) => `${rows(grid).join(" ")}:`,
  solve: ({ grid }) => ({ steps: [], answer: rows(filled(grid)!).join(" ") }),
  verify(answer, { grid }) {
    const cells = answer.replaceAll(/\s/g, "");
    return (
      /^[1-4]{16}$/.test(cells) &&
      [...grid].every((sign, i) => sign === "." || sign === cells[i]) &&
      UNITS.every((unit) => new Set(unit.map((i) => cells[i])).size === 4)
    );
  },
});

const rows = (grid: string) => [0, 4, 8, 12].map((start) => grid.slice(start, start + 4));

/** One of the 288 squares: a pattern with digits, rows of a band, columns of a band and the bands themselves exchanged. */
function fullSquare(rng: Rng): string {
  const digits = rng.fork("digits").permutation(4);
  const order = (name: string) =>
    rng
      .fork(name)
      .permutation(2)
      .flatMap((band) =>
        rng
          .fork(name, band)
          .permutation(2)
          .map((line) => 2 * band + line),
      );
  const [down, across] = [order("rows"), order("columns")];
  return down
    .flatMap((r) => across.map((c) => 1 + digits[(2 * (r % 2) + Math.floor(r / 2) + c) % 4]!))
    .join("");
}

/** The first filling that fits, by trying; null where there is none. */
function filled(grid: string): string | null {
  const at = grid.indexOf(".");
  if (at < 0) return grid;
  for (const digit of "1234") {
    const fits = UNITS.every((unit) => !unit.includes(at) || unit.every((i) => grid[i] !== digit));
    if (!fits) continue;
    const rest = filled(grid.slice(0, at) + digit + grid.slice(at + 1));
    if (rest !== null) return rest;
  }
  return null;
}
