// How far off plans are: every laboratory config planned, then run, as a Markdown table.
//   node tools/plan-accuracy.mjs [--steps 30] [--configs quickstart,ppo] [--out DIR] [--set key=value ...]
// --steps shortens every stage; 0 leaves the configs as they are. Runs that are there are not made again.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { parse } from "yaml";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const { values } = parseArgs({
  options: {
    steps: { type: "string", default: "30" },
    configs: { type: "string" },
    out: { type: "string" },
    set: { type: "string", multiple: true, default: [] },
  },
});
const laboratory = readdirSync(join(root, "configs"))
  .filter((name) => name.endsWith(".yaml"))
  .filter((name) => !["smollm2-gsm8k.yaml", "gsm8k.yaml", "lookup.yaml", "showcase.yaml"].includes(name))
  .map((name) => basename(name, ".yaml"));
const names = values.configs?.split(",") ?? laboratory;
const out = values.out ?? mkdtempSync(join(tmpdir(), "rlpt-plans-"));
const set = values.set.flatMap((one) => ["--set", one]);

function rlpt(...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, "bin", "rlpt.js"), ...args], {
    encoding: "utf8",
    cwd: root,
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`rlpt ${args.join(" ")}: status ${status}\n${stderr}`);
  return stdout;
}

/** Overrides that end every stage after so many steps. */
function shortening(config) {
  const steps = Number(values.steps);
  if (steps === 0) return [];
  const { stages, optimizer } = parse(rlpt("train", config, "--dry-run"));
  // a run must not end inside its warm-up
  if (stages === undefined) return ["--set", `steps=${Math.max(steps, optimizer.warmup_steps)}`];
  return stages.flatMap((stage, i) => ["--set", `stages.${i}.steps=${Math.min(steps, stage.steps)}`]);
}

const worst = new Map();
function cell({ quantity, unit, planned, took }) {
  if (planned === null) return "ended early";
  const off = planned / took - 1;
  worst.set(quantity, Math.max(worst.get(quantity) ?? 0, Math.abs(off)));
  const show = (value) => (unit === "bytes" ? (value / 2 ** 20).toFixed(0) : value.toFixed(1));
  return `${show(planned)} / ${show(took)} | ${off < 0 ? "" : "+"}${(100 * off).toFixed(0)}%`;
}

/** How far off the plan would have been had it known how many completions the updates would hold. */
function offAt(row) {
  return row === undefined ? "=" : cell(row).split(" | ").at(-1);
}

console.log(
  "| config | memory planned / took, MiB | off | clock, s | off | processor, s | off | at its live share |\n|---|---|---|---|---|---|---|---|",
);
for (const name of names) {
  const runDir = join(out, name);
  const config = join("configs", `${name}.yaml`);
  if (!existsSync(join(runDir, "usage.json"))) {
    rmSync(runDir, { recursive: true, force: true });
    rlpt("train", config, "--plan", "--quiet", "--out", runDir, ...set, ...shortening(config));
  }
  const rows = JSON.parse(rlpt("plan", runDir, "--format", "json"));
  const row = (quantity) => rows.find((one) => one.quantity === quantity);
  const shown = [cell(row("peak memory")), cell(row("time in all")), cell(row("processor time"))];
  shown.push(offAt(row("processor time at it")));
  console.log(`| ${name} | ${shown.join(" | ")} |`);
}
const bounds = [...worst].map(([quantity, off]) => `${quantity} ${(100 * off).toFixed(0)}%`);
console.log(`\nFurthest off: ${bounds.join(", ")}.`);
