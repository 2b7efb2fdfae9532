import { z } from "zod";
import { defineBootcamp, pickFrom, range, within } from "./define.ts";
import { WORDS } from "./words.ts";

export const caesar = defineBootcamp({
  name: "caesar",
  about: "a word whose letters are moved on in the alphabet, written or read",
  difficulty: z.strictObject({
    shift: range(1, 25, [1, 3]).describe("places in the alphabet"),
    read: z.boolean().default(false).describe("the word is given in cipher, and asked in clear"),
  }),
  identity: z.strictObject({
    word: z.string().regex(/^[a-z]{1,40}$/),
    shift: z.int().min(-25).max(25).describe("what the answer's letters are moved by; negative to read"),
  }),
  draw(rng, { shift, read }) {
    const word = pickFrom(rng.fork("word"), WORDS);
    const by = within(rng.fork("shift"), shift);
    return read ? { word: moved(word, by), shift: -by } : { word, shift: by };
  },
  prompt: ({ word, shift }) =>
    `Replace each letter of this word by the one ${Math.abs(shift)} ${Math.abs(shift) === 1 ? "place" : "places"} ${shift < 0 ? "before" : "after"} it in the alphabet (${shift < 0 ? "z comes before a" : "a comes after z"}): ${word}`,
  brief: ({ word, shift }) => `move ${word} ${shift}:`,
  solve: ({ word, shift }) => ({ steps: [], answer: moved(word, shift) }),
  verify: (answer, { word, shift }) => answer.trim().toLowerCase() === moved(word, shift),
});

const moved = (word: string, by: number) =>
  [...word].map((letter) => String.fromCharCode(97 + ((letter.charCodeAt(0) - 97 + by + 26) % 26))).join("");
