import { resolve } from "node:path";
import type { Command } from "commander";
import type { CaseResult } from "../../rewards/run-cases.ts";
import { colours, print, printJson, printNote, table, visibleLine } from "../../terminal/terminal.ts";
import { collect } from "../flags.ts";

interface Flags {
  set: string[];
  json?: boolean;
}

export function register(program: Command): void {
  const reward = program.command("reward").description("look at reward functions");
  reward
    .command("test")
    .description("run the golden cases of every reward part of a config, or of one reward file")
    .argument("<config|file>", "a YAML config, or a reward file (.ts, .mts, .js, .mjs)")
    .option("--set <key=value>", "change one value of the config, as in train; may be repeated", collect, [])
    .option("--json", "machine-readable output")
    .action(async (target: string, flags: Flags) => {
      process.exitCode = await testRewards(target, flags);
    });
  reward
    .command("agree")
    .description(
      "ask the judges of a config about the rows that people judged (labelled), and say how far they agree",
    )
    .argument("<config>", "a YAML config with parts of kind judge")
    .option("--set <key=value>", "change one value of the config, as in train; may be repeated", collect, [])
    .option("--json", "machine-readable output")
    .action(async (config: string, flags: Flags) => {
      await agree(config, flags);
    });
}

async function agree(config: string, { set, json }: Flags): Promise<void> {
  const { loadRecipe } = await import("../../config/load.ts");
  const { ConfigError } = await import("../../lib/errors.ts");
  const { askPeopleAndJudges } = await import("../../training/agreement.ts");
  const { describeAgreement } = await import("../../rewards/judge/agreement.ts");
  const agreements = await askPeopleAndJudges(loadRecipe(config, { set }), printNote);
  if (agreements.length === 0)
    throw new ConfigError(
      `${config}: no part of kind judge has labelled rows; add labelled: rows.jsonl to one`,
    );
  if (json) return printJson(agreements);
  for (const one of agreements) for (const line of describeAgreement(one)) print(visibleLine(line));
}

interface Tested {
  part: string;
  kind: string;
  cases: CaseResult[];
}

const FILE_TIMEOUT_MS = 10_000;

/** @returns exit status: 0 all cases hold, 1 one does not */
export async function testRewards(target: string, flags: Flags): Promise<number> {
  const tested = /\.(ts|mts|js|mjs)$/.test(target)
    ? [await testFile(target, FILE_TIMEOUT_MS, target)]
    : await testConfig(target, flags.set);
  const failures = tested.flatMap(({ cases }) => cases.filter(({ pass }) => !pass));
  if (flags.json) {
    printJson(tested);
    return failures.length === 0 ? 0 : 1;
  }
  const rows = tested.map(({ part, kind, cases }) => {
    const passed = cases.filter(({ pass }) => pass).length;
    const verdict =
      cases.length === 0
        ? colours.yellow("no cases")
        : passed === cases.length
          ? colours.green("ok")
          : colours.red(`${cases.length - passed} failed`);
    return [part, kind, `${passed}/${cases.length}`, verdict];
  });
  print(table(rows, { header: ["part", "kind", "cases", "result"], align: ["left", "left", "right"] }));
  for (const { part, index, completion, expect, got } of failures) {
    const text = completion.length > 80 ? `${completion.slice(0, 80)}...` : completion;
    print();
    print(`${part} case ${index + 1}: expected ${expect}, got ${got.value} (${got.status})`);
    if (got.note !== undefined) print(`  note        ${got.note}`);
    print(`  completion  ${JSON.stringify(text)}`);
  }
  for (const { part, cases } of tested) {
    if (cases.length === 0) {
      printNote(`${part} has no cases; export const cases = [{ input: { completion, answer }, expect: 1 }]`);
    }
  }
  return failures.length === 0 ? 0 : 1;
}

async function testFile(file: string, timeoutMs: number, part: string): Promise<Tested> {
  const { runFileCases } = await import("../../rewards/run-cases.ts");
  return { part, kind: "file", cases: await runFileCases(resolve(file), timeoutMs) };
}

async function testConfig(config: string, set: readonly string[]): Promise<Tested[]> {
  const { loadRecipe } = await import("../../config/load.ts");
  const { ConfigError } = await import("../../lib/errors.ts");
  const { partName } = await import("../../rewards/options.ts");
  const { runBuiltInCases } = await import("../../rewards/run-cases.ts");
  const { rewards } = loadRecipe(config, { set }).recipe;
  if (rewards.length === 0) throw new ConfigError(`${config}: it has no rewards to test`);
  const tested: Tested[] = [];
  for (const spec of rewards) {
    const part = partName(spec);
    tested.push(
      spec.kind === "file"
        ? await testFile(spec.file, spec.timeout_ms, part)
        : { part, kind: spec.kind, cases: await runBuiltInCases(spec.kind, part) },
    );
  }
  return tested;
}
