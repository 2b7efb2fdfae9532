/** `npm run torture`: everything that comes from outside is damaged, and nothing may crash, hang, grow, be lost or lie. */
import { cpSync, existsSync, lstatSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { Child, defaultLimits, type Result } from "./children.ts";
import { NOT_READY, type Part, type Task } from "./part.ts";
import { parts } from "./parts.ts";

const USAGE = `npm run torture -- [--seed 1] [--share 1 | --minutes N] [--only part,part:index] [--jobs 2] [--out folder] [--json]

  --share    of the counts of the full form; 0.02 is the short form of the gate
  --minutes  ends then, whatever the counts; cases go on beyond them
  --only     parts, or one case of a part, as findings name it
  --out      where findings are kept; runs/torture-s<seed> when absent
parts: ${parts.map(({ name, full, tries }) => `${name} (${full.toLocaleString("en")} ${tries})`).join(", ")}
`;

/** Runs wait for the disk at each checkpoint; here they need not. */
const MEMORY_DISK = "/dev/shm";

interface Tally {
  part: string;
  tried: number;
  kinds: Record<string, number>;
  findings: Finding[];
}

interface Finding {
  repeat: string;
  tried: string;
  fault: string;
  files: string;
}

interface Settings {
  seed: number;
  jobs: number;
  out: string;
  work: string;
  module: string;
  say(text: string): void;
}

/** Which cases of a part are tried: some numbers, or all from 0 until the time is over. */
interface Plan {
  part: Part;
  cases: { from: number; below: number };
  seconds: number | null;
}

async function runPart({ part, cases, seconds }: Plan, settings: Settings): Promise<Tally> {
  const { seed, work, out, say } = settings;
  const shared = join(work, `${part.name}-shared`);
  // once, though several cases of a part are asked for by name
  if (!existsSync(shared)) {
    mkdirSync(shared, { recursive: true });
    await part.prepare(shared);
  }
  const tally: Tally = { part: part.name, tried: 0, kinds: {}, findings: [] };
  const end = seconds === null ? Number.POSITIVE_INFINITY : performance.now() + 1000 * seconds;
  let next = cases.from;
  const take = ({ task, outcome }: Result): void => {
    if (outcome.kind === NOT_READY) throw new Error(`${part.name} cannot begin: ${outcome.fault}`);
    tally.tried += outcome.count ?? 1;
    tally.kinds[outcome.kind] = (tally.kinds[outcome.kind] ?? 0) + 1;
    if (outcome.fault === undefined) return;
    const files = join(out, `${part.name}-${task.index}`);
    rmSync(files, { recursive: true, force: true });
    keep(task.folder, files);
    const finding: Finding = {
      repeat: `npm run torture -- --seed ${seed} --only ${part.name}:${task.index}`,
      tried: outcome.tried,
      fault: outcome.fault,
      files,
    };
    writeFileSync(join(files, "finding.json"), `${JSON.stringify(finding, null, 2)}\n`);
    tally.findings.push(finding);
    say(
      `FOUND  ${part.name}:${task.index}  ${outcome.tried}\n  ${outcome.fault.replaceAll("\n", "\n  ")}\n  ${finding.repeat}\n  ${files}`,
    );
  };
  const tryAll = async (): Promise<void> => {
    const child = new Child(settings.module, defaultLimits);
    try {
      while (next < cases.below && performance.now() < end) {
        const index = next++;
        const task: Task = {
          part: part.name,
          index,
          seed,
          shared,
          folder: join(work, `${part.name}-${index}`),
        };
        take(await child.try(part, task));
      }
    } finally {
      await child.close();
    }
  };
  await Promise.all(Array.from({ length: settings.jobs }, tryAll));
  const kinds = Object.entries(tally.kinds).map(([kind, count]) => `${count} ${kind}`);
  say(
    `${part.name}: ${tally.tried.toLocaleString("en")} ${part.tries}, ${tally.findings.length} found (${kinds.join(", ")})`,
  );
  return tally;
}

/** Files of a finding; pipes and devices are not copied. */
function keep(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  if (!existsSync(from)) return;
  cpSync(from, to, { recursive: true, filter: (path) => isPlain(path) });
  rmSync(from, { recursive: true, force: true });
}

function isPlain(path: string): boolean {
  const stat = lstatSync(path);
  return stat.isFile() || stat.isDirectory();
}

function plansOf(only: string | undefined, share: number, minutes: number | null): Plan[] {
  const asked = only?.split(",").map((text) => text.split(":")) ?? parts.map(({ name }) => [name]);
  return asked.map(([name, index]) => {
    const part = parts.find((one) => one.name === name);
    if (part === undefined) throw new Error(`there is no part ${name}\n${USAGE}`);
    if (index !== undefined)
      return { part, cases: { from: Number(index), below: Number(index) + 1 }, seconds: null };
    const below =
      minutes === null ? Math.max(1, Math.ceil((share * part.full) / part.perCase)) : Number.MAX_SAFE_INTEGER;
    return {
      part,
      cases: { from: 0, below },
      seconds: minutes === null ? null : (60 * minutes) / asked.length,
    };
  });
}

/** @param module child.ts, bundled @returns 0 where nothing was found, 1 where something was, 2 for wrong flags */
export async function main(argv: readonly string[], module: string, root: string): Promise<number> {
  let plans: Plan[];
  let settings: Settings;
  let json: boolean;
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        seed: { type: "string", default: "1" },
        share: { type: "string", default: "1" },
        minutes: { type: "string" },
        only: { type: "string" },
        jobs: { type: "string", default: "2" },
        out: { type: "string" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      process.stdout.write(USAGE);
      return 0;
    }
    for (const flag of ["seed", "share", "jobs", "minutes"] as const) {
      const text = values[flag];
      if (text !== undefined && !(Number(text) > 0))
        throw new Error(`--${flag} ${text}: give a number above 0`);
    }
    json = values.json;
    plans = plansOf(
      values.only,
      Number(values.share),
      values.minutes === undefined ? null : Number(values.minutes),
    );
    settings = {
      seed: Number(values.seed),
      jobs: Number(values.jobs),
      out: resolve(values.out ?? join(root, "runs", `torture-s${values.seed}`)),
      work: mkdtempSync(join(existsSync(MEMORY_DISK) ? MEMORY_DISK : tmpdir(), "rlpt-torture-")),
      module,
      say: (text) => process.stderr.write(`${text}\n`),
    };
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return 2;
  }
  // also where a signal ends it
  process.once("exit", () => rmSync(settings.work, { recursive: true, force: true }));
  const tallies: Tally[] = [];
  for (const plan of plans) tallies.push(await runPart(plan, settings));
  if (json) process.stdout.write(`${JSON.stringify(tallies, null, 2)}\n`);
  const found = tallies.reduce((sum, { findings }) => sum + findings.length, 0);
  settings.say(found === 0 ? "nothing found" : `${found} found; their files lie in ${settings.out}`);
  return found === 0 ? 0 : 1;
}
