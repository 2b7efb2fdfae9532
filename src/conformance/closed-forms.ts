/**
 * The policy losses once more, token by token in float64, as their papers write them: what src/losses must give on tensors.
 * A ratio that stands behind a stop-gradient is that of `frozen`, so that differences of these values are the gradients.
 */
import type { ClipOptions } from "../losses/options.ts";
import type { PolicyLossOptions } from "../losses/policy-kinds.ts";
import { spans, type TokenNumbers } from "./batch.ts";

type Of<Kind> = Extract<PolicyLossOptions, { kind: Kind }>;

/** One token. */
interface Token {
  ratio: number;
  /** The ratio behind a stop-gradient. */
  held: number;
  logprob: number;
  /** Probabilities before and, behind a stop-gradient, now. */
  before: number;
  now: number;
  advantage: number;
  selected: boolean;
}

const product = (values: readonly number[]) => values.reduce((total, value) => total * value, 1);
const clamp = (value: number, low: number, high: number) => Math.min(Math.max(value, low), high);

function surrogate(ratio: number, advantage: number, low: number, high: number): number {
  return -Math.min(ratio * advantage, clamp(ratio, 1 - low, 1 + high) * advantage);
}

function clippedToken({ ratio, advantage }: Token, { low, high, dual }: ClipOptions): number {
  const loss = surrogate(ratio, advantage, low, high);
  return dual !== null && advantage < 0 ? Math.min(loss, -dual * advantage) : loss;
}

function dppoToken(token: Token, { divergence, low, high, max_ratio }: Of<"dppo">): number {
  const { before: p, now: q, advantage, held, logprob } = token;
  const moved =
    divergence === "tv"
      ? Math.abs(q - p)
      : p * Math.log(p / q) + (1 - p) * Math.log((1 - p + 1e-8) / (1 - q + 1e-8));
  const usual = divergence === "tv" ? 0.15 : 0.05;
  const [down, up] = [low ?? usual, high ?? low ?? usual];
  const stops = advantage > 0 ? q > p && moved > up : q < p && moved > down;
  return stops ? 0 : -Math.min(held, max_ratio) * advantage * logprob;
}

/** Losses of a completion's tokens. */
function completionLosses(tokens: readonly Token[], loss: PolicyLossOptions, clip: ClipOptions): number[] {
  const root = (values: readonly number[]) => product(values) ** (1 / values.length);
  switch (loss.kind) {
    case "clipped":
      return tokens.map((token) => clippedToken(token, clip));
    case "clip-cov":
      return tokens.map((token) => (token.selected ? 0 : clippedToken(token, clip)));
    case "gspo": {
      const s = root(tokens.map(({ ratio }) => ratio));
      return tokens.map(({ advantage }) => surrogate(s, advantage, loss.low, loss.high));
    }
    case "gmpo": {
      const s = root(
        tokens.map(({ ratio, advantage }) =>
          advantage > 0
            ? Math.min(ratio, Math.exp(loss.high))
            : advantage < 0
              ? Math.max(ratio, Math.exp(-loss.low))
              : ratio,
        ),
      );
      return tokens.map(({ advantage }) => -s * advantage);
    }
    case "cispo":
      return tokens.map(
        ({ held, advantage, logprob }) => -clamp(held, 1 - loss.low, 1 + loss.high) * advantage * logprob,
      );
    case "sapo":
      return tokens.map(({ ratio, advantage }) => {
        const tau = advantage > 0 ? loss.positive : loss.negative;
        return (-(4 / tau) * advantage) / (1 + Math.exp(-tau * (ratio - 1)));
      });
    case "dppo":
      return tokens.map((token) => dppoToken(token, loss));
    case "kl-cov":
      return tokens.map(
        ({ ratio, advantage, selected }) =>
          -ratio * advantage + (selected ? loss.coef * Math.abs(Math.log(ratio)) : 0),
      );
  }
}

/** sum_k w_k L_k. @param frozen logprobs behind stop-gradients; those of the batch where nothing is moved */
export function closedForm(
  batch: TokenNumbers,
  loss: PolicyLossOptions,
  clip: ClipOptions,
  frozen: readonly number[] = batch.logprobs,
): number {
  let total = 0;
  for (const { from, to } of spans(batch.lengths)) {
    const tokens = Array.from({ length: to - from }, (_, t): Token => {
      const k = from + t;
      return {
        ratio: Math.exp(batch.logprobs[k]! - batch.old[k]!),
        held: Math.exp(frozen[k]! - batch.old[k]!),
        logprob: batch.logprobs[k]!,
        before: Math.exp(batch.old[k]!),
        now: Math.exp(frozen[k]!),
        advantage: batch.advantages[k]!,
        selected: batch.selected[k] === 1,
      };
    });
    for (const [t, value] of completionLosses(tokens, loss, clip).entries())
      total += batch.weights[from + t]! * value;
  }
  return total;
}

/** coef sum_k w_k KL_k, with correction r_k KL_k. */
export function closedKl(
  { logprobs, old, reference, weights }: TokenNumbers,
  {
    coef,
    estimator,
    bias_correction,
  }: { coef: number; estimator: "k1" | "k2" | "k3"; bias_correction: boolean },
): number {
  return logprobs.reduce((total, logprob, k) => {
    const quotient = Math.exp(reference[k]!) / Math.exp(logprob);
    const estimate = {
      k1: -Math.log(quotient),
      k2: Math.log(quotient) ** 2 / 2,
      k3: quotient - 1 - Math.log(quotient),
    };
    const ratio = bias_correction ? Math.exp(logprob - old[k]!) : 1;
    return total + weights[k]! * coef * ratio * estimate[estimator];
  }, 0);
}
