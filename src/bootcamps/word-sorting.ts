import { z } from "zod";
import { defineBootcamp, pickSome, range, within } from "./define.ts";
import { WORDS } from "./words.ts";

export const wordSorting = defineBootcamp({
  name: "word-sorting",
  about: "words in alphabetical order",
  difficulty: z.strictObject({ words: range(2, 20, [3, 6]).describe("to sort") }),
  identity: z.strictObject({
    words: z
      .array(z.string().regex(/^[a-z]{1,20}$/))
      .min(1)
      .max(100),
  }),
  draw: (rng, { words }) => ({ words: pickSome(rng.fork("words"), WORDS, within(rng.fork("count"), words)) }),
  prompt: ({ words }) => `Sort these words alphabetically, with blanks between them: ${words.join(" ")}`,
  brief: ({ words }) => `sort ${words.join(" ")}:`,
  solve: ({ words }) => ({ steps: [], answer: words.toSorted().join(" ") }),
  verify: (answer, { words }) =>
    answer
      .toLowerCase()
      .split(/[\s,]+/)
      .filter((word) => word !== "")
      .join(" ") === words.toSorted().join(" "),
});
