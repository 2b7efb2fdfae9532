/** VLM-R1: GRPO on a vision-language model whose boxes are rewarded by rule. */
import type { Method } from "./method.ts";

const SCRIPT = "code, run_scripts/run_grpo_rec.sh";
const TRL = "default of TRL at that time: the script does not set it";

export const vlmR1: Method = {
  name: "vlm-r1",
  title: "VLM-R1: A Stable and Generalizable R1-style Large Vision-Language Model",
  summary: "GRPO for boxes in pictures: the overlap of the written box with the true one, and the layout",
  references: [
    "arXiv:2504.07615 (April 2025); of the paper its tables, as others report them",
    "code: github.com/om-ai-lab/VLM-R1, src/open-r1-multimodal/src/open_r1/grpo_jsonl.py, vlm_modules/qwen_module.py, run_scripts/",
  ],
  equations: [
    "Referring expressions (rec): R = iou + format",
    "  iou = overlap of the first [x1, y1, x2, y2] in the first <answer> block with the gold box; no box: 0",
    "  the model writes pixels of the picture that it was shown: (x, y) times image size / input size comes first (input_size,",
    "  image_size). Overlap works on last pixels, x2 - 1 and y2 - 1: a strip of one pixel counts as none (overlap: inclusive)",
    "  format = 1 for <think>...</think>, then an <answer> with {... [int, int, int, int] ...}, else 0",
    "Open-vocabulary detection (ovd): R = s mAP with s = min(1, gold boxes / written boxes), the part box-map; no KL",
    "  mAP is COCO's average precision over overlaps .5 to .95 in the one picture, all scores 1, labels of the gold list alone",
    "A_i = (R_i - mean_group) / (std_group + 1e-4), ddof 1",
    "loss = mean per completion, then over completions, of -min(ratio A, clip(ratio, 0.8, 1.2) A) + 0.04 k3 (rec)",
  ],
  settings: [
    {
      key: "prompt.template",
      value:
        "{prompt} First think, inside <think> </think>, then give the final answer as JSON, inside <answer> </answer>.",
      source: "paper: what the prompt asks for, in our words",
    },
    {
      key: "rewards",
      value: [
        { kind: "box-iou", name: "iou", overlap: "inclusive", hit: 0.5, correct: true },
        { kind: "box-format", name: "format" },
      ],
      source: "code, vlm_modules/qwen_module.py: both weigh 1; accuracy counts overlaps from 0.5",
    },
    {
      key: "rollout.prompts_per_step",
      value: 16,
      source: `${SCRIPT}: 8 GPUs x 8 completions x 2 accumulated, of 8 completions each`,
    },
    { key: "rollout.group_size", value: 8, source: SCRIPT },
    { key: "rollout.temperature", value: 0.9, source: TRL },
    { key: "rollout.top_k", value: 50, source: "default of transformers' generation" },
    { key: "rollout.max_new_tokens", value: 2048, source: SCRIPT },
    { key: "algorithm.kind", value: "grpo", source: "paper" },
    { key: "algorithm.advantage.baseline", value: "group_mean", source: TRL },
    { key: "algorithm.advantage.scale", value: "group_std", source: TRL },
    { key: "algorithm.advantage.std", value: "sample", source: TRL },
    { key: "algorithm.advantage.epsilon", value: 1e-4, source: TRL },
    { key: "algorithm.clip.low", value: 0.2, source: TRL },
    { key: "algorithm.clip.high", value: 0.2, source: TRL },
    { key: "algorithm.kl.coef", value: 0.04, source: "code, of rec; 0 of ovd" },
    { key: "algorithm.kl.estimator", value: "k3", source: TRL },
    { key: "algorithm.kl.place", value: "loss", source: TRL },
    { key: "algorithm.aggregation", value: "sequence", source: TRL },
    { key: "algorithm.epochs", value: 1, source: "code: num_iterations 1" },
    { key: "algorithm.minibatches", value: 1, source: "code: as above" },
    { key: "optimizer.lr", value: 1e-6, source: "code: default of its configuration" },
    {
      key: "optimizer.schedule",
      value: "linear",
      source: "default of the code's trainer: to 0, without warm-up",
    },
    { key: "optimizer.weight_decay", value: 0, source: "default of the code's trainer" },
    { key: "optimizer.clip_norm", value: 1, source: "default of the code's trainer" },
  ],
  pitfalls: [
    "Overlap also pays for hedging, boxes that are large and in the middle: evaluate on grey pictures (data.eval.pictures of the laboratory's scenes), and count exact boxes beside reward/part/iou.",
    "Average precision without the length factor (box-map, length_factor: false): boxes of labels that are not there cost nothing, and completions grow without end; tokens/completion_mean.",
    "Sizes: smart_resize shows the model another size than the file's. Without input_size and image_size every box is off by that factor, and reward/part/iou stays low for no fault of the policy.",
    "The layout is learnt first and is then the same for all: group/equal_rewards, reward/part/format.",
  ],
};
