import { z } from "zod";
import type { Rng } from "../lib/rng.ts";
import { defineBootcamp, range, within } from "./define.ts";

const NAMES = ["Ann", "Ben", "Cid", "Dee", "Eve", "Fay"];

/** Speaker i says: person `about` is a knight, is a knave, or is of my kind. */
const statement = z.strictObject({
  about: z.int().min(0).max(5),
  says: z.enum(["knight", "knave", "alike"]),
});
type Statement = z.infer<typeof statement>;

export const knightsAndKnaves = defineBootcamp({
  name: "knights-and-knaves",
  about: "who always tells the truth and who always lies, from what each says",
  difficulty: z.strictObject({ people: range(2, 6, [2, 3]).describe("who each say one thing") }),
  identity: z.strictObject({ statements: z.array(statement).min(2).max(6) }),
  draw(rng, { people }) {
    const count = within(rng.fork("people"), people);
    // one answer alone may be right: about every fifth draw is such a riddle
    for (let attempt = 0; attempt < 10_000; attempt++) {
      const statements = drawn(rng.fork("riddle", attempt), count);
      if (solutions(statements).length === 1) return { statements };
    }
    throw new RangeError(`no riddle of ${count} people with one solution was found`);
  },
  prompt: ({ statements }) =>
    `Knights always tell the truth, knaves always lie, and each of ${listed(statements)} is one of the two. ` +
    `${statements.map((one, i) => `${NAMES[i]} says: "${spoken(one)}"`).join(" ")} ` +
    `What is each of them? Answer like this: ${NAMES[0]} knight, ${NAMES[1]} knave.`,
  brief: ({ statements }) =>
    `${statements.map(({ about, says }, i) => `${NAMES[i]} ${NAMES[about]} ${says}`).join(",")}:`,
  solve: ({ statements }) => ({ steps: [], answer: written(solutions(statements)[0]!) }),
  verify(answer, { statements }) {
    const said = new Map<string, string>();
    for (const [, name, kind] of answer.matchAll(
      /\b([A-Z][a-z]{2})\b(?:\s+is)?(?:\s+an?)?[\s:=]{1,4}(knight|knave)\b/g,
    )) {
      if (said.get(name!) !== undefined && said.get(name!) !== kind) return false;
      said.set(name!, kind!);
    }
    const [kinds] = solutions(statements);
    return (
      kinds !== undefined &&
      said.size === kinds.length &&
      kinds.every((knight, i) => said.get(NAMES[i]!) === kindName(knight))
    );
  },
});

function drawn(rng: Rng, count: number): Statement[] {
  return Array.from({ length: count }, (_, i) => ({
    about: (i + 1 + rng.fork("about").integer(count - 1, i)) % count,
    says: (["knight", "knave", "alike"] as const)[rng.fork("says").integer(3, i)]!,
  }));
}

/** Every way in which knights speak the truth and knaves do not: true for a knight. */
function solutions(statements: readonly Statement[]): boolean[][] {
  const count = statements.length;
  return Array.from({ length: 2 ** count }, (_, bits) =>
    Array.from({ length: count }, (_, i) => (bits & (1 << i)) !== 0),
  ).filter((kinds) =>
    statements.every(({ about, says }, i) => {
      const other = kinds[about]!;
      const truth = says === "knight" ? other : says === "knave" ? !other : other === kinds[i];
      return truth === kinds[i];
    }),
  );
}

const kindName = (knight: boolean) => (knight ? "knight" : "knave");
const written = (kinds: readonly boolean[]) =>
  kinds.map((knight, i) => `${NAMES[i]} ${kindName(knight)}`).join(", ");
const listed = (statements: readonly Statement[]) => {
  const names = NAMES.slice(0, statements.length);
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
};
const spoken = ({ about, says }: Statement) =>
  says === "alike" ? `${NAMES[about]} and I are of the same kind.` : `${NAMES[about]} is a ${says}.`;
