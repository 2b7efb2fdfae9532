import type { MetricDefinition } from "../../src/metrics/define.ts";
import { metricDefinitions } from "../../src/metrics/table.ts";

const cell = (text: string): string => text.replaceAll("|", "\\|");

function table(definitions: readonly MetricDefinition[]): string {
  return [
    "| column | unit | formula | how to read it |",
    "|---|---|---|---|",
    ...definitions.map(({ name, unit, formula, note }) =>
      `| \`${name}\` | ${cell(unit)} | ${cell(formula)} | ${cell(note)} |`.replace("|  |", "| |"),
    ),
  ].join("\n");
}

/** The text of docs/metrics.md. A test holds the file to it. */
export function renderMetricsDocument(): string {
  return `# Metrics

<!-- Made from src/metrics: npx vitest run tests/run/metrics.test.ts -u -->

\`metrics.csv\` has a row a step, written when the step ends. Its columns are fixed when a stage begins: \`step\`, \`stage\` and those of the table that the stage measures. A cell is blank where a step has no such value, and \`NaN\` or \`Infinity\` where the value is not finite. \`{x}\` stands for a name of yours: a reward part, a slice. Steps count on from stage to stage.

Two runs of one recipe with one seed on one backend write the same file but for the \`time/\` columns, and so does a run that was killed and resumed.

Letters: P prompts in a step, G completions of each (the group), B = P*G.

${table(metricDefinitions)}

## The other files

- \`eval.csv\`: a row for each evaluation and slice. \`slice\` is \`all\` or \`name=value\`; \`prompts\`, \`completions\` and \`correct\` are counts; \`accuracy_low\` and \`accuracy_high\` bound the 95% interval that \`interval\` names; \`trigger_*\` say how thinking follows the labels; \`contradiction\` is the share of comparable completions whose thought speaks for another candidate than the answer names, \`contradiction_thought\` and \`contradiction_answer\` how often each of the two is right in them.
- \`samples.jsonl\`: a line for each completion that was kept: prompt, text, tokens, finish reason, reward, status, and every reward part with its value, status and note.
- \`prompts.csv\`: a row for each prompt of each step: how often it was drawn (\`epoch\`, from 0), its completions, mean reward, accuracy and unparsed share.
`;
}
