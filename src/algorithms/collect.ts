/**
 * The batch of a step: prompts drawn, a group of completions for each, scored and shaped; groups without a difference in
 * reward drawn anew where that is asked for. Whoever decides by a step's groups what comes next is told of them at its end.
 */
import { mean } from "../lib/math.ts";
import { createRng } from "../lib/rng.ts";
import type { Shaped } from "../rewards/shaping/kind.ts";
import { openShaping, type Shaping } from "../rewards/shaping.ts";
import { openSampler, samplerColumns } from "../samplers/options.ts";
import type { DrawnPrompt, PromptSampler } from "../samplers/sampler.ts";
import type { Group, GroupOutcome, PeriodicCallback, ScoredCompletion } from "../types.ts";
import { isScored, precisionGap, sampleGroups, scoreGroups, shapeable } from "./rollout.ts";
import type { Stage } from "./stage.ts";

/** A group that was drawn in a step, in the order of the draws. */
interface DrawnGroup {
  drawn: DrawnPrompt;
  group: Group;
  scored: ScoredCompletion[];
}

export interface Batch {
  groups: Group[]; // [P]
  scored: ScoredCompletion[][]; // [P][G]
  shaped: Shaped; // [P][G]
  /** Prompts that the stage has drawn up to now. */
  drawnSoFar: number;
  /** Of the sampler and of redrawing, by column. */
  metrics: Record<string, number>;
  precisionGap: Awaited<ReturnType<typeof precisionGap>>;
  /** Seconds; `began` and `rewarded` on the stage's clock. */
  times: { began: number; sampling: number; rewarding: number; rewarded: number };
}

export interface Collector {
  /** Columns of Batch.metrics. */
  readonly columns: readonly string[];
  readonly shaping: Shaping;
  collect(step: number): Promise<Batch>;
  /**
   * The step's update is made: samplers and shapings look at what became of the groups.
   * @param advantages of the batch's completions, [P][G]
   */
  finish(step: number, advantages: readonly (readonly number[])[]): Promise<void>;
}

/**
 * @param microBatchRows rows of a pass that measures
 * @param redraw most prompts of a step as a multiple of P, where groups without a difference are drawn anew; else null
 */
export function openCollector(
  stage: Stage,
  { microBatchRows, redraw }: { microBatchRows: number | undefined; redraw: number | null },
): Collector {
  const { settings, state, services } = stage;
  const { rollout, seed, name } = settings;
  const sampler = openSampler(settings.sampler, stage.train, {
    rng: createRng(seed).fork(name),
    cells: state.slots,
    steps: settings.steps,
  });
  const shaping = openShaping(settings.shaping, state.slots);
  const callbacks: readonly PeriodicCallback[] = sampler.callbacks;
  let present: { batch: readonly DrawnGroup[]; all: readonly DrawnGroup[] } = { batch: [], all: [] };

  return {
    columns: samplerColumns(settings.sampler),
    shaping,
    async collect(step) {
      const { clock } = services;
      const began = clock();
      let sampling = 0;
      const draw = async (count: number): Promise<DrawnGroup[]> => {
        const from = clock();
        const drawn = sampler.draw(step, count);
        const groups = await sampleGroups(
          stage,
          drawn.map(({ prompt }) => prompt),
          step,
        );
        sampling += clock() - from;
        const scored = await scoreGroups(stage, groups);
        return drawn.map((one, p) => ({ drawn: one, group: groups[p]!, scored: scored[p]! }));
      };
      const prompts = rollout.prompts_per_step;
      const { batch, all, metrics } =
        redraw === null
          ? await drawOnce(prompts, draw)
          : await drawUntilDifferent(prompts, Math.floor(redraw * prompts), sampler, stage.train.size, draw);
      const groups = batch.map(({ group }) => group);
      const scored = batch.map((one) => one.scored);
      const measured = clock();
      const gap = await precisionGap(stage, groups, step, microBatchRows);
      sampling += clock() - measured;
      present = { batch, all };
      writePrompts(stage, step, all);
      const shaped = shaping.shape(shapeable(scored));
      const rewarded = clock();
      return {
        groups,
        scored,
        shaped,
        drawnSoFar: sampler.drawn,
        metrics: { ...metrics, ...sampler.metrics() },
        precisionGap: gap,
        times: { began, sampling, rewarding: rewarded - began - sampling, rewarded },
      };
    },
    async finish(step, advantages) {
      const used = new Map(present.batch.map((one, p) => [one, advantages[p]!]));
      const outcomes = present.all.map((one) => outcomeOf(one, used.get(one) ?? null));
      for (const { every, call } of callbacks) if ((step + 1) % every === 0) call(step, outcomes);
      for (const monitor of shaping.monitors) {
        if ((step + 1) % monitor.every !== 0) continue;
        const prompts = Math.min(monitor.prompts, stage.train.size ?? monitor.prompts);
        const { mode_samples: _, ...unforced } = { ...rollout, group_size: monitor.samples };
        const groups = await sampleGroups(
          { ...stage, settings: { ...settings, rollout: unforced } },
          Array.from({ length: prompts }, (_, i) => stage.train.at(i)),
          monitor.name,
          step,
        );
        monitor.observe(shapeable(await scoreGroups(stage, groups)));
      }
    },
  };
}

