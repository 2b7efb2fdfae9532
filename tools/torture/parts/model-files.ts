/** Damaged model files, opened by the commands that open them. */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { command } from "../command.ts";
import { type Draw, drawFrom } from "../draw.ts";
import { mutateBytes, mutateJson, mutateText } from "../mutate.ts";
import type { Case, Outcome, Part } from "../part.ts";
import { type BaseModel, baseModels, readBase, writeBaseModels } from "./base-models.ts";
import { templateTricks } from "./template-tricks.ts";

const HEADER_BYTES = 4000;
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A safetensors file whose header is another; its length fits again. */
function mutateHeader(draw: Draw, bytes: Uint8Array): { bytes: Uint8Array; done: string } {
  const length = Number(Buffer.from(bytes).readBigUInt64LE(0));
  const header = JSON.parse(decode(bytes.subarray(8, 8 + length))) as unknown;
  const done = mutateJson(draw, header);
  const text = encode(JSON.stringify(header));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(text.length));
  return { bytes: Buffer.concat([size, text, bytes.subarray(8 + length)]), done };
}

/** A chat template with a trick in it, somewhere between two of its blocks. */
function mutateTemplate(draw: Draw, bytes: Uint8Array): { bytes: Uint8Array; done: string } {
  const config = JSON.parse(decode(bytes)) as { chat_template?: unknown };
  const trick = draw.one(templateTricks);
  const template =
    typeof config.chat_template === "string" ? config.chat_template : "{{ messages[0].content }}";
  const borders = [0, ...[...template.matchAll(/[}%]\}/g)].map(({ index }) => index + 2)];
  const at = draw.one(borders);
  config.chat_template = template.slice(0, at) + trick + template.slice(at);
  return { bytes: encode(JSON.stringify(config)), done: `chat template with ${trick.slice(0, 60)}` };
}

function damage(draw: Draw, file: string, bytes: Uint8Array): { bytes: Uint8Array; done: string } {
  if (file.endsWith("tokenizer_config.json") && draw.chance(0.5)) return mutateTemplate(draw, bytes);
  if (file.endsWith(".json") && !draw.chance(0.1)) {
    if (draw.chance(0.2)) {
      const { text, done } = mutateText(draw, decode(bytes));
      return { bytes: encode(text), done };
    }
    const value = JSON.parse(decode(bytes)) as unknown;
    const done = Array.from({ length: draw.one([1, 1, 1, 2, 4]) }, () => mutateJson(draw, value));
    return { bytes: encode(JSON.stringify(value)), done: done.join(", ") };
  }
  if (file.endsWith(".safetensors") && draw.chance(0.5)) return mutateHeader(draw, bytes);
  return mutateBytes(draw, bytes, file.endsWith(".gguf") ? 2 * HEADER_BYTES : HEADER_BYTES);
}

/** What a prompt may be: tokenizers work hardest on what repeats. */
const prompts = [
  "2+3=",
  "the thing is",
  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!",
  " \n\t ".repeat(60),
  "é\u0301ß漢字🙂\u200d",
  "x".repeat(300),
];

async function tryOne({ rng, folder, trying }: Case, shared: string): Promise<Outcome> {
  const draw = drawFrom(rng);
  const base: BaseModel = draw.one(baseModels);
  const file = draw.one(base.files);
  cpSync(join(shared, base.name), folder, { recursive: true });
  const { bytes, done } = damage(draw, file, readBase(shared, base, file));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, file), bytes);
  const tried = `${base.name}/${file}: ${done}`;
  trying(tried);
  const opened = join(folder, base.opened);
  const prompt = draw.one(prompts);
  const commands = [["sample", opened, prompt, "--max-new-tokens", "3", "--backend", "wasm"]];
  // what needs a recipe is looked at by validate first
  if (base.name === "adapter") commands.unshift(["validate", opened]);
  let kind = "loaded";
  for (const argv of commands) {
    const { status, err, out, fault } = await command(argv);
    if (fault !== undefined) return { kind: "fault", tried, fault };
    if (status !== 0) {
      kind = "refused";
      if ((err + out).trim() === "")
        return { kind: "fault", tried, fault: `rlpt ${argv[0]} failed and said nothing` };
      break;
    }
  }
  return { kind, tried };
}

export const modelFiles: Part = {
  name: "model-files",
  tries: "mutated model files",
  full: 2000,
  perCase: 1,
  async prepare(shared) {
    writeBaseModels(shared);
    for (const { name, opened } of baseModels) {
      const { status, err, out } = await command([
        "sample",
        join(shared, name, opened),
        "2+3=",
        "--max-new-tokens",
        "3",
        "--backend",
        "wasm",
      ]);
      if (status !== 0) throw new Error(`the whole model ${name} is not loaded: ${err}${out}`);
    }
  },
  open: async (shared) => (one) => tryOne(one, shared),
};
