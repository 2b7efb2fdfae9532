/** The laboratory's vision-language model with random weights, as configs name it: 250 thousand of them, a step takes a tenth of a second. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const files = resolve("models/lab-vision-init");

/** `model` of a config. @param tokenizer a folder like models/lab-vision-init */
export function eyesModel(tokenizer = files): object {
  const { torch_dtype: _, ...init } = JSON.parse(readFileSync(join(files, "config.json"), "utf8"));
  return { init, tokenizer };
}

/** A copy of its tokenizer that writes messages: pictures and words as they stand, then [direct]. @returns the folder */
export function withChatTemplate(folder: string): string {
  cpSync(files, folder, { recursive: true });
  const path = join(folder, "tokenizer_config.json");
  const config = JSON.parse(readFileSync(path, "utf8"));
  config.chat_template =
    "<bos>{% for message in messages %}{% if message.content is string %} {{ message.content }}{% else %}{% for part in message.content %}" +
    "{% if part.type == 'image' %} <image>{% else %} {{ part.text }}{% endif %}{% endfor %}{% endif %}{% endfor %} [direct]";
  writeFileSync(path, JSON.stringify(config));
  return folder;
}

/** A config of GRPO on drawn scenes. */
export function scenesConfig(more: object = {}): string {
  return JSON.stringify({
    seed: 1,
    steps: 4,
    model: eyesModel(),
    data: { train: { kind: "scenes", use: "train" }, eval: { kind: "scenes", use: "test", size: 4 } },
    rollout: { prompts_per_step: 3, group_size: 2, max_prompt_tokens: 64, max_new_tokens: 4 },
    rewards: [{ kind: "box-iou", format: "words", extract: "whole", image_size: "grid" }],
    algorithm: { kind: "grpo" },
    optimizer: { lr: 0.001 },
    eval: { every: 4 },
    run: { checkpoint_every: 2, keep_last: 9 },
    ...more,
  });
}
