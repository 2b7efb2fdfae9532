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
- \`samples.jsonl\`: a line for each completion that was kept: prompt, text, tokens, finish reason, reward, status, and every reward part with its value, status and note; of prompts with pictures their ids, and of box rewards the boxes.
- \`thumbnails.jsonl\`: of runs on pictures: each picture that samples.jsonl names once, as a PNG of at most 96 pixels a side in base64, with its name, size and first step; at most 512.
- \`eval-prompts.csv\`: a row for each prompt of each evaluation. \`answer\` is the gold answer where it has at most 64 characters, \`given\` a JSON list of what the completions answered: the gold answer where they are right, empty where none was read.
- \`prompts.csv\`: a row for each prompt of each step: how often it was drawn (\`epoch\`, from 0), its completions, mean reward, accuracy and unparsed share.
`;
}
