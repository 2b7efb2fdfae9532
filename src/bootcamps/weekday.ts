import { z } from "zod";
import { defineBootcamp, range, within } from "./define.ts";

const DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

export const weekday = defineBootcamp({
  name: "weekday",
  about: "the day of the week so many days from another",
  difficulty: z.strictObject({ days: range(1, 1000, [1, 20]).describe("days to count") }),
  identity: z.strictObject({ today: z.int().min(0).max(6), days: z.int().min(-100_000).max(100_000) }),
  draw(rng, { days }) {
    const count = within(rng.fork("days"), days);
    return { today: rng.fork("today").integer(7, 0), days: rng.uniform(0) < 0.5 ? count : -count };
  },
  prompt: ({ today, days }) =>
    `Today is ${DAYS[today]}. Which day of the week ${days < 0 ? "was" : "is"} it ${Math.abs(days)} ${Math.abs(days) === 1 ? "day" : "days"} ${days < 0 ? "ago" : "from now"}?`,
  brief: ({ today, days }) => `${DAYS[today]}${days < 0 ? "" : "+"}${days}=`,
  solve: (identity) => ({ steps: [], answer: asked(identity) }),
  verify: (answer, identity) =>
    answer.trim().replace(/\.$/, "").toLowerCase() === asked(identity).toLowerCase(),
});

const asked = ({ today, days }: { today: number; days: number }) => DAYS[(((today + days) % 7) + 7) % 7]!;
