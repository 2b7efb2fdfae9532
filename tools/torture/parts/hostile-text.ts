/** Text of a stranger's in the files of runs and in data: nothing of it runs in a report, steers a terminal or is a formula. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  hostileTexts,
  hostileValues,
  type Pick,
  writeHostileCollections,
  writeHostileRun,
} from "../../../tests/helpers/hostile-files.ts";
import { command } from "../command.ts";
import { type Draw, drawFrom } from "../draw.ts";
import type { Case, Outcome, Part } from "../part.ts";
import { csvFault, markdownFault, pageFault } from "./obeyed.ts";
import { tinyFileRecipe } from "./tiny-recipe.ts";

function picker(draw: Draw, honest: number): Pick {
  const choose = <T>(own: T, others: readonly unknown[]): T =>
    draw.chance(honest) ? own : (draw.one(others) as T);
  return { text: (_, own) => choose(own, hostileTexts), value: (_, own) => choose(own, hostileValues) };
}

/** What the commands that read folders of runs write of them. */
async function readersFault(folders: readonly string[]): Promise<{ fault: string | null; made: number }> {
  let made = 0;
  const checks: [string[], (text: string) => string | null][] = [
    [["report", ...folders, "--out", "-", "--format", "html"], pageFault],
    [["report", ...folders, "--out", "-", "--format", "md"], markdownFault],
    [["report", ...folders, "--out", "-", "--format", "csv"], csvFault],
    [["runs", "ls", join(folders[0]!, "..")], () => null],
    [["runs", "ls", "--json", join(folders[0]!, "..")], () => null],
    [["compare", ...folders, folders[0]!], () => null],
  ];
  for (const [argv, check] of checks) {
    const { fault, status, out } = await command(argv);
    if (fault !== undefined) return { fault, made };
    if (status !== 0) continue;
    made++;
    const obeyed = check(out);
    if (obeyed !== null) return { fault: `rlpt ${argv[0]} ${argv.at(-1)}: ${obeyed}`, made };
  }
  return { fault: null, made };
}

/** A run whose data hold such text: every file that it leaves, and its report. */
async function trainingFault(draw: Draw, folder: string): Promise<{ fault: string | null; made: number }> {
  const text = () => draw.one(hostileTexts.filter((one) => one !== "" && !one.includes("\u0000")));
  const rows = (second: number) =>
    Array.from({ length: 6 }, (_, i) => ({
      id: `${text()}${second}${i}`,
      prompt: `${i}+${second}=`,
      answer: text(),
      kind: text(),
    }));
  const data = { train: join(folder, "rows.jsonl"), held: join(folder, "held-out.jsonl") };
  for (const [i, path] of Object.values(data).entries())
    writeFileSync(
      path,
      rows(i + 1)
        .map((row) => `${JSON.stringify(row)}\n`)
        .join(""),
    );
  const config = join(folder, "run.yaml");
  writeFileSync(config, tinyFileRecipe(1, data).replaceAll("id: id }", "id: id, slices: [kind] }"));
  const run = join(folder, "runs", "run");
  const trained = await command(["train", config, "--run-dir", run, "--quiet"]);
  if (trained.fault !== undefined) return { fault: trained.fault, made: 0 };
  if (trained.status !== 0) return { fault: null, made: 0 };
  for (const name of readdirSync(run)) {
    if (!name.endsWith(".csv")) continue;
    const obeyed = csvFault(readFileSync(join(run, name), "utf8"));
    if (obeyed !== null) return { fault: `${name}: ${obeyed}`, made: 1 };
  }
  return readersFault([run]);
}

async function tryOne({ rng, folder, index }: Case): Promise<Outcome> {
  const draw = drawFrom(rng);
  const honest = draw.one([0.999, 0.99, 0.9, 0.5]);
  let tried = `a run, ${honest} of its fields as they belong`;
  let result: Awaited<ReturnType<typeof readersFault>>;
  if (index % 4 === 3) {
    tried = "training on such rows";
    result = await trainingFault(draw, folder);
  } else {
    const root = join(folder, draw.one(["runs", "runs <b>", "runs \u001b[31m"]));
    mkdirSync(root);
    const folders =
      index % 4 === 2
        ? writeHostileCollections(root, picker(draw, honest))
        : [writeHostileRun(join(root, draw.one(["run", "=1+1", "<i>x"])), picker(draw, honest))];
    result = { fault: null, made: 0 };
    for (const one of folders) {
      const { fault, made } = await readersFault([one]);
      result = { fault, made: result.made + made };
      if (fault !== null) break;
    }
  }
  if (result.fault !== null) return { kind: "fault", tried, fault: result.fault };
  return { kind: result.made > 0 ? "shown" : "refused", tried };
}

export const hostileText: Part = {
  name: "hostile-text",
  tries: "folders and data of hostile text",
  full: 400,
  perCase: 1,
  async prepare() {},
  open: async () => tryOne,
};
