import { type Alarm, alarmColumn, alarms, WINDOW } from "../../src/run/alarms.ts";

function section({ name, threshold, meaning, remedy, groups }: Alarm): string {
  const where = groups === undefined ? "" : " Not with PPO: a critic learns without a group.";
  return `## ${name}

- **Raised when** ${threshold}.${where}
- **Meaning.** ${meaning}
- **What to do.** ${remedy}
- Column: \`${alarmColumn(name)}\`
`;
}

/** The text of docs/alarms.md. A test holds the file to it. */
export function renderAlarmsDocument(): string {
  return `# Alarms

<!-- Made from src/run/alarms.ts: npx vitest run tests/run/alarms.test.ts -u -->

While it trains, \`rlpt\` compares the last ${WINDOW} steps with the first ${WINDOW} of the stage, and evaluations with earlier ones. When they look like a run gone wrong it prints a line, once when an alarm begins, and writes 1 into the alarm's column of \`metrics.csv\` for as long as it lasts; \`alarms\` counts them. Nothing else happens: the run goes on. \`run.alarms: false\` switches them off.

No alarm is raised before step ${2 * WINDOW} of a stage. Thresholds are constants in src/run/alarms.ts; "first window" and "now" are means over ${WINDOW} steps. Evaluations are compared from stage to stage where both evaluate the same problems in the same way. What alarms remember lies in every checkpoint, so that a resumed run raises the same ones.

How often they are right: of 500 simulated runs in which nothing changes, half of them with the quickstart's batches and evaluations, half with 32 completions a step and 100 evaluated, 4 raise one in 200 steps. Of recorded runs of the laboratory, 32 completions a step and 100 evaluated for 40 steps, none of 8 that learn and none of 8 that stand still raises one; of 24 whose reward pays for length, for form, or for repeated lines, all do, at step 31 the latest. tests/run/alarm-rates.test.ts holds this; \`node tools/record-alarm-runs.mjs\` makes the runs again.

${alarms.map(section).join("\n")}`;
}
