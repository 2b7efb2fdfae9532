/**
 * The parts of the check. `seconds` are [what it needs at least, its limit]; `run` fills tables, and gives a reason where
 * there is nothing to check here.
 */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { compilerFlags, peers, smollm2 } from "./model-parts.mjs";

function readRows(path) {
  return parse(readFileSync(path, "utf8"), { columns: true });
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** Quickstart's held-out accuracy on the CPU, seeds 1, 2, 3, of 1000 problems (README.md). */
const cpuAccuracy = { 1: 0.99, 2: 0.987, 3: 0.994 };

/** Two standard errors of a difference of two such accuracies. */
function tolerance(accuracy) {
  return 2 * Math.sqrt((2 * accuracy * (1 - accuracy)) / 1000);
}

const doctor = {
  name: "doctor",
  title: "What is found",
  seconds: [20, 120],
  async run({ rlpt, table, figure, problem, dry }) {
    const { stdout } = await rlpt(["doctor", "--json"]);
    const found = JSON.parse(stdout);
    figure("doctor", found);
    const row = table("Backends, as `rlpt doctor` finds them.", ["backend", "works", "what"]);
    for (const { kind, usable, reason, info } of found.backends) {
      row(kind, usable ? "yes" : "no", usable ? `${info.description}; ${info.device}` : reason);
    }
    const engines = table("Libraries of compiled programs.", ["what", "where", "lacks"]);
    for (const { what, path, origin, lacks } of found.engines.found)
      engines(what, `${path} (${origin})`, lacks ?? "");
    const xla = found.backends.find(({ kind }) => kind === "xla");
    if (!xla.usable) problem(`xla does not start: ${xla.reason}`);
    else if (!dry && xla.info.platform === "cpu") problem("xla computes on the CPU");
    if (!dry && found.chosen !== "xla") problem(`auto takes ${found.chosen}`);
  },
};

const laboratory = {
  name: "lab",
  title: "The laboratory: quickstart to its end",
  seconds: [40, 240],
  async run({ rlpt, table, figure, problem, dry, work, left }) {
    const row = table("`rlpt train configs/quickstart.yaml --backend auto`, 100 steps.", [
      "seed",
      "held-out accuracy",
      "on the CPU",
      "ms a step (median)",
      "generation",
      "update",
      "compiling, s",
      "whole run, s",
      "backend",
    ]);
    for (const seed of dry ? [1] : [1, 2, 3]) {
      if (left() < 20) return problem(`seed ${seed}: no time is left`);
      const folder = join(work, `lab-${seed}`);
      rmSync(folder, { recursive: true, force: true });
      const small = dry
        ? ["--steps", "1", "--backend", "xla", "--set", "data.eval.size=8"]
        : ["--backend", "auto"];
      const args = ["train", "configs/quickstart.yaml", "--seed", String(seed), "--quiet", "--out", folder];
      const { seconds } = await rlpt([...args, ...small]);
      const metrics = readRows(join(folder, "metrics.csv"));
      const evaluations = readRows(join(folder, "eval.csv"));
      const accuracy = Number(evaluations.at(-1)["accuracy"]);
      const { backend } = JSON.parse(readFileSync(join(folder, "provenance.json"), "utf8"));
      // the first steps compile
      const settled = metrics.slice(Math.floor(metrics.length / 5));
      const milliseconds = (name) => 1000 * median(settled.map((each) => Number(each[name])));
      const compiling = metrics.reduce((sum, each) => sum + Number(each["time/compile_s"] || 0), 0);
      row(
        seed,
        `${(100 * accuracy).toFixed(1)}%`,
        `${(100 * cpuAccuracy[seed]).toFixed(1)}%`,
        ...["time/step_s", "time/rollout_s", "time/update_s"].map(milliseconds),
        compiling,
        seconds,
        `${backend.kind}, ${backend.device}`,
      );
      figure(`seed ${seed}`, { accuracy, rewards: metrics.map((each) => Number(each["reward/mean"])) });
      if (dry) continue;
      if (backend.kind !== "xla") problem(`seed ${seed} ran on ${backend.kind}`);
      if (!(accuracy >= cpuAccuracy[seed] - tolerance(cpuAccuracy[seed]))) {
        problem(`seed ${seed}: ${accuracy} held-out, ${cpuAccuracy[seed]} on the CPU`);
      }
    }
  },
};

const repeat = {
  name: "repeat",
  title: "The same seed, the same bytes",
  seconds: [40, 150],
  async run({ rlpt, table, problem, dry, work }) {
    const runs = [];
    const row = table("Four quickstart steps, seed 1, against the first of these runs.", [
      "run",
      "metrics",
      "weights",
    ]);
    const steps = dry ? "1" : "4";
    // what is kept carries the compiler's choices along; without it they are made anew, by the clock
    for (const [name, cache, drop] of [
      ["first", "a", [""]],
      ["with its kept programs", "a", []],
      ["compiled anew, with the kernels that were found fastest", "a", ["programs"]],
      ["all made anew", "b", [""]],
    ]) {
      const folder = join(work, `repeat-${runs.length}`);
      const programs = join(work, `repeat-cache-${cache}`);
      rmSync(folder, { recursive: true, force: true });
      for (const part of drop) rmSync(join(programs, part), { recursive: true, force: true });
      const size = ["--steps", steps, "--set", "data.eval.size=2", "--backend", "xla"];
      const args = ["train", "configs/quickstart.yaml", "--quiet", "--out", folder, ...size];
      await rlpt(args, { env: { RLPT_CACHE: programs } });
      const rows = readRows(join(folder, "metrics.csv")).map((each) =>
        JSON.stringify(Object.entries(each).filter(([column]) => !column.startsWith("time/"))),
      );
      const weights = join(folder, "checkpoints", steps.padStart(6, "0"), "model", "model.safetensors");
      runs.push({ metrics: rows.join("\n"), weights: readFileSync(weights) });
      const same = (equal) => (equal ? "equal" : "**differ**");
      const [first] = runs;
      const last = runs.at(-1);
      row(name, same(last.metrics === first.metrics), same(last.weights.equals(first.weights)));
    }
    const [first, kept, compiled] = runs;
    if (!kept.weights.equals(first.weights)) problem("with the same programs the weights differ");
    if (!compiled.weights.equals(first.weights)) problem("with programs compiled anew the weights differ");
  },
};

/** Largest gaps to the CPU that float32 explains; of tf32 and bf16 the gaps are reported. */
const f32Bounds = { loss: 1e-4, norm: 1e-3, logprobLargest: 1e-2, gradient: 1e-3 };

const parity = {
  name: "parity",
  title: "The same numbers as on the CPU",
  seconds: [60, 240],
  async run({ compute, table, problem, figure, dry, work }) {
    const random = join(work, dry ? "random-2" : "random-4");
    if (!existsSync(join(random, "model.safetensors"))) {
      await compute("writeRandomModel", random, dry ? { layers: 2, vocabulary: 2048 } : { layers: 4 });
    }
    const row = table(
      "Against our WebAssembly kernels in float32: two steps with AdamW, and greedy completions.",
      [
        "model",
        "precision",
        "loss",
        "gradient norm",
        "gradients (L2)",
        "worst weight",
        "logprob, mean",
        "logprob, largest",
        "greedy tokens",
      ],
    );
    const lab = ["3+8*5-9=", "1+2=", "7*6+2-5=", "9-4+4*3-1="];
    const models = [
      { name: "lab-small", model: "models/lab-small", rows: 32, length: 48, prompts: lab, newTokens: 48 },
      {
        name: `SmolLM2's shape, ${dry ? 2 : 4} layers`,
        model: random,
        rows: 2,
        length: 64,
        prompts: [],
        newTokens: 32,
      },
    ];
    for (const { name, ...task } of models) {
      const values = async (kind, precision) => {
        const out = join(work, `parity-${kind}-${precision}`);
        await compute("parityValues", { ...task, steps: 2, out, backend: { kind, precision } });
        return out;
      };
      const reference = await values("wasm", "f32");
      for (const precision of ["f32", "tf32", "bf16"]) {
        try {
          const gap = await compute("parityGap", await values("xla", precision), reference);
          const { worstGradient, equalTokens, tokens } = gap;
          const worst = `${worstGradient.name.split(" ").at(-1)} ${worstGradient.gap.toExponential(1)}`;
          const text = (value) => (value ?? Number.NaN).toExponential(1);
          const { loss, norm, gradient, logprobMean, logprobLargest } = gap;
          row(
            name,
            precision,
            ...[loss, norm, gradient].map(text),
            worst,
            text(logprobMean),
            text(logprobLargest),
            `${equalTokens} of ${tokens}`,
          );
          figure(`${name} ${precision}`, gap);
          const over = Object.entries(f32Bounds).filter(([key, bound]) => !(gap[key] <= bound));
          if (precision === "f32" && over.length > 0) {
            problem(
              `${name}, f32: ${over.map(([key, bound]) => `${key} ${gap[key]} above ${bound}`).join(", ")}`,
            );
          } else if (!Number.isFinite(gap.loss) || !Number.isFinite(gap.gradient)) {
            problem(`${name}, ${precision}: not finite`);
          }
        } catch (error) {
          problem(`${name}, ${precision}: ${error.message}`);
        }
      }
    }
  },
};

const devices = {
  name: "devices",
  title: "Several cards",
  seconds: [40, 180],
  async run({ rlpt, table, machine, work, problem, dry, figure }) {
    // without cards, two virtual devices of the CPU
    const count = dry ? 2 : machine.gpus.length;
    if (count < 2) return `there ${count === 1 ? "is one card" : "is no card"}`;
    const steps = dry ? 1 : 12;
    const row = table("Quickstart steps, the batch cut between cards.", [
      "cards",
      "ms a step",
      "mean rewards",
    ]);
    const rewards = [];
    for (const cards of [1, count]) {
      const folder = join(work, `cards-${cards}`);
      rmSync(folder, { recursive: true, force: true });
      const size = ["--steps", String(steps), "--set", "data.eval.size=2", "--backend", "xla"];
      const args = ["train", "configs/quickstart.yaml", "--quiet", "--out", folder, ...size];
      await rlpt([...args, "--set", `backend.devices=${cards}`], { cards: "all" });
      const metrics = readRows(join(folder, "metrics.csv"));
      rewards.push(metrics.map((each) => Number(each["reward/mean"])));
      const settled = metrics.slice(Math.floor(steps / 3)).map((each) => Number(each["time/step_s"]));
      row(cards, 1000 * median(settled), rewards.at(-1).slice(0, 4).join(", "));
    }
    figure("rewards", rewards);
    // rounding differs, so a token that was nearly drawn may be drawn: later steps may part
    if (rewards[0][0] !== rewards[1][0])
      problem("the first step's rewards differ between one device and several");
  },
};

const bench = {
  name: "bench",
  title: "`rlpt bench`",
  seconds: [40, 180],
  async run({ rlpt, table, dry, figure }) {
    const shapes = dry ? "lab" : "lab,small,medium";
    const { stdout } = await rlpt([
      "bench",
      "--engines",
      "xla",
      "--shapes",
      shapes,
      "--json",
      ...(dry ? ["--quick"] : []),
    ]);
    const { results } = JSON.parse(stdout);
    figure("results", results);
    const row = table("Medians after a warm-up.", ["shape", "pass, ms", "GFLOP/s", "generated/s", "on"]);
    for (const result of results) {
      if ("reason" in result) throw new Error(result.reason);
      for (const { shape, pass, generation } of result.measurements) {
        row(shape, 1000 * pass.seconds, pass.gflops, Math.round(generation.tokensPerSecond), result.device);
      }
    }
  },
};

export const parts = [doctor, laboratory, parity, smollm2, peers, bench, compilerFlags, repeat, devices];
