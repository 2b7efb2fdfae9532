import { z } from "zod";
import { defineBootcamp, isNumber, pickFrom, pickSome, range, within } from "./define.ts";
import { THINGS } from "./words.ts";

const CATEGORIES = Object.keys(THINGS) as [keyof typeof THINGS, ...(keyof typeof THINGS)[]];
const thing = z.strictObject({ name: z.string().max(20), count: z.int().min(1).max(1000) });
type Thing = z.infer<typeof thing>;

export const objectCounting = defineBootcamp({
  name: "object-counting",
  about: "how many of the things listed are of one sort",
  difficulty: z.strictObject({
    things: range(2, 20, [3, 5]).describe("kinds of things"),
    largest: z.int().min(1).max(100).default(3).describe("most of one kind"),
  }),
  identity: z.strictObject({ things: z.array(thing).min(1).max(100), asked: z.enum(CATEGORIES) }),
  draw(rng, { things, largest }) {
    const asked = pickFrom(rng.fork("asked"), CATEGORIES);
    const other = pickFrom(
      rng.fork("other"),
      CATEGORIES.filter((one) => one !== asked),
    );
    const all = [...THINGS[asked], ...THINGS[other]];
    const names = pickSome(rng.fork("things"), all, within(rng.fork("count"), things));
    return {
      things: names.map((name, i) => ({ name, count: 1 + rng.fork("counts").integer(largest, i) })),
      asked,
    };
  },
  prompt: ({ things, asked }) =>
    `There are ${things.map(spoken).join(", ")}. How many ${asked} are there in all? Answer with a number.`,
  brief: ({ things, asked }) => `${things.map(({ name, count }) => `${count} ${name}`).join(" ")} ${asked}:`,
  solve(identity) {
    const counted = identity.things.filter(({ name }) => isOf(identity.asked, name));
    return {
      steps: counted.map(({ name, count }) => `${count} ${name}`),
      answer: String(total(counted)),
    };
  },
  verify: (answer, { things, asked }) =>
    isNumber(answer, total(things.filter(({ name }) => isOf(asked, name)))),
});

const isOf = (asked: keyof typeof THINGS, name: string) =>
  (THINGS[asked] as readonly string[]).includes(name);
const total = (things: readonly Thing[]) => things.reduce((sum, { count }) => sum + count, 0);

function spoken({ name, count }: Thing): string {
  if (count === 1) return `${/^[aeiou]/.test(name) ? "an" : "a"} ${name}`;
  const plural =
    name === "mouse"
      ? "mice"
      : /(ch|sh)$/.test(name)
        ? `${name}es`
        : name.endsWith("rry")
          ? `${name.slice(0, -1)}ies`
          : `${name}s`;
  return `${count} ${plural}`;
}
