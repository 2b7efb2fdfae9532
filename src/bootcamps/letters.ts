import { z } from "zod";
import { defineBootcamp, isNumber, pickFrom, pickSome, range, within } from "./define.ts";
import { WORDS } from "./words.ts";

export const letters = defineBootcamp({
  name: "letters",
  about: "how often a letter stands in some words",
  difficulty: z.strictObject({ words: range(1, 10, [1, 2]).describe("to look through") }),
  identity: z.strictObject({
    words: z
      .array(z.string().regex(/^[a-z]{1,40}$/))
      .min(1)
      .max(50),
    letter: z.string().regex(/^[a-z]$/),
  }),
  draw(rng, { words }) {
    const list = pickSome(rng.fork("words"), WORDS, within(rng.fork("count"), words));
    const letter = rng.uniform(0) < 0.85 ? pickFrom(rng.fork("letter"), [...list.join("")]) : "q";
    return { words: list, letter };
  },
  prompt: ({ words, letter }) =>
    `How often does the letter ${letter} stand in ${words.length === 1 ? "this word" : "these words"}: ${words.join(" ")}? Answer with a number.`,
  brief: ({ words, letter }) => `${letter} in ${words.join(" ")}:`,
  solve: (identity) => ({ steps: [], answer: String(count(identity)) }),
  verify: (answer, identity) => isNumber(answer, count(identity)),
});

const count = ({ words, letter }: { words: readonly string[]; letter: string }) =>
  words.join("").split(letter).length - 1;