type Draw = (count: number) => Promise<DrawnGroup[]>;

interface DrawnBatch {
  batch: DrawnGroup[];
  all: DrawnGroup[];
  metrics: Record<string, number>;
}

async function drawOnce(prompts: number, draw: Draw): Promise<DrawnBatch> {
  const all = await draw(prompts);
  return { batch: all, all, metrics: {} };
}

/**
 * Dynamic sampling, DAPO (arXiv:2503.14476, section 3.2): groups whose rewards are all equal have no gradient and are drawn
 * anew. What is missing is drawn, no more, so that no completion is sampled in vain; a batch is never short: at the bound it
 * is filled with groups without a difference, the first drawn first.
 * @param most prompts that the step may draw
 * @param pool prompts that there are; null: no end. No prompt is drawn twice in a step, since its draws would be the same
 */
async function drawUntilDifferent(
  prompts: number,
  most: number,
  sampler: PromptSampler,
  pool: number | null,
  draw: Draw,
): Promise<DrawnBatch> {
  const all: DrawnGroup[] = [];
  const known = new Set<string>();
  const different: DrawnGroup[] = [];
  const before = sampler.drawn;
  const bound = Math.min(most, pool ?? most);
  while (different.length < prompts && sampler.drawn - before < bound) {
    const missing = Math.min(prompts - different.length, bound - (sampler.drawn - before));
    // an epoch may end inside the step, and begin with a prompt that it has had
    const drawn = (await draw(missing)).filter(({ group }) => !known.has(group.prompt.id));
    for (const one of drawn) {
      known.add(one.group.prompt.id);
      all.push(one);
      if (hasDifference(one)) different.push(one);
    }
  }
  const dead = all.filter((one) => !hasDifference(one));
  const filled = dead.slice(0, prompts - different.length);
  const chosen = new Set([...different, ...filled]);
  return {
    batch: all.filter((one) => chosen.has(one)),
    all,
    metrics: {
      "group/drawn": all.length,
      "group/dropped": all.length - chosen.size,
      "group/filled": filled.length,
    },
  };
}

/** Do the rewards of its scored completions differ? */
export function hasDifference({ scored }: { scored: readonly ScoredCompletion[] }): boolean {
  const valid = scored.filter(isScored);
  return valid.some(({ reward }) => reward !== valid[0]!.reward);
}

/** @param advantages null: it is in no update */
function outcomeOf({ group, scored }: DrawnGroup, advantages: readonly number[] | null): GroupOutcome {
  return {
    promptId: group.prompt.id,
    reward: mean(scored.map(({ reward }) => reward)),
    accuracy: scored.filter(({ correct }) => correct).length / scored.length,
    used: advantages !== null,
    advantages: advantages ?? [],
  };
}

/** Every group that was drawn, in the update or not, in prompts.csv. */
function writePrompts({ settings, services }: Stage, step: number, all: readonly DrawnGroup[]): void {
  services.logs.prompts(
    all.map(({ drawn: { prompt, epoch }, scored }) => {
      const share = (test: (completion: ScoredCompletion) => boolean) =>
        scored.filter(test).length / scored.length;
      return {
        step: settings.offset + step + 1,
        stage: settings.name,
        epoch,
        prompt_id: prompt.id,
        completions: scored.length,
        reward_mean: mean(scored.map(({ reward }) => reward)),
        accuracy: share(({ correct }) => correct),
        unparsed: share(({ status }) => status === "unparsed"),
      };
    }),
  );
}
