import { causes } from "../../src/report/why/causes.ts";
import { sections } from "../../src/report/why/sections.ts";

const BEGIN = "<!-- Made from src/report/why: npx vitest run tests/report/why.test.ts -u -->";
const END = "<!-- End of what is made. -->";

/** What `rlpt why` and the page both say, as Markdown. */
function made(): string {
  const list = [
    '1. **`samples.jsonl`**, or "Completions over training" in the report. Ten completions say more than any curve.',
    ...sections.map(({ title, reading }, i) => `${i + 2}. **${title}.** ${reading}`),
  ];
  const rows = causes.map(({ name, found, change }) => `| \`${name}\` | ${found} | ${change} |`);
  return `## In this order

\`npx rlpt why runs/a\` says for one run what these say, in sentences with the figures behind each, and what to change first;
\`--json\` for programs. It reads the files alone: a run that still trains, that was killed or that is damaged will do.

${list.join("\n")}

### What \`rlpt why\` looks for

First and last are means over ten steps of the last stage; what compares them waits for step 20. What stands higher in this
table is named first, since the others may follow from it.

| cause | found when | change first |
| --- | --- | --- |
${rows.join("\n")}
`;
}

/** docs/reading-metrics.md with its made part renewed. @param page the page as it is */
export function renderReading(page: string): string {
  const [before, rest] = page.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) throw new Error("reading-metrics.md has lost its marks");
  return `${before}${BEGIN}\n\n${made()}\n${END}${after}`;
}
