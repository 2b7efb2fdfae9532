/** A run as event files that TensorBoard reads, in a folder of the run. No service, nothing to install here. */
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { decodeEvents, encodeEvent, type RunEvent, versionRecord } from "./event-file.ts";
import type { TrackedRow, TrackedText, Tracker } from "./tracker.ts";

/**
 * Opens the folder's event file, or begins one. What it holds is known, so that a run that was killed and resumed repeats no
 * point; half a record at its end is cut off.
 * @param began seconds since 1970; in the file's name
 */
export function openTensorBoard(folder: string, began: number): Tracker {
  mkdirSync(folder, { recursive: true });
  const name =
    readdirSync(folder)
      .filter((one) => one.startsWith("events.out.tfevents.") && one.endsWith(".rlpt"))
      .sort()
      .at(-1) ?? `events.out.tfevents.${String(Math.floor(began)).padStart(10, "0")}.rlpt`;
  const path = join(folder, name);
  const { events, end } = existsSync(path)
    ? decodeEvents(readFileSync(path))
    : { events: [] as RunEvent[], end: 0 };
  /** Values by step and name; texts by their markdown. */
  const written = new Map<number, Map<string, number | string>>();
  for (const event of events) remember(written, event);

  const handle = openSync(path, "a");
  ftruncateSync(handle, end);
  const append = (record: Uint8Array): void => {
    for (let done = 0; done < record.length; ) done += writeSync(handle, record, done);
  };
  if (end === 0) append(versionRecord(began));
  const write = (event: RunEvent): void => {
    append(encodeEvent(event));
    remember(written, event);
  };
  /** What stands at a step otherwise was made by a run that went on differently: it ends there, but for what else that step has. */
  const replace = (step: number, wallTime: number, names: ReadonlySet<string>): void => {
    const rest = [...(written.get(step) ?? [])].filter(([name]) => !names.has(name));
    write({ step, wallTime, restarts: true });
    const scalars = rest.flatMap(([tag, value]) => (typeof value === "number" ? [{ tag, value }] : []));
    if (scalars.length > 0) write({ step, wallTime, scalars });
    for (const [tag, value] of rest)
      if (typeof value === "string") write({ step, wallTime, text: { tag, markdown: value } });
  };
  const differs = (step: number, name: string, value: number | string): boolean => {
    const was = written.get(step)?.get(name);
    return was !== undefined && was !== value;
  };
  return {
    row({ step, wallTime, scalars, measured }: TrackedRow) {
      const rounded = (values: ReadonlyMap<string, number>) =>
        [...values].map(([tag, value]) => ({ tag, value: Math.fround(value) }));
      const rows = rounded(scalars);
      if (rows.some(({ tag, value }) => differs(step, tag, value)))
        replace(step, wallTime, new Set([...scalars.keys(), ...measured.keys()]));
      const fresh = [...rows, ...rounded(measured)].filter(({ tag }) => !written.get(step)?.has(tag));
      if (fresh.length > 0) write({ step, wallTime, scalars: fresh });
    },
    text({ step, wallTime, name: tag, text: markdown }: TrackedText) {
      if (differs(step, tag, markdown)) replace(step, wallTime, new Set([tag]));
      if (!written.get(step)?.has(tag)) write({ step, wallTime, text: { tag, markdown } });
    },
    close: () => closeSync(handle),
  };
}

function remember(written: Map<number, Map<string, number | string>>, event: RunEvent): void {
  if ("restarts" in event) {
    for (const step of written.keys()) if (step >= event.step) written.delete(step);
    return;
  }
  const at = written.get(event.step) ?? new Map<string, number | string>();
  written.set(event.step, at);
  if ("scalars" in event) for (const { tag, value } of event.scalars) at.set(tag, value);
  else at.set(event.text.tag, event.text.markdown);
}
