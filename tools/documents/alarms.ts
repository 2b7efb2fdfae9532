import { WINDOW } from "../../src/run/alarm-history.ts";
import { type Alarm, alarms } from "../../src/run/alarm-kinds.ts";
import { alarmColumn } from "../../src/run/alarms.ts";

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

<!-- Made from src/run/alarm-kinds.ts: npx vitest run tests/run/alarms.test.ts -u -->

While it trains, \`rlpt\` compares the last ${WINDOW} steps with the first ${WINDOW} of the stage, and evaluations with earlier ones. When they look like a run gone wrong it prints a line, once when an alarm begins, and writes 1 into the alarm's column of \`metrics.csv\` for as long as it lasts; \`alarms\` counts them. The run goes on, unless \`run.stop_on\` names the alarm. \`run.alarms: false\` switches them off, and \`rlpt why RUN\` says at any time what a run's files tell.

\`run.stop_on: [dead_groups_wrong, length_drift]\` ends the run at the step at which one of these begins: a checkpoint is written, the message names the alarm, its numbers and what to do, and the exit status is 5. \`rlpt train --resume RUN\` goes on from that checkpoint: resuming accepts the alarm, so it stops the run again only when it has ended and begins anew, and the end is, byte for byte, that of a run without \`stop_on\`. To go on without: \`--set 'run.stop_on=[]'\`. With other settings, start a run whose \`model.path\` is an earlier checkpoint's \`model/\`. An alarm at the last step of the run stops nothing. A name that no stage can raise is refused before anything is loaded.

No alarm is raised before step ${2 * WINDOW} of a stage. Thresholds are constants in src/run/alarm-kinds.ts; "first window" and "now" are means over ${WINDOW} steps. Evaluations are compared from stage to stage where both evaluate the same problems in the same way. What alarms remember lies in every checkpoint, so that a resumed run raises the same ones.

How often they are right: of 500 simulated runs in which nothing changes, half of them with the quickstart's batches and evaluations, half with 32 completions a step and 100 evaluated, 4 raise one in 200 steps. Of recorded runs of the laboratory, 32 completions a step and 100 evaluated for 40 steps, none of 8 that learn and none of 8 that stand still raises one; of 24 whose reward pays for length, for form, or for repeated lines, all do, at step 31 the latest. tests/run/alarm-rates.test.ts holds this; \`node tools/record-alarm-runs.mjs\` makes the runs again.

${alarms.map(section).join("\n")}`;
}
