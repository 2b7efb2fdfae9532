/** docs/bootcamps.md is made from the declarations: `npx vitest run tests/docs/bootcamps.test.ts -u`. */
import { expect, it } from "vitest";
import { z } from "zod";
import { bootcampOf, bootcamps } from "../../src/bootcamps/kinds.ts";
import { createRng } from "../../src/lib/rng.ts";

interface Shown {
  type?: string;
  enum?: unknown[];
  items?: Shown;
  anyOf?: Shown[];
  minimum?: number;
  maximum?: number;
  default?: unknown;
  description?: string;
}

/** What a key of difficulty takes, in a reader's words. */
function values({ type, enum: list, items, anyOf, minimum, maximum }: Shown): string {
  if (anyOf !== undefined) return `${values(anyOf[0]!)}, or a range [from, to]`;
  if (list !== undefined) return list.join(", ");
  if (items !== undefined) return `a list of ${values(items)}`;
  if (type === "boolean") return "true or false";
  return `${minimum} to ${maximum}`;
}

function difficultyOf(schema: z.ZodType): string {
  const { properties = {} } = z.toJSONSchema(schema, { io: "input" }) as {
    properties?: Record<string, Shown>;
  };
  return Object.entries(properties)
    .map(([key, shown]) => {
      const meaning = shown.description === undefined ? "" : ` (${shown.description})`;
      return `\`${key}\`${meaning}: ${values(shown)}; ${JSON.stringify(shown.default)}`;
    })
    .join("<br>");
}

const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("\n", "<br>");

function page(): string {
  const rows = bootcamps.map(({ name }) => {
    const bootcamp = bootcampOf(name)!;
    const identity = bootcamp.draw(createRng(1).fork(name), bootcamp.difficulty.parse({}));
    const example = `${bootcamp.prompt(identity)} **${bootcamp.solve(identity).answer}**`;
    return `| \`${name}\` | ${bootcamp.about} | ${cell(difficultyOf(bootcamp.difficulty))} | ${cell(example)} |`;
  });
  return `# Bootcamps

Tasks whose cases a generator draws and whose answers a verifier checks, after InternBootcamp (arXiv:2508.08636): training data without
an end, with a difficulty that can be turned, for any model. \`recipe: internbootcamp\` trains on a mixture of them by GRPO.

\`\`\`yaml
data:
  train:
    kind: bootcamp
    tasks:
      - { name: game24, weight: 2, difficulty: { numbers: 3, largest: 10 } }
      - { name: word-sorting, difficulty: { words: [4, 8] } }
  eval:
    kind: bootcamp
    tasks: [{ name: game24 }, { name: word-sorting }]
rewards:
  - kind: bootcamp
    short_penalty: false     # InternBootcamp gives nothing below 100 characters
\`\`\`

- The policy is asked in sentences, through its chat template (\`wording: chat\`), as plain text (\`text\`), or in few signs for models of
  a few thousand weights (\`brief\`); \`ask\` is what follows. It answers between \`[answer]\` and \`[/answer]\`, the last of which counts.
- Case number n is a function of \`seed\` and n alone. A case belongs to training or to evaluation by its content (four fifths and one
  fifth of all cases), so that none is ever in both, whatever the sizes. A difficulty with so few cases that one part has none is refused.
- Evaluations have a slice for each task, \`task=game24\`.
- Rows of a file work too: the columns \`data_source\` (\`bootcamp/game24\`) and \`identity\` (an object or its JSON) are what the reward reads.

| task | what is asked | difficulty: values; default | a case, and **one right answer** |
| --- | --- | --- | --- |
${rows.join("\n")}

A task of your own is one file in [\`src/bootcamps/\`](../src/bootcamps/define.ts) and a line in \`kinds.ts\`;
\`tests/bootcamps/bootcamps.test.ts\` then asks for cases by hand, right and wrong.
`;
}

it("is the declarations' page", async () => {
  await expect(page()).toMatchFileSnapshot("../../docs/bootcamps.md");
});
