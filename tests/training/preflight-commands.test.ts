/** Every command looks at a run's files before it begins, and config and files are said to be wrong together. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { command } from "../helpers/command.ts";
import { runTraining, tinyModel, tinyStages, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const good = "question,answer\n1+1=,2\n1+2=,3\n2+2=,4\n3+2=,5\n";
const text = `seed: 1
steps: 2
model: ${tinyModel}
data:
  train: { path: train.csv, prompt: "{question}", answer: "{answer}", chat: false }
  eval: { path: eval.csv, prompt: "{question}", answer: "{answer}", chat: false }
rollout: { prompts_per_step: 2, group_size: 2, max_new_tokens: 4 }
rewards: [{ kind: exact, extract: whole }]
algorithm: { kind: grpo }
optimizer: { lr: 0.01 }
eval: { every: 0 }
run: { checkpoint_every: 1, keep_last: 9 }
`;
const config = space.write("c.yaml", text);
const runDir = space.path("run");

beforeAll(async () => {
  space.write("train.csv", good);
  space.write("eval.csv", good.replace("2+2", "0+4"));
  await runTraining(config, { runDir });
});

describe("a row that cannot be read, by its line, with exit status 2", () => {
  it("rlpt eval looks at the data that it evaluates on, and no more", async () => {
    space.write("eval.csv", "question,answer\n1+1=,2\nwords,3\n");
    for (const target of [config, runDir]) {
      const done = await command("eval", target, "--backend", "wasm");
      expect([done.status, done.err]).toEqual([
        2,
        expect.stringMatching(/eval\.csv:3 {2}data\.eval: this row cannot be encoded: .*words/),
      ]);
    }
    space.write("eval.csv", good.replace("2+2", "0+4"));
    space.write("train.csv", "question,answer\nwords,3\n");
    expect((await command("eval", runDir, "--backend", "wasm")).status).toBe(0);
  });

  it("rlpt replay, select-data and plan --device look at what was trained on", async () => {
    space.write("train.csv", "question,answer\n1+1=,\n1+2=,3\n");
    const expected = [
      2,
      expect.stringMatching(/train\.csv:2 {2}data\.train: in this row, its answer is empty/),
    ];
    for (const args of [
      ["replay", runDir, "--step", "2"],
      ["select-data", runDir],
      ["plan", config, "--device", "h100"],
    ]) {
      const done = await command(...args);
      expect([done.status, done.err], args[0]).toEqual(expected);
    }
    space.write("train.csv", good);
  });
});

describe("rlpt validate", () => {
  it("names the faults of config and files together, each value once", async () => {
    const file = space.write(
      "both.yaml",
      text
        .replace("path: train.csv", "path: absent.csv")
        .replace("path: eval.csv", "path: bad.csv")
        .replace("lr: 0.01", "lr: 0.01, warmup_steps: 9"),
    );
    space.write("bad.csv", "question,answer\n1+1=,2\nwords,3\n");
    const done = await command("validate", file);
    expect(done.status).toBe(2);
    expect(
      done.out
        .trim()
        .split("\n")
        .map((line) => line.replace(/^.*\/(\S+ {2}\S+).*$/, "$1")),
    ).toEqual([
      "both.yaml:15  data.train.path",
      "both.yaml:20  optimizer.warmup_steps",
      "bad.csv:3  data.eval:",
    ]);
    const trained = await command("train", file);
    expect([trained.status, trained.err.trim()]).toEqual([2, done.out.trim()]);
  });

  it.each([
    [
      "tokens/completion_maximum",
      "no column of metrics.csv has that name; did you mean tokens/completion_max?",
    ],
    ["sft/loss", "GRPO does not measure it"],
    ["step", "it counts the run, and measures nothing"],
    ["reward/part/absent", "no reward part is called absent; there are short, exact"],
  ])("finds a stage that ends by %s", async (metric, reason) => {
    const file = space.write(
      "until.yaml",
      tinyStages.replace("metric: tokens/completion_max", `metric: ${metric}`),
    );
    const { status, out } = await command("validate", file);
    expect([status, out]).toEqual([
      2,
      expect.stringContaining(`stages.1.until.metric = "${metric}": ${reason}`),
    ]);
    expect(out).toMatch(/until\.yaml:\d\d /);
  });

  it("lets a stage end by what it has", async () => {
    for (const metric of [
      "tokens/completion_max",
      "reward/part/short",
      "group/equal_rewards",
      "optim/grad_norm",
    ]) {
      const file = space.write(
        "until.yaml",
        tinyStages.replace("metric: tokens/completion_max", `metric: ${metric}`),
      );
      const { status, out } = await command("validate", file);
      expect([status, out], metric).toEqual([0, `${file}: OK\n`]);
    }
  });
});
