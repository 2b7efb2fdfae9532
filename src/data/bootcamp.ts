/**
 * Cases of bootcamps: verifiable tasks whose cases a generator draws (InternBootcamp, arXiv:2508.08636). Case `index` is a function of
 * the seed and of index alone. A case belongs to training or to evaluation by its content, so the two never share one.
 */
import type { Bootcamp } from "../bootcamps/define.ts";
import { bootcampOf } from "../bootcamps/kinds.ts";
import { DataError } from "../lib/errors.ts";
import { createRng, type Rng } from "../lib/rng.ts";
import type { Prompt, PromptSource } from "../types.ts";
import { type BootcampOptions, bootcampOptions } from "./bootcamp-options.ts";
import { defineDataset } from "./define.ts";

type Split = "train" | "eval";
type Task = BootcampOptions["tasks"][number];

const ASK =
  "\nThink step by step: the thought between <think> and </think>, then the answer between [answer] and [/answer].";
/** One case in so many is kept for evaluation. */
const EVAL_SHARE = 5;
/** Draws after which a part is taken to have no case. */
const PATIENCE = 10_000;

const splitOf = (bootcamp: Bootcamp, identity: unknown): Split =>
  createRng(0).fork("split", bootcamp.name, JSON.stringify(identity)).integer(EVAL_SHARE, 0) === 0
    ? "eval"
    : "train";

/** @throws DataError where the difficulty leaves (nearly) no case for the split */
function drawCase(bootcamp: Bootcamp, { difficulty }: Task, split: Split, rng: Rng): unknown {
  for (let attempt = 0; attempt < PATIENCE; attempt++) {
    const identity = bootcamp.draw(rng.fork(attempt), difficulty);
    if (splitOf(bootcamp, identity) === split) return identity;
  }
  throw new DataError(
    `bootcamp ${bootcamp.name}: ${PATIENCE} cases in a row were all of the other part (training or evaluation); give it a difficulty with more different cases.`,
  );
}

function taskAt({ tasks }: BootcampOptions, rng: Rng): Task {
  const total = tasks.reduce((sum, { weight }) => sum + weight, 0);
  let left = rng.uniform(0) * total;
  for (const task of tasks) {
    left -= task.weight;
    if (left < 0) return task;
  }
  return tasks.at(-1)!;
}

function promptOf(
  id: string,
  bootcamp: Bootcamp,
  identity: unknown,
  { wording, ask }: BootcampOptions,
): Prompt {
  const asked = ask ?? (wording === "brief" ? "" : ASK);
  const text = (wording === "brief" ? bootcamp.brief(identity) : bootcamp.prompt(identity)) + asked;
  const { steps, answer } = bootcamp.solve(identity);
  const opened = /<think>\s*$/.test(asked);
  const thought = steps.map((line) => `${line}\n`).join("");
  return {
    id,
    input:
      wording === "chat"
        ? { kind: "chat", messages: [{ role: "user", content: text }] }
        : { kind: "text", text },
    answer,
    target: `${opened ? "" : "<think>\n"}${thought}</think>[answer]${answer}[/answer]`,
    slices: { task: bootcamp.name },
    fields: { data_source: `bootcamp/${bootcamp.name}`, task: bootcamp.name, identity },
  };
}

/** @param runSeed moves an endless training stream with the run's seed; a sized one is the same for all runs */
export function bootcampSource(options: BootcampOptions, split: Split, runSeed: number): PromptSource {
  const size = options.size ?? (split === "eval" ? 500 : null);
  const stream = createRng(options.seed).fork("bootcamp", split, size === null ? runSeed : -1);
  // a task without a case is found now, not at step 300
  for (const task of options.tasks)
    drawCase(bootcampOf(task.name)!, task, split, stream.fork("first", task.name));
  return {
    name: `bootcamp (${split})`,
    size,
    at(index) {
      const rng = stream.fork(index);
      const task = taskAt(options, rng.fork("task"));
      const bootcamp = bootcampOf(task.name)!;
      const identity = drawCase(bootcamp, task, split, rng.fork("case"));
      return promptOf(`bootcamp-${split}-${index}`, bootcamp, identity, options);
    },
  };
}

export const bootcamp = defineDataset({
  kind: "bootcamp",
  options: bootcampOptions,
  pool: ({ size }) => ({ key: "size", size }),
  slices: () => ["task"],
  files: async () => [],
  open: (options, { split, seed }) => bootcampSource(options, split, seed),
});
