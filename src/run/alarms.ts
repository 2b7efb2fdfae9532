/** Alarms: what the metrics say when a run goes wrong. */
import { type AlarmHistory, WINDOW } from "./alarm-history.ts";
import { type Alarm, alarms } from "./alarm-kinds.ts";

/** Alarms that a stage with these columns can raise. */
export function alarmsFor(columns: readonly string[]): Alarm[] {
  // a critic learns from groups of one, and from groups of equal rewards
  const comparesGroups = !columns.includes("critic/loss");
  return alarms.filter(
    ({ needs, groups }) =>
      needs.every((name) => columns.includes(name)) && (groups === undefined || comparesGroups),
  );
}

/** Column of an alarm in metrics.csv. */
export function alarmColumn(name: string): string {
  return `alarm/${name}`;
}

export interface RaisedAlarm {
  name: string;
  /** What is wrong, in numbers. */
  message: string;
}

/** @returns what is wrong after the history's last step */
export function raised(history: AlarmHistory, possible: readonly Alarm[]): RaisedAlarm[] {
  if (history.rows < 2 * WINDOW) return [];
  return possible.flatMap((alarm) => {
    const message = alarm.test(history);
    return message === null ? [] : [{ name: alarm.name, message }];
  });
}
