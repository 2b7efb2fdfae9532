import { z } from "zod";
import { bootcamps } from "../bootcamps/kinds.ts";

type Declared = (typeof bootcamps)[number];
type TaskOptions<One extends Declared> = One extends Declared
  ? z.ZodObject<
      {
        name: z.ZodLiteral<string>;
        weight: z.ZodDefault<z.ZodNumber>;
        difficulty: z.ZodPrefault<One["difficulty"]>;
      },
      z.core.$strict
    >
  : never;

const tasks = bootcamps.map(({ name, about, difficulty }) =>
  z
    .strictObject({
      name: z.literal(name).describe("which task"),
      weight: z.number().gt(0).default(1).describe("how often, against the other tasks' weights"),
      difficulty: (difficulty as z.ZodObject).prefault({}),
    })
    .describe(about),
) as unknown as [TaskOptions<Declared>, ...TaskOptions<Declared>[]];

/** Tasks whose cases are drawn and whose answers are verified (InternBootcamp, arXiv:2508.08636); reward `bootcamp` scores them. */
export const bootcampOptions = z.strictObject({
  kind: z.literal("bootcamp"),
  tasks: z
    .array(z.discriminatedUnion("name", tasks))
    .min(1)
    .refine(
      (list) => new Set(list.map(({ name }) => name)).size === list.length,
      "a task stands here twice; give it one weight and one difficulty",
    )
    .prefault(bootcamps.map(({ name }) => ({ name })) as never)
    .describe(
      "what is asked: maps of name, weight and difficulty (docs/bootcamps.md); every task at its usual difficulty when absent",
    ),
  wording: z
    .enum(["chat", "text", "brief"])
    .default("chat")
    .describe(
      "chat: sentences, a user message of the model's chat template; text: the same as it is; brief: as few signs as tell the case, for models of a few thousand weights",
    ),
  ask: z
    .string()
    .optional()
    .describe(
      "what follows the case; when absent, a sentence that asks for thought and for [answer] and [/answer], and for brief nothing",
    ),
  size: z
    .int()
    .min(1)
    .optional()
    .describe("number of cases; endless when absent (training) or 500 (evaluation)"),
  seed: z
    .int()
    .min(0)
    .default(0)
    .describe("which cases; not changed by the run's seed, so that evaluation sets are equal"),
});
export type BootcampOptions = z.infer<typeof bootcampOptions>;
