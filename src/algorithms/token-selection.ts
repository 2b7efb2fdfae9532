/** Tokens that a policy loss treats apart, chosen among all tokens of an update, so that micro-batches do not matter. */
import type { Rng } from "../lib/rng.ts";
import { type PolicyLossOptions, policyLossOf } from "../losses/policy-kinds.ts";
import { advantageOf, carriesLoss, type PolicySample } from "./passes.ts";

export interface Selection {
  samples: PolicySample[];
  /** Selected tokens / tokens that carry loss; null where the loss selects none. */
  share: number | null;
}

/**
 * Marks the tokens that the loss selects; those that it drops lose their advantage.
 * @param rng of the update
 */
export function selectTokens(
  samples: readonly PolicySample[],
  options: PolicyLossOptions,
  rng: Rng,
): Selection {
  const { select } = policyLossOf(options);
  if (select === undefined) return { samples: [...samples], share: null };
  const places = samples.flatMap((sample, i) =>
    [...sample.completion.tokens.keys()]
      .filter((t) => sample.weight > 0 && carriesLoss(sample, t))
      .map((t) => ({ i, t })),
  );
  const marks = select.of(
    {
      advantages: places.map(({ i, t }) => advantageOf(samples[i]!, t)),
      logprobs: places.map(({ i, t }) => samples[i]!.completion.logprobs[t]!),
    },
    options,
    (token) => rng.uniform(token),
  );
  const selected = samples.map(({ completion }) => new Uint8Array(completion.tokens.length));
  for (const [k, { i, t }] of places.entries()) selected[i]![t] = marks[k]!;
  const count = marks.reduce((sum, mark) => sum + mark, 0);
  return {
    samples: samples.map((sample, i) => ({
      ...sample,
      selected: selected[i]!,
      advantage: select.drop
        ? Float64Array.from(selected[i]!, (mark, t) => (mark === 1 ? 0 : advantageOf(sample, t)))
        : sample.advantage,
    })),
    share: places.length === 0 ? 0 : count / places.length,
  };
}
