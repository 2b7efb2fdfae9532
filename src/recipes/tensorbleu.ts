/** TensorBLEU: BLEU on token ids, one value a completion, as a reward. */
import type { Method } from "./method.ts";

const STAND_IN = "STAND-IN of rlpt: the paper trains nothing";

export const tensorBleu: Method = {
  name: "tensorbleu",
  title: "TensorBLEU: Vectorized GPU-based BLEU Score Implementation for Per-Sentence In-Training Evaluation",
  summary: "GRPO on the BLEU of a completion's tokens against the row's target, without decoding",
  references: [
    "arXiv:2510.05485 (October 2025)",
    "code: github.com/RxAI-dev/rxlm, python/src/rxlm/metrics/tensorbleu.py",
  ],
  equations: [
    "c the completion's ids, r the target's, end tokens left out of both; N = 4 (reward token-bleu)",
    "  den_n = n-grams of c,  num_n = sum over them of min(count in c, count in r)",
    "  p_n by smoothing: none num / den; exp the same, 1e-12 for 0; floor (num or 0.1) / (den or 1); add-k (num + 1) / (den + 1)",
    "  BP = 1 if |c| >= |r|, else exp(1 - |r| / |c|); 0 for an empty c",
    "  BLEU = BP exp(sum_n ln(p_n + 1e-12) / N)",
    "The paper's own part is speed: all n-grams of a batch are counted at once on a GPU. Here a map counts them, to the same values.",
    "Measured beside another reward: weight 0. The value over a whole corpus (sums before the quotient) is not here.",
    "Training by it, GRPO with TRL's settings, is a STAND-IN: the paper has no run of its own.",
  ],
  settings: [
    {
      key: "rewards",
      value: [{ kind: "token-bleu", max_n: 4, smoothing: "floor", epsilon: 0.1 }],
      source:
        "paper and code: N = 4, epsilon 0.1; floor in the place of the code's default exp, which is near 0 for short completions",
    },
    { key: "rollout.group_size", value: 8, source: STAND_IN },
    { key: "rollout.temperature", value: 1, source: STAND_IN },
    { key: "algorithm.kind", value: "grpo", source: STAND_IN },
    { key: "algorithm.aggregation", value: "token", source: STAND_IN },
    { key: "optimizer.lr", value: 1e-6, source: STAND_IN },
    { key: "optimizer.clip_norm", value: 1, source: STAND_IN },
  ],
  pitfalls: [
    "Ids depend on the tokenizer: a signal for training, not the BLEU that papers publish.",
    "none and exp fall to nearly 0 where one n has no match: completions shorter than four tokens always. floor, add-k, or a smaller max_n.",
    "Another wording of the right answer scores low: watch accuracy beside reward/part/token-bleu.",
    "The brevity penalty is one-sided: rambling on is punished by precision alone. Watch tokens/completion_mean.",
  ],
};
