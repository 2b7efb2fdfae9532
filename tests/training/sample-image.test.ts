/** `rlpt sample --image`: pictures before a question, or where its placeholders are. */
import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writePng } from "../../src/pictures/write-png.ts";
import { sampleFrom } from "../../src/training/sample-prompt.ts";
import { eyesModel, scenesConfig, withChatTemplate } from "../helpers/eyes.ts";
import { workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);
const plain = space.path("plain.yaml");
const chat = space.path("chat.yaml");
const picture = (name: string, colour: readonly [number, number, number]) => {
  const data = Uint8Array.from({ length: 40 * 30 * 3 }, (_, i) => colour[i % 3]!);
  writeFileSync(space.path(name), writePng({ width: 40, height: 30, data }));
  return space.path(name);
};
const [red, blue] = [picture("red.png", [250, 0, 0]), picture("blue.png", [0, 0, 250])];

beforeAll(() => {
  writeFileSync(plain, scenesConfig());
  writeFileSync(chat, scenesConfig({ model: eyesModel(withChatTemplate(space.path("words"))) }));
});

const sample = async (path: string, text: string, image: string[], more = {}) => {
  const request = {
    count: "1",
    temperature: "0",
    topP: "1",
    seed: "1",
    stop: [],
    maxNewTokens: "6",
    backend: "wasm",
    image,
  };
  const { promptText, completions } = await sampleFrom(path, text, { ...request, ...more }, () => {});
  return { promptText, logprobs: [...completions[0]!.logprobs] };
};

describe("pictures of files", { timeout: 60_000 }, () => {
  it("come first in messages, in order, and the model looks at them", async () => {
    const one = await sample(chat, "where red disc", [red]);
    expect(one.promptText).toBe("<bos> <image> where red disc [direct]");
    expect((await sample(chat, "where red disc", [red, blue])).promptText).toBe(
      "<bos> <image> <image> where red disc [direct]",
    );
    const other = await sample(chat, "where red disc", [blue]);
    expect(other.logprobs).not.toEqual(one.logprobs);
    expect((await sample(chat, "where red disc", [red])).logprobs).toEqual(one.logprobs);
    const system = await sample(chat, "where red disc", [red], { system: "its" });
    expect(system.promptText).toBe("<bos> its <image> where red disc [direct]");
  });

  it("stand at the placeholders of plain text, or first where it has none", async () => {
    const given = await sample(plain, "<image> | where red disc [direct]", [red]);
    expect(given.promptText).toBe("<image> | where red disc [direct]");
    const first = await sample(plain, " | where red disc [direct]", [red]);
    expect(first).toEqual(given);
    const [ab, ba] = [
      await sample(plain, "<image> <image>", [red, blue]),
      await sample(plain, "<image> <image>", [blue, red]),
    ];
    expect(ab.logprobs).not.toEqual(ba.logprobs);
    const raw = await sample(chat, "<image> where red disc", [red], { raw: true });
    expect(raw.promptText).toBe("<image> where red disc");
  });

  it("must be as many as there are places", async () => {
    await expect(sample(plain, "<image> and <image>", [red])).rejects.toThrow(
      "the prompt has 2 places for pictures (<image>), and --image was given 1 times",
    );
    await expect(sample(plain, "<image> | where", [])).rejects.toThrow(
      "the prompt has 1 place for pictures (<image>), and --image was given 0 times",
    );
    await expect(sample(chat, "<image> where", [red])).rejects.toThrow(/the prompt holds <image>.*--raw/);
  });

  it("need a model that sees", async () => {
    await expect(sample("models/lab-small", "3+4=", [red])).rejects.toThrow(
      /--image: the model sees no pictures; give a vision-language model/,
    );
  });

  it("are looked at before a model is opened, and named with what is wrong", async () => {
    const text = space.write("cat.png", "<!doctype html><p>404");
    const nowhere = space.path("no model");
    await expect(sample(nowhere, "what?", [text])).rejects.toThrow(
      /--image .*cat\.png: .*is no PNG.*web page/,
    );
    await expect(sample(nowhere, "what?", [space.path("none.png")])).rejects.toThrow(
      /--image .*none\.png: cannot be read: .*no such file/i,
    );
    await expect(sample(nowhere, "what?", [space.path(".")])).rejects.toThrow(
      /cannot be read: .*no regular file/,
    );
  });
});
