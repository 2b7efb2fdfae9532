/** The bootcamps that come with rlpt, in the order of the documentation. A new one is its file and a line here. */
import { arithmetic } from "./arithmetic.ts";
import { baseConversion } from "./base-conversion.ts";
import { bits } from "./bits.ts";
import { boolean } from "./boolean.ts";
import { caesar } from "./caesar.ts";
import { coins } from "./coins.ts";
import type { Bootcamp } from "./define.ts";
import { dyck } from "./dyck.ts";
import { game24 } from "./game24.ts";
import { knightsAndKnaves } from "./knights-and-knaves.ts";
import { letters } from "./letters.ts";
import { maze } from "./maze.ts";
import { objectCounting } from "./object-counting.ts";
import { sequence } from "./sequence.ts";
import { sudoku } from "./sudoku.ts";
import { weekday } from "./weekday.ts";
import { wordSorting } from "./word-sorting.ts";

export const bootcamps = [
  arithmetic,
  baseConversion,
  bits,
  boolean,
  caesar,
  coins,
  dyck,
  game24,
  knightsAndKnaves,
  letters,
  maze,
  objectCounting,
  sequence,
  sudoku,
  weekday,
  wordSorting,
] as const;

/** The declaration of a name; undefined for none. Its types are erased: what it is given must have been parsed by its schemas. */
export function bootcampOf(name: string): Bootcamp | undefined {
  return (bootcamps as unknown as readonly Bootcamp[]).find((one) => one.name === name);
}
