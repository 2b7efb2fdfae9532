import { z } from "zod";
import { bootcampOf } from "../bootcamps/kinds.ts";
import { verifyScore } from "../bootcamps/score.ts";
import type { RewardInput, RewardPartResult } from "../types.ts";
import { defineReward, type PartOptions } from "./define.ts";

const shape = {
  correct: z.boolean().optional().describe("this part decides what accuracy counts; it does by default"),
  format_score: z.number().default(0).describe("value of an answer that is wrong; InternBootcamp's code"),
  short_penalty: z
    .boolean()
    .default(true)
    .describe(
      "nothing for completions below short_threshold; InternBootcamp's code, to be off where nothing is thought",
    ),
  short_threshold: z.int().min(1).default(100).describe("characters; InternBootcamp's code"),
  format_penalty: z
    .boolean()
    .default(true)
    .describe("nothing without </think>; InternBootcamp's code, to be off where nothing is thought"),
};
export type BootcampRewardOptions = PartOptions<typeof shape>;

/** The case that a row holds: `data_source: bootcamp/<name>`, and its identity as an object or as JSON. @throws Error for others */
function verifierOf({
  data_source: source,
  identity,
}: RewardInput["fields"]): (answer: string) => boolean | number {
  const name = typeof source === "string" ? source.replace(/^bootcamp\//, "") : String(source);
  const bootcamp = bootcampOf(name);
  if (bootcamp === undefined)
    throw new Error(
      `data_source ${JSON.stringify(source)} names no bootcamp; rows need the columns data_source and identity`,
    );
  const parsed = bootcamp.identity.safeParse(typeof identity === "string" ? JSON.parse(identity) : identity);
  if (!parsed.success) throw new Error(`${name}: identity: ${z.prettifyError(parsed.error)}`);
  return (answer) => bootcamp.verify(answer, parsed.data);
}

/** What the row's bootcamp says of the last `[answer]...[/answer]`. */
export function bootcampReward(
  input: RewardInput,
  options: Pick<
    BootcampRewardOptions,
    "format_score" | "short_penalty" | "short_threshold" | "format_penalty"
  >,
): RewardPartResult & { right: boolean } {
  const { value, right, answer, note } = verifyScore(input.completion, verifierOf(input.fields), options);
  return { value, right, status: answer === null ? "unparsed" : "ok", note };
}

const letters = {
  data_source: "bootcamp/letters",
  identity: { words: ["apple", "plum"], letter: "p" },
};
const padding =
  "I look at every letter of the words in turn and count those that are the one that is asked. ".repeat(2);

export const bootcamp = defineReward({
  kind: "bootcamp",
  judges: true,
  options: shape,
  score: bootcampReward,
  cases: [
    {
      options: {},
      input: { completion: `${padding}</think>[answer]3[/answer]`, fields: letters },
      expect: 1,
    },
    {
      options: {},
      input: { completion: `${padding}</think>[answer]2[/answer]`, fields: letters },
      expect: 0,
    },
    {
      options: { format_score: 0.1 },
      input: { completion: `${padding}</think>[answer]2[/answer]`, fields: letters },
      expect: 0.1,
    },
    { options: {}, input: { completion: "3</think>[answer]3[/answer]", fields: letters }, expect: 0 },
    { options: {}, input: { completion: `${padding}[answer]3[/answer]`, fields: letters }, expect: 0 },
    {
      options: { short_penalty: false, format_penalty: false },
      input: { completion: "[answer]3[/answer]", fields: letters },
      expect: 1,
    },
    {
      options: {},
      input: { completion: `${padding}</think>3`, fields: letters },
      expect: 0,
      status: "unparsed",
    },
  ],
});
