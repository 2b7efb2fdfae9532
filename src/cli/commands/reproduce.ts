import type { Command } from "commander";
import type { Claim } from "../../experiments/claim.ts";
import { ConfigError, RlptError } from "../../lib/errors.ts";
import { colours, print, printJson, printNote, table } from "../../terminal/terminal.ts";
import { collect, concurrency, formerName, type ManyRunsFlags, seedList, wholeNumber } from "../flags.ts";

interface ReproduceFlags extends ManyRunsFlags {
  all?: boolean;
  firstSeed?: string;
}

/** With the folder filled in. */
type Placed = ReproduceFlags & { out: string };

export function register(program: Command): void {
  program
    .command("reproduce")
    .description(
      "a paper's claim in miniature: its arms over several seeds, then SUPPORTED, NOT SUPPORTED or INCONCLUSIVE",
    )
    .argument("[claim...]", "claims by name, or files of your own; without any they are listed")
    .option("--all", "every claim that comes with rlpt, as one table")
    .option("--seeds <list>", "a fixed design: these seeds, such as 1,2,3,4,5, then one verdict")
    .option("--first-seed <n>", "seeds from here on until the claim is decided or its bound is reached")
    .option("--jobs <n>", "runs at once; one per core by default")
    .option("--out <dir>", "runs go to <dir>/runs, verdicts to <dir>/<claim>; runs/reproduce when absent")
    .addOption(formerName("--root"))
    .option("--set <key=value>", "override a key in every arm; again for more", collect, [])
    .option("--dry-run", "list the runs, then stop")
    .option("--json", "machine-readable output")
    .addHelpText(
      "after",
      "\nExit status: 0 SUPPORTED, 3 NOT SUPPORTED, 4 INCONCLUSIVE; of several the first of 3, 4, 0.",
    )
    .action(async (named: string[], given: ReproduceFlags) => {
      const flags = { ...given, out: given.out ?? given.root ?? "runs/reproduce" };
      const { claimFiles, findClaim, loadClaim } = await import("../../experiments/claim.ts");
      if (flags.all && named.length > 0) throw new ConfigError("--all runs every claim: name none beside it");
      const seeds = seedList(flags.seeds);
      const repeated = seeds?.find((seed, i) => seeds.indexOf(seed) !== i);
      if (repeated !== undefined) throw new ConfigError(`--seeds ${flags.seeds}: ${repeated} is there twice`);
      if (seeds !== undefined && flags.firstSeed !== undefined)
        throw new ConfigError("--seeds names every seed: leave out --first-seed, or --seeds");
      const overrides = {
        set: flags.set,
        ...(seeds === undefined ? {} : { seeds }),
        ...(flags.firstSeed === undefined ? {} : { firstSeed: wholeNumber(flags.firstSeed, "--first-seed") }),
      };
      const listing = !flags.all && named.length === 0;
      const files = flags.all || listing ? claimFiles() : named.map(findClaim);
      const claims = files.map((file) => loadClaim(file, overrides));
      const twice = claims.find(({ name }, i) => claims.findIndex((one) => one.name === name) !== i);
      if (twice !== undefined)
        throw new ConfigError(`${twice.name}: two claims of this name would share a folder`);
      if (listing) return list(claims, flags);
      if (flags.dryRun) return dryRun(claims, flags);
      await run(claims, flags);
    });
}

async function list(claims: readonly Claim[], flags: Placed): Promise<void> {
  const { lastVerdict } = await import("../../experiments/reproduce.ts");
  const { trainingArms } = await import("../../experiments/claim-plan.ts");
  const { verdictColour } = await import("../../experiments/verdict-text.ts");
  const rows = claims.map((claim) => ({
    claim: claim.name,
    title: claim.options.claim,
    arms: trainingArms(claim),
    seeds: claim.options.seeds.length,
    paper: claim.options.source.paper,
    verdict: lastVerdict(flags.out, claim.name),
  }));
  if (flags.json) return printJson(rows);
  print(
    table(
      rows.map((row) => [
        row.claim,
        row.verdict === null ? "-" : verdictColour(row.verdict),
        `${row.title} (${row.paper})`,
      ]),
      { header: ["claim", "verdict", "what is claimed"] },
    ),
  );
  print(
    colours.dim(
      `\nrlpt reproduce <claim> runs one, rlpt reproduce --all runs them all; verdicts are those in ${flags.out}`,
    ),
  );
}

async function dryRun(claims: readonly Claim[], flags: Placed): Promise<void> {
  const { planClaims } = await import("../../experiments/claim-plan.ts");
  const plans = await planClaims(claims, flags.out);
  const runs = [...new Set(plans.flatMap((plan) => plan.runs))];
  const evaluations = [...new Set(plans.flatMap((plan) => plan.evaluations))];
  const of = (id: string) =>
    plans
      .filter((plan) => [...plan.runs, ...plan.evaluations].some((one) => one.id === id))
      .map(({ claim }) => claim.name);
  const rows = [...runs, ...evaluations].map(({ id, set }) => ({ id, claims: of(id), set }));
  if (flags.json) return printJson(rows);
  print(
    table(
      rows.map((row) => [row.id, row.claims.join(" "), row.set.join(" ")]),
      { header: ["run", "claims", "set"] },
    ),
  );
  const most = claims.some(({ looks }) => looks.length > 1) ? " at most" : "";
  print(`${runs.length} runs${most}, ${evaluations.length} further evaluations`);
  for (const line of await designs(claims)) print(line);
}

/** What each claim's design can find, said before a seed is run. */
async function designs(claims: readonly Claim[]): Promise<string[]> {
  const { designWords } = await import("../../experiments/verdict-text.ts");
  const { sequentialDesign } = await import("../../report/looks.ts");
  return claims.map(({ name, looks }) => `${name}: ${designWords(sequentialDesign(looks))}`);
}

async function run(claims: readonly Claim[], flags: Placed): Promise<void> {
  const { reproduce } = await import("../../experiments/reproduce.ts");
  const { exitStatus } = await import("../../report/verdict.ts");
  const { withChildren } = await import("../children.ts");
  const { claimRuns } = await import("../../experiments/claim.ts");
  const { checkBefore } = await import("../check-files.ts");
  await checkBefore(printNote)(claims.flatMap(claimRuns));
  for (const line of await designs(claims)) printNote(line);
  const { reproductions, failed } = await withChildren(flags.json === true, async (shown) =>
    reproduce(claims, { root: flags.out, concurrency: await concurrency(flags.jobs), ...shown }),
  );
  const verdicts = reproductions.map(({ verdict }) => verdict);
  if (flags.json) printJson(claims.length === 1 ? (reproductions[0] ?? null) : reproductions);
  else if (reproductions.length > 0) {
    const { renderReproduction, renderTable } = await import("../../experiments/verdict-text.ts");
    const text = claims.length === 1 ? renderReproduction(reproductions[0]!) : renderTable(reproductions);
    print(text);
  }
  if (failed.length > 0) {
    const told = failed.map(({ claim, told }) => `${claim}: no verdict\n${told}`);
    throw new RlptError(told.join("\n"));
  }
  const worst = (["NOT SUPPORTED", "INCONCLUSIVE"] as const).find((one) => verdicts.includes(one));
  process.exitCode = exitStatus[worst ?? "SUPPORTED"];
}
