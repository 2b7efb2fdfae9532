/** Parts on SmolLM2's shape: `rlpt bench-peers`, our side alone and beside PyTorch. */
import { existsSync } from "node:fs";
import { join } from "node:path";

const GiB = 2 ** 30;

/** The real weights where they were given, else the shape with random ones, written once. */
async function modelFolder({ weights, compute, work, dry, note }) {
  if (weights !== undefined) return weights;
  const folder = join(work, dry ? "random-2" : "random-30");
  if (!existsSync(join(folder, "model.safetensors"))) {
    await compute("writeRandomModel", folder, dry ? { layers: 2, vocabulary: 2048 } : {});
  }
  note(dry ? "Two layers of SmolLM2's width, random weights." : "SmolLM2-135M's shape with random weights.");
  return folder;
}

function spread({ median, least, most, count }) {
  const text = (seconds) =>
    seconds < 1 ? `${(1000 * seconds).toPrecision(3)} ms` : `${seconds.toPrecision(3)} s`;
  return count === 1 ? text(median) : `${text(median)} (${text(least)} to ${text(most)}, ${count})`;
}

function memory(side) {
  const bytes = side.deviceBytes ?? null;
  return bytes === null
    ? `${(side.peakBytes / GiB).toFixed(2)} GiB of the host`
    : `${(bytes / GiB).toFixed(2)} GiB`;
}

async function benchPeers({ rlpt, dry }, { cases, precision, model, extra = [], env }) {
  const args = [
    "bench-peers",
    "--json",
    "--backend",
    "xla",
    "--smollm2",
    model,
    "--cases",
    cases,
    "--precision",
    precision,
  ];
  const runs = dry ? ["--runs", "1"] : [];
  const { stdout } = await rlpt(
    [...args, "--rounds", "1", ...runs, ...extra],
    env === undefined ? {} : { env },
  );
  return JSON.parse(stdout).summaries;
}

const steps = ["step-lora", "step-full"];
const large = ["step-lora-large", "step-full-large", "generation-large"];
/** What people train in first: time may run out. */
const precisions = (dry) => (dry ? ["bf16", "f32"] : ["bf16", "f32", "tf32"]);

export const smollm2 = {
  name: "smollm2",
  title: "SmolLM2's shape",
  seconds: [120, 540],
  async run(context) {
    const { table, problem, figure, dry, left } = context;
    const model = await modelFolder(context);
    const row = table(
      "Steps and generation; tokens/s of generation count new tokens, of the update all tokens of the rows.",
      [
        "case",
        "precision",
        "whole",
        "generation",
        "tokens/s",
        "update",
        "tokens/s",
        "share of peak",
        "memory",
        "compiling, s",
        "to the end of the first, s",
      ],
    );
    const profile = table("Where the time of a step goes (every program waited for).", [
      "case",
      "precision",
      "program",
      "shapes",
      "calls",
      "ms",
      "compiling, ms",
    ]);
    // one process a case: the memory of one is not another's, and one that fails leaves the rest
    for (const precision of precisions(dry)) {
      for (const name of dry ? ["step-lora"] : [...steps, ...large]) {
        if (left() < 15) return problem(`${name}, ${precision}: no time is left`);
        try {
          const [{ own, work }] = await benchPeers(context, {
            cases: name,
            precision,
            model,
            extra: ["--own", "--profile"],
          });
          if ("reason" in own) throw new Error(own.reason);
          const { whole, generation, update } = own.seconds;
          const generating = generation ?? whole;
          row(
            name,
            precision,
            spread(whole),
            spread(generating),
            Math.round(work.newTokens / generating.median),
            update === undefined ? "" : spread(update),
            update === undefined ? "" : Math.round(work.rowTokens / update.median),
            share(own, work, update),
            memory(own),
            own.compileSeconds,
            own.firstSeconds,
          );
          figure(`${name} ${precision}`, { own, work });
          for (const program of (own.profile ?? []).slice(0, 6)) {
            profile(
              name,
              precision,
              program.name,
              program.shapes,
              program.calls,
              program.milliseconds,
              program.compileMilliseconds,
            );
          }
        } catch (error) {
          problem(`${name}, ${precision}: ${error.message}`);
        }
      }
    }
  },
};

