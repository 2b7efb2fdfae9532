// Records what alarms look at, of real runs, for tests/run/alarms.test.ts and alarm-rates.test.ts.
//   node tools/record-alarm-runs.mjs [--out runs/alarms] [--kinds null,length] [--seeds 1,2,3,4,5,6,7,8]
// trains tests/fixtures/alarms/series/<kind>.yaml with each seed below --out (a finished run is not run again), and
// writes <kind>-metrics.csv and <kind>-eval.csv beside the configs;
//   node tools/record-alarm-runs.mjs --run runs/x --stage rl-math --as boundary
// writes one stage of a run that is there already to tests/fixtures/alarms/<name>/.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { parse } from "csv-parse/sync";
import { stringify } from "csv-stringify/sync";
import { importTypeScript, root } from "./import-typescript.mjs";

const { watchedMetrics } = await importTypeScript("src/run/alarm-history.ts");
const EVALUATION = ["slice", "completions", "accuracy", "accuracy_low", "accuracy_high", "thinking"];
const STEPS = 40;

const fixtures = join(root, "tests", "fixtures", "alarms");
const series = join(fixtures, "series");
const { values } = parseArgs({
  options: {
    out: { type: "string", default: "runs/alarms" },
    kinds: { type: "string", default: "null,healthy,length,format,repeating" },
    seeds: { type: "string", default: "1,2,3,4,5,6,7,8" },
    run: { type: "string" },
    stage: { type: "string" },
    as: { type: "string" },
  },
});

const table = (file) => parse(readFileSync(file), { columns: true });
/** Five digits are enough for thresholds, and keep the files small. */
const short = (text) =>
  text === "" || Number.isNaN(Number(text)) ? text : String(Number(Number(text).toPrecision(5)));
const pick = (row, columns) => Object.fromEntries(columns.map((name) => [name, short(row[name] ?? "")]));
const metricsOf = (row) => ({ step: row.step, ...pick(row, watchedMetrics) });
const evaluationOf = (row) => ({ step: row.step, ...pick(row, EVALUATION) });
const write = (path, rows) => writeFileSync(path, stringify(rows, { header: true }));

if (values.run !== undefined) {
  const metrics = table(join(values.run, "metrics.csv")).filter((row) => row.stage === values.stage);
  if (metrics.length === 0) throw new Error(`${values.run} has no stage ${values.stage}`);
  // the evaluation before the first step is what the stage starts from
  const [first, last] = [Number(metrics[0].step) - 1, Number(metrics.at(-1).step)];
  const evaluations = table(join(values.run, "eval.csv")).filter(
    ({ step }) => Number(step) >= first && Number(step) <= last,
  );
  mkdirSync(join(fixtures, values.as), { recursive: true });
  write(join(fixtures, values.as, "metrics.csv"), metrics.map(metricsOf));
  write(join(fixtures, values.as, "eval.csv"), evaluations.map(evaluationOf));
} else {
  for (const kind of values.kinds.split(",")) {
    const runs = values.seeds.split(",").map((seed) => {
      const runDir = join(values.out, `${kind}-s${seed}`);
      const last = join(runDir, "checkpoints", String(STEPS).padStart(6, "0"), "manifest.json");
      if (!existsSync(last)) {
        const config = join(series, `${kind}.yaml`);
        const args = ["train", config, "--out", runDir, "--seed", seed, "--quiet"];
        const program = [join(root, "bin", "rlpt.js"), ...args, "--set", "backend.cblas=off"];
        const { status } = spawnSync(process.execPath, program, { stdio: "inherit" });
        if (status !== 0) throw new Error(`${kind}, seed ${seed}: exit ${status}`);
      }
      return { seed, runDir };
    });
    const all = (file, of) =>
      runs.flatMap(({ seed, runDir }) => table(join(runDir, file)).map((row) => ({ seed, ...of(row) })));
    write(join(series, `${kind}-metrics.csv`), all("metrics.csv", metricsOf));
    write(join(series, `${kind}-eval.csv`), all("eval.csv", evaluationOf));
  }
}
