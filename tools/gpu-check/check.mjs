/**
 * The check of a machine with a GPU, part by part. Started by run.sh, or by itself where Node and node_modules are.
 * Every part has a time limit and a log of its own; results are written after each figure, so that a run that is cut
 * off leaves what it had.
 */
import { spawn, spawnSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "../import-typescript.mjs";
import { parts } from "./parts.mjs";
import { renderReport } from "./report.mjs";

const usage = `bash tools/gpu-check/run.sh [flags]
  --parts a,b      of ${parts.map(({ name }) => name).join(", ")}; default all
  --budget N       seconds for all parts together; what does not fit is left out, with that reason (default: none)
  --out DIR        report.json, report.md, log.txt (default $OUT, else gpu-check-results)
  --from FILE      report.json of an earlier call, whose other parts are kept
  --python PYTHON  with torch and transformers, for the part peers (default $RLPT_PYTHON, else python3)
  --weights PATH   SmolLM2-135M-Instruct, a directory or GGUF file; default: its shape with random weights
  --flags TEXT     XLA_FLAGS for every part, to compare compilers' settings
  --dry            small sizes, on the CPU where there is no GPU: whether everything is there`;

const { values: flags } = parseArgs({
  options: {
    parts: { type: "string" },
    budget: { type: "string" },
    out: { type: "string", default: process.env["OUT"] || "gpu-check-results" },
    from: { type: "string" },
    python: { type: "string" },
    weights: { type: "string" },
    flags: { type: "string" },
    dry: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

if (flags.help) {
  console.log(usage);
  process.exit(0);
}
const wanted = flags.parts?.split(",") ?? parts.map(({ name }) => name);
const unknown = wanted.find((name) => !parts.some((part) => part.name === name));
if (unknown !== undefined) {
  console.error(`--parts: ${unknown} is none.\n${usage}`);
  process.exit(2);
}

mkdirSync(flags.out, { recursive: true });
const work = join(process.env["RLPT_GPU_WORK"] ?? join(tmpdir(), "rlpt-gpu-check"), "runs");
mkdirSync(work, { recursive: true });
const log = join(flags.out, "log.txt");
writeFileSync(log, "");

const python = flags.python ?? process.env["RLPT_PYTHON"] ?? "python3";
const earlier = flags.from === undefined ? { parts: {} } : JSON.parse(readFileSync(flags.from, "utf8"));
const report = {
  command: `tools/gpu-check/run.sh ${process.argv.slice(2).join(" ")}`.trim(),
  dry: flags.dry,
  xlaFlags: flags.flags ?? null,
  machine: machine(),
  parts: earlier.parts,
};

function machine() {
  const smi = [
    "--query-gpu=name,memory.total,memory.used,driver_version,clocks.max.sm",
    "--format=csv,noheader",
  ];
  const gpus = spawnSync("nvidia-smi", smi, { encoding: "utf8" });
  const versions = `import importlib.metadata as m, sys
names = ["torch", "transformers", "trl", "peft", "jax", "jaxlib", "jax-cuda13-pjrt", "jax-cuda12-pjrt", "nvidia-cudnn-cu13", "nvidia-cublas"]
found = []
for n in names:
    try: found.append(n + " " + m.version(n))
    except m.PackageNotFoundError: pass
print("Python " + sys.version.split()[0] + ": " + ", ".join(found))`;
  const packages = spawnSync(python, ["-c", versions], { encoding: "utf8" });
  return {
    gpus: gpus.status === 0 ? gpus.stdout.trim().split("\n") : [],
    python: packages.status === 0 ? packages.stdout.trim() : null,
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
  };
}

function save() {
  for (const [name, text] of [
    ["report.json", `${JSON.stringify(report, null, 1)}\n`],
    ["report.md", renderReport(report, parts)],
  ]) {
    const path = join(flags.out, name);
    writeFileSync(`${path}.tmp`, text);
    renameSync(`${path}.tmp`, path);
  }
}

/** A process and what it has started, without a session of its own: what ends this check must end them too. */
function killTree(pid) {
  const parents = new Map();
  for (const entry of existsSync("/proc") ? readdirSync("/proc").filter((name) => /^\d+$/.test(name)) : []) {
    try {
      // its name, in brackets, may hold anything
      const fields = readFileSync(`/proc/${entry}/stat`, "utf8").split(")").at(-1).trim().split(" ");
      parents.set(Number(entry), Number(fields[1]));
    } catch {
      // it has ended
    }
  }
  const tree = [pid];
  for (const found of tree) {
    for (const [child, parent] of parents) if (parent === found) tree.push(child);
  }
  for (const each of tree.reverse()) {
    try {
      process.kill(each, "SIGKILL");
    } catch {
      // so has this one
    }
  }
}

/** Figures are those of one card, but where a part asks for all. */
const oneCard =
  report.machine.gpus.length > 1 && !process.env["CUDA_VISIBLE_DEVICES"] ? { CUDA_VISIBLE_DEVICES: "0" } : {};

/** Runs a program to its end or the part's; its output goes to the part's log. */
function start(program, args, { deadline, env = {}, cards, partLog }) {
  return new Promise((resolve) => {
    const seconds = (deadline - performance.now()) / 1000;
    appendFileSync(partLog, `\n$ ${program} ${args.join(" ")}\n`);
    const began = performance.now();
    const child = spawn(program, args, {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...process.env,
        ...(flags.flags === undefined ? {} : { XLA_FLAGS: flags.flags }),
        ...(cards === "all" ? {} : oneCard),
        ...env,
      },
    });
    const result = { status: null, stdout: "", stderr: "", timedOut: false, seconds: 0 };
    const timer = setTimeout(() => {
      result.timedOut = true;
      killTree(child.pid);
    }, Math.max(1, seconds) * 1000);
    for (const name of ["stdout", "stderr"]) {
      child[name].on("data", (chunk) => {
        result[name] += chunk;
        appendFileSync(partLog, chunk);
      });
    }
    const end = () => {
      clearTimeout(timer);
      result.seconds = (performance.now() - began) / 1000;
      resolve(result);
    };
    child.on("error", (error) => {
      result.stderr += error.message;
      end();
    });
    child.on("close", (status, signal) => {
      result.status = status ?? (signal === null ? null : 128);
      end();
    });
  });
}

class Problem extends Error {}

const began = performance.now();
const budget = flags.budget === undefined ? Number.POSITIVE_INFINITY : Number(flags.budget);
/** Kept for writing the report and ending. */
const RESERVE = 5;

async function runPart(part) {
  const left = budget - RESERVE - (performance.now() - began) / 1000;
  const [least, most] = flags.dry ? [5, part.seconds[1]] : part.seconds;
  const entry = { status: "running", seconds: 0, notes: [], tables: [], figures: {} };
  report.parts[part.name] = entry;
  save();
  if (left < least) {
    return Object.assign(entry, {
      status: "left out",
      notes: [`it needs ${least} s, and ${Math.floor(left)} s are left`],
    });
  }
  const partBegan = performance.now();
  const deadline = partBegan + Math.min(left, most) * 1000;
  const partLog = join(work, `${part.name}.log`);
  writeFileSync(partLog, "");
  const check = (run, what) => {
    if (run.timedOut) throw new Problem(`${what}: not done in the time that was left`);
    if (run.status !== 0)
      throw new Problem(`${what}: status ${run.status}: ${lastLines(run.stderr || run.stdout)}`);
    return run;
  };
  const context = {
    dry: flags.dry,
    work,
    python,
    root,
    weights: flags.weights,
    machine: report.machine,
    results: report.parts,
    /** Seconds that this part still has. */
    left: () => (deadline - performance.now()) / 1000,
    note: (text) => {
      entry.notes.push(text);
      save();
    },
    /** Something is wrong, but the part goes on. */
    problem: (text) => {
      entry.problems = [...(entry.problems ?? []), text];
      save();
    },
    figure: (name, value) => {
      entry.figures[name] = value;
      save();
    },
    /** A table to which rows are added as they come. */
    table: (title, header) => {
      const table = { title, header, rows: [] };
      entry.tables.push(table);
      return (...row) => {
        table.rows.push(row.map((cell) => (typeof cell === "number" ? shortNumber(cell) : String(cell))));
        save();
      };
    },
    rlpt: async (args, options = {}) =>
      check(
        await start(process.execPath, [join(root, "bin", "rlpt.js"), ...args], {
          deadline,
          partLog,
          env: options.env,
          cards: options.cards,
        }),
        `rlpt ${args[0]}`,
      ),
    /** A function of parts.ts in a process of its own. */
    compute: async (name, ...args) => {
      const script = join(root, "tools", "gpu-check", "part.mjs");
      const texts = args.map((value) => JSON.stringify(value));
      const run = check(await start(process.execPath, [script, name, ...texts], { deadline, partLog }), name);
      return JSON.parse(run.stdout.trim().split("\n").at(-1));
    },
  };
  try {
    const leftOut = await part.run(context);
    entry.status = typeof leftOut === "string" ? "left out" : entry.problems ? "failed" : "passed";
    if (typeof leftOut === "string") entry.notes.push(leftOut);
  } catch (error) {
    entry.status = "failed";
    const text = error instanceof Problem ? error.message : (error.stack ?? String(error));
    entry.problems = [...(entry.problems ?? []), text];
  }
  entry.seconds = (performance.now() - partBegan) / 1000;
  appendFileSync(log, `\n===== ${part.name}: ${entry.status}\n${tail(readFileSync(partLog, "utf8"))}`);
}

function lastLines(text) {
  return text.trim().split("\n").slice(-4).join(" | ").slice(-600) || "it said nothing";
}

function tail(text, most = 200_000) {
  return text.length <= most ? text : `...${text.slice(-most)}`;
}

function shortNumber(value) {
  return Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(3)));
}

save();
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    for (const entry of Object.values(report.parts)) if (entry.status === "running") entry.status = "cut off";
    save();
    killTree(process.pid);
  });
}
for (const part of parts.filter(({ name }) => wanted.includes(name))) {
  process.stdout.write(`${part.name} ... `);
  await runPart(part);
  save();
  const { status, seconds, notes, problems = [] } = report.parts[part.name];
  console.log(`${status} (${seconds.toFixed(0)} s)`);
  for (const text of [...problems, ...(status === "left out" ? notes : [])]) console.log(`  ${text}`);
}
const states = wanted.map((name) => report.parts[name].status);
const count = (status) => states.filter((each) => each === status).length;
console.log(
  `${count("passed")} passed, ${count("failed")} failed, ${count("left out")} left out: ${join(flags.out, "report.md")}`,
);
if (!existsSync(log)) process.exitCode = 1;
process.exitCode = count("failed") > 0 ? 1 : 0;
