/** What configs/gsm8k.yaml names on the Hub, in little: GSM8K of eight rows a part, and a tiny model under SmolLM2's name. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HubServer } from "./hub-server.ts";
import { writeTinyChatModel } from "./tiny-chat.ts";

export const SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct";
export const GSM8K = "openai/gsm8k";

const CARD = `---
configs:
- config_name: main
  data_files:
  - { split: train, path: main/train-* }
  - { split: test, path: main/test-* }
- config_name: socratic
  data_files: socratic/train-*
---
`;

const bytes = (text: string) => new TextEncoder().encode(text);
const problems = (from: number) =>
  bytes(
    Array.from({ length: 8 }, (_, i) =>
      JSON.stringify({ question: `${from + i}+1?`, answer: `One more.\n#### ${from + i + 1}` }),
    ).join("\n"),
  );

export function addGsm8kAndSmolLM2(hub: HubServer): void {
  const folder = mkdtempSync(join(tmpdir(), "rlpt-hub-"));
  try {
    writeTinyChatModel(folder);
    const files = readdirSync(folder).map((name) => [name, new Uint8Array(readFileSync(join(folder, name)))]);
    hub.models.set(SMOLLM2, new Map(files as [string, Uint8Array][]));
  } finally {
    rmSync(folder, { recursive: true });
  }
  hub.datasets.set(
    GSM8K,
    new Map([
      ["README.md", bytes(CARD)],
      ["main/train-00000-of-00001.jsonl", problems(0)],
      ["main/test-00000-of-00001.jsonl", problems(100)],
      ["socratic/train-00000-of-00001.jsonl", problems(200)],
    ]),
  );
}
