import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { checkpointBytes, rowsWithoutTime, runTraining, tinyModel, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const config = (algorithm: string, tokens: number) => `
seed: 3
steps: 2
model: ${tinyModel}
data: { train: { kind: chain, levels: [1], prompt: ellipsis } }
rollout: { prompts_per_step: 4, group_size: 6, max_new_tokens: ${tokens}, mode_samples: { direct: 1, thinking: 1 } }
rewards:
  - { kind: tag-format, tags: [], strings: ["</think>"] }
algorithm: ${algorithm}
optimizer: { lr: 0.01, weight_decay: 0 }
run: { checkpoint_every: 1, keep_last: 9 }
`;

/** Trains two steps. @returns did the second step change the weights; and the metrics */
async function train(name: string, algorithm: string, tokens: number) {
  const runDir = space.path(name);
  await runTraining(space.write(`${name}.yaml`, config(algorithm, tokens)), { runDir });
  const weights = (step: string) =>
    checkpointBytes(join(runDir, "checkpoints", step))[join("model", "model.safetensors")];
  return {
    moved: weights("000001") !== weights("000002"),
    rows: rowsWithoutTime(join(runDir, "metrics.csv")),
  };
}

describe.each(["grpo", "ppo"])("mask_decision in %s", (kind) => {
  const plainly = `kind: ${kind}, kl: { coef: 0 }`;
  const masked = (divisor: string) => `{ ${plainly}, mask_decision: { enabled: true, divisor: ${divisor} } }`;

  it("takes the only token of a completion out of the policy's loss", async () => {
    const plain = await train(`${kind} plain`, `{ ${plainly} }`, 1);
    expect(Number(plain.rows[0]!["reward/std"])).toBeGreaterThan(0);
    expect(plain.moved).toBe(true);
    for (const divisor of ["keep", "drop"]) {
      const { moved, rows } = await train(`${kind} ${divisor}`, masked(divisor), 1);
      expect(rows[0]!["reward/mean"]).toBe(plain.rows[0]!["reward/mean"]);
      expect(moved).toBe(false);
    }
  });

  it("leaves the later tokens in it, weighed by the divisor", async () => {
    const keep = await train(`${kind} longer keep`, masked("keep"), 3);
    const drop = await train(`${kind} longer drop`, masked("drop"), 3);
    expect(keep.moved && drop.moved).toBe(true);
    const norm = ({ rows }: typeof keep) => Number(rows[0]!["optim/grad_norm"]);
    // one token of each of the 24 completions carries no loss: a mean over the others is that much larger
    const total = Number(keep.rows[0]!["tokens/total"]);
    expect(total).toBeGreaterThan(24);
    expect(norm(drop) / norm(keep)).toBeCloseTo(total / (total - 24), 4);
  });
});
