import { z } from "zod";
import { defineBootcamp, range, within } from "./define.ts";

const MOVES: Record<string, readonly [number, number]> = { U: [-1, 0], D: [1, 0], L: [0, -1], R: [0, 1] };

export const maze = defineBootcamp({
  name: "maze",
  about: "a way from the first cell to the last, past walls; a detour counts half",
  difficulty: z.strictObject({
    size: range(2, 10, [3, 4]).describe("rows, and columns"),
    walls: z.number().min(0).max(0.5).default(0.25).describe("share of cells that are walls"),
  }),
  identity: z.strictObject({
    rows: z
      .array(z.string().regex(/^[.#]{2,20}$/))
      .min(2)
      .max(20),
  }),
  draw(rng, { size, walls }) {
    const count = within(rng.fork("size"), size);
    for (let attempt = 0; attempt < 1000; attempt++) {
      const draw = rng.fork("walls", attempt);
      const rows = Array.from({ length: count }, (_, r) =>
        Array.from({ length: count }, (_, c) => {
          const isEnd = r + c === 0 || r + c === 2 * (count - 1);
          return !isEnd && draw.uniform(r * count + c) < walls ? "#" : ".";
        }).join(""),
      );
      if (shortest(rows) !== null) return { rows };
    }
    throw new RangeError(`no way through was found in 1000 mazes with ${walls} walls`);
  },
  prompt: ({ rows }) =>
    `Find the shortest way from the top left to the bottom right of this maze, where # is a wall. Answer with the moves, one letter each: U, D, L, R.\n${rows.join("\n")}`,
  brief: ({ rows }) => `${rows.join(" ")}:`,
  solve: ({ rows }) => ({ steps: [], answer: shortest(rows)! }),
  verify(answer, { rows }) {
    const moves = answer.toUpperCase().replaceAll(/[\s,]/g, "");
    if (!/^[UDLR]{1,400}$/.test(moves)) return false;
    let [r, c] = [0, 0];
    for (const move of moves) {
      r += MOVES[move]![0];
      c += MOVES[move]![1];
      if (rows[r]?.[c] !== ".") return false;
    }
    if (r !== rows.length - 1 || c !== rows[0]!.length - 1) return false;
    return moves.length === shortest(rows)!.length ? true : 0.5;
  },
});

/** Breadth first; null where there is no way. */
function shortest(rows: readonly string[]): string | null {
  const seen = new Set(["0,0"]);
  let front = [{ r: 0, c: 0, way: "" }];
  while (front.length > 0) {
    const following: typeof front = [];
    for (const { r, c, way } of front) {
      if (r === rows.length - 1 && c === rows[0]!.length - 1) return way;
      for (const [move, [down, right]] of Object.entries(MOVES)) {
        const [nr, nc] = [r + down, c + right];
        if (rows[nr]?.[nc] !== "." || seen.has(`${nr},${nc}`)) continue;
        seen.add(`${nr},${nc}`);
        following.push({ r: nr, c: nc, way: way + move });
      }
    }
    front = following;
  }
  return null;
}
