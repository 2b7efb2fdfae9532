/** Every model family that is read. A new one is a file beside this one and a line here. */
import type { ModelFamily } from "./family.ts";
import { gemma2, gemma3 } from "./gemma.ts";
import { gptNeox } from "./gpt-neox.ts";
import { gpt2 } from "./gpt2.ts";
import { granite, granite4 } from "./granite.ts";
import { idefics3, smolvlm } from "./idefics3.ts";
import { lfm2 } from "./lfm2.ts";
import { llama } from "./llama.ts";
import { mistral } from "./mistral.ts";
import { olmo2, olmo3 } from "./olmo.ts";
import { phi3 } from "./phi3.ts";
import { qwen2, qwen3 } from "./qwen.ts";
import { qwen2Vl, qwen25Vl } from "./qwen2-vl.ts";
import { qwen35 } from "./qwen3-5.ts";
import { smollm3 } from "./smollm3.ts";

export const modelFamilies: readonly ModelFamily[] = [
  llama,
  qwen2,
  qwen3,
  qwen35,
  smollm3,
  mistral,
  gemma2,
  gemma3,
  phi3,
  olmo2,
  olmo3,
  granite,
  granite4,
  lfm2,
  gpt2,
  gptNeox,
  idefics3,
  smolvlm,
  qwen2Vl,
  qwen25Vl,
];