/** Of the card's peak at this precision, by the model's own operations; "" where the card is not known. */
function share({ peakFlops }, { updateFlops }, update) {
  if (update === undefined || !peakFlops) return "";
  return `${((100 * updateFlops) / update.median / peakFlops).toFixed(1)}%`;
}

export const peers = {
  name: "peers",
  title: "Beside PyTorch, transformers and TRL on the same card",
  seconds: [120, 540],
  async run(context) {
    const { table, problem, figure, dry, left, python } = context;
    const model = await modelFolder(context);
    const row = table("`rlpt bench-peers`: medians (least to most, runs).", [
      "case",
      "precision",
      "rlpt",
      "other side",
      "times as fast",
      "memory",
      "share",
    ]);
    const all = [...steps, "generation", "pass", "logprobs", "step-lab"];
    const cases = dry ? ["pass", "step-lora"] : [...all, ...large];
    for (const precision of dry ? ["f32"] : ["bf16", "f32"]) {
      for (const name of cases) {
        if (left() < 15) return problem(`${name}, ${precision}: no time is left`);
        try {
          const [summary] = await benchPeers(context, {
            cases: name,
            precision,
            model,
            extra: ["--python", python, ...(large.includes(name) ? ["--runs", "1"] : [])],
          });
          const { own, peer, faster, memory: part } = summary;
          figure(`${name} ${precision}`, summary);
          if ("reason" in own) throw new Error(`rlpt: ${own.reason}`);
          const other = peer === null || "reason" in peer;
          const sides = [
            spread(own.seconds.whole),
            other ? `left out: ${peer?.reason}` : `${peer.engine} ${spread(peer.seconds.whole)}`,
            other ? "" : faster,
            other ? memory(own) : `${memory(own)} / ${memory(peer)}`,
            other ? "" : part,
          ];
          row(name, precision, ...sides);
          for (const step of ["generation", "update"]) {
            const mine = own.seconds[step];
            const theirs = other ? undefined : peer.seconds[step];
            if (mine !== undefined && theirs !== undefined) {
              row(`- ${step}`, "", spread(mine), spread(theirs), theirs.median / mine.median, "", "");
            }
          }
        } catch (error) {
          problem(`${name}, ${precision}: ${error.message}`);
        }
      }
    }
  },
};

/** Compared by what a step takes; a compiler that does not know one of them ends the process, which is a row too. */
const candidates = [
  ["as it comes", ""],
  ["no command buffers", "--xla_gpu_enable_command_buffer="],
  ["loops in command buffers", "--xla_gpu_enable_command_buffer=+WHILE,+CONDITIONAL"],
  ["no Triton products", "--xla_gpu_enable_triton_gemm=false"],
  ["no autotuning", "--xla_gpu_autotune_level=0"],
  ["neither timed nor in any order", "--xla_gpu_deterministic_ops=true"],
];

export const compilerFlags = {
  name: "flags",
  title: "Settings of the compiler",
  seconds: [90, 420],
  async run(context) {
    const { table, dry, left, note } = context;
    const model = await modelFolder(context);
    const precision = dry ? "f32" : "bf16";
    const row = table(`SmolLM2's LoRA step, ${precision}.`, [
      "setting",
      "XLA_FLAGS",
      "generation",
      "update",
      "compiling, s",
    ]);
    for (const [name, text] of dry ? candidates.slice(0, 1) : candidates) {
      if (left() < 15) return note(`${name}: no time is left`);
      try {
        const task = {
          cases: "step-lora",
          precision,
          model,
          extra: ["--own"],
          env: text === "" ? {} : { XLA_FLAGS: text },
        };
        const [{ own }] = await benchPeers(context, task);
        if ("reason" in own) throw new Error(own.reason);
        row(name, text, spread(own.seconds.generation), spread(own.seconds.update), own.compileSeconds);
      } catch (error) {
        row(name, text, error.message, "", "");
      }
    }
  },
};
