import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createRng } from "../../src/lib/rng.ts";
import { openModelDirectory } from "../../src/policy/files/model-directory.ts";
import { createPolicy, type DecoderPolicy } from "../../src/policy/policy.ts";
import { decodeRows } from "../../src/rollouts/decode.ts";
import { TextStream } from "../../src/rollouts/text-stream.ts";
import { type ChatPerson, chat } from "../../src/serving/chat.ts";
import { Conversation, type Reply } from "../../src/serving/conversation.ts";
import { command } from "../helpers/command.ts";
import { useBackend } from "../helpers/tensors.ts";
import { writeTinyChatModel } from "../helpers/tiny-chat.ts";
import { workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);
const model = space.path("tiny-chat");
let files: ReturnType<typeof openModelDirectory>;
let policy: DecoderPolicy;

beforeAll(async () => {
  writeTinyChatModel(model);
  await useBackend("wasm with our kernels");
  files = openModelDirectory(model);
  policy = createPolicy(files, { trainable: "none" });
});

const sampling = { temperature: 1, top_p: 1, top_k: 0, min_p: 0 };
const options = { system: null, sampling, maxNewTokens: 12, stop: [], seed: 3 };
const never = () => false;

async function replies(conversation: Conversation, questions: readonly string[]): Promise<Reply[]> {
  const all: Reply[] = [];
  for (const question of questions) all.push(await conversation.say(question, () => {}, never));
  conversation.dispose();
  return all;
}

describe("a conversation", () => {
  it("keeps what was read, and says the same as one that reads all anew", async () => {
    const long = "hello world 123 ".repeat(4);
    const kept = await replies(new Conversation(policy, files, options), [long, "or", "hell"]);
    // after each reply the cache is thrown away
    const anew = new Conversation(policy, files, options);
    const expected: Reply[] = [];
    for (const question of [long, "or", "hell"]) {
      expected.push(await anew.say(question, () => {}, never));
      anew.dispose();
    }
    expect(kept.map(({ tokens }) => tokens)).toEqual(expected.map(({ tokens }) => tokens));
    expect(expected.map((reply) => reply.kept)).toEqual([0, 0, 0]);
    expect(kept[0]!.kept).toBe(0);
    expect(Math.max(kept[1]!.kept, kept[2]!.kept)).toBeGreaterThan(20);
  });

  it("streams the text of the reply, and no half characters", async () => {
    const parts: string[] = [];
    const conversation = new Conversation(policy, files, { ...options, maxNewTokens: 60 });
    const reply = await conversation.say("hello", (text) => parts.push(text), never);
    conversation.dispose();
    expect(parts.join("")).toBe(reply.text);
    expect(parts.filter((part) => part !== "").length).toBeGreaterThan(3);
    const words = reply.end === "eos" ? reply.tokens.slice(0, -1) : reply.tokens;
    expect(reply.text).toBe(files.tokenizer.decode(words));
  });

  it("Ctrl-C ends a reply, not the chat: what was said stays and goes on", async () => {
    const notes: string[] = [];
    const done: Reply[] = [];
    let interrupt = () => {};
    let parts = 0;
    const questions = ["/undo", "hello", "/nonsense", "world", "/reset", "or", null];
    const conversation = new Conversation(policy, files, { ...options, maxNewTokens: 200, system: "hell" });
    const person: ChatPerson = {
      ask: async () => {
        if (questions.length === 7) interrupt(); // while nothing is said
        return questions.shift()!;
      },
      part: () => {
        parts++;
        if (done.length === 0 && parts === 4) interrupt();
      },
      done: (reply) => done.push(reply),
      note: (text) => notes.push(text),
      onInterrupt: (call) => {
        interrupt = call;
      },
    };
    await chat(conversation, person);
    expect(done.length).toBe(3);
    expect([done[0]!.end, done[0]!.tokens.length]).toEqual(["cancelled", 4]);
    expect(conversation.messages.map(({ role }) => role)).toEqual(["system", "user", "assistant"]);
    expect(notes[0]).toMatch(/Ctrl-C ends a reply/);
    expect(notes.some((note) => note.startsWith("/nonsense is no command"))).toBe(true);
    conversation.dispose();
  });

  it("a conversation that is full says so and stays as it was", async () => {
    const conversation = new Conversation(policy, files, options);
    await expect(conversation.say("a".repeat(600), () => {}, never)).rejects.toThrow(
      /has 6\d\d tokens and the model 512 positions: \/reset begins anew/,
    );
    expect(conversation.messages).toEqual([]);
  });
});

describe("rows that are decoded together", () => {
  const row = (text: string, seed: number, change = {}) => ({
    prompt: Int32Array.from(files.tokenizer.encode(text, { addSpecialTokens: false })),
    sampling,
    maxNewTokens: 10 + seed,
    stop: [],
    random: createRng(seed).fork("row"),
    topLogprobs: 3,
    ...change,
  });

  it("say what they say alone, whatever else is in the batch", async () => {
    const rows = ["hello", "hello world 123", "or", "123 hell"].map((text, i) => row(text, i));
    const together = await decodeRows(policy, files.tokenizer, rows);
    for (const [i, each] of rows.entries()) {
      const [alone] = await decodeRows(policy, files.tokenizer, [each]);
      expect(together[i]!.tokens).toEqual(alone!.tokens);
      for (const [t, step] of alone!.steps.entries()) {
        expect(together[i]!.steps[t]!.logprob).toBeCloseTo(step.logprob!, 4);
      }
    }
    expect(new Set(together.map(({ tokens }) => `${tokens}`)).size).toBe(4);
  });

  it("logprobs are those of the policy's own distribution, the likeliest first", async () => {
    const greedy = row("hello", 1, { sampling: { ...sampling, temperature: 0 } });
    const [found] = await decodeRows(policy, files.tokenizer, [greedy]);
    for (const step of found!.steps) {
      expect(step.top.length).toBe(3);
      expect(step.top[0]).toEqual({ id: step.id, logprob: step.logprob });
      expect(step.top[1]!.logprob).toBeLessThanOrEqual(step.top[0]!.logprob);
    }
    const session = await policy.startGeneration([greedy.prompt], { repeats: 1, maxNewTokens: 1 });
    const total = Math.log(session.logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
    expect(found!.steps[0]!.logprob).toBeCloseTo(Math.max(...session.logits) - total, 4);
    session.dispose();
  });
});

describe("text of a stream", () => {
  const tokens = (text: string) => [...new TextEncoder().encode(text)];
  const decoder = {
    decode: (ids: ArrayLike<number>) => new TextDecoder().decode(Uint8Array.from(Array.from(ids))),
  };
  const pushed = (text: string, stop: string[] = []) => {
    const stream = new TextStream(decoder, stop);
    const parts = tokens(text).map((byte) => stream.push(byte));
    return {
      parts: parts.map((part) => part.text),
      stopped: parts.some((part) => part.stopped),
      rest: stream.end(),
    };
  };

  it("holds bytes back until they are a character", () => {
    expect(pushed("aé🙂b").parts).toEqual(["a", "", "é", "", "", "", "🙂", "b"]);
  });

  it("holds back what may become a stop string, and leaves it out", () => {
    expect(pushed("one END two", ["END"])).toEqual({
      parts: ["o", "n", "e", " ", "", "", "", "", "", "", ""],
      stopped: true,
      rest: "",
    });
    expect(pushed("an ENemy", ["END"]).parts).toEqual(["a", "n", " ", "", "", "ENe", "m", "y"]);
    expect(pushed("the EN", ["END"])).toMatchObject({ stopped: false, rest: "EN" });
  });
});

describe("rlpt chat", () => {
  it("what is piped in is one question, its reply is all of stdout", () => {
    const run = (...args: string[]) =>
      spawnSync(
        process.execPath,
        ["bin/rlpt.js", "chat", model, "--backend", "wasm", "--max-new-tokens", "9", ...args],
        {
          input: "hello 123\n",
          encoding: "utf8",
        },
      );
    const plain = run();
    expect(plain.status, plain.stderr).toBe(0);
    const json = run("--json");
    const reply = JSON.parse(json.stdout);
    expect(reply).toMatchObject({ end: "length", tokens: 9, kept_tokens: 0 });
    expect(plain.stdout).toBe(`${reply.text}\n`);
    expect(plain.stderr).toContain("ended by length");
  });

  it("names what is wrong with flags before a model is opened", async () => {
    const said = async (...args: string[]) => (await command("chat", "no-such-model", "hi", ...args)).err;
    expect(await said("--temperature", "hot")).toContain("--temperature hot: give a number from 0 to 10");
    expect(await said("--top-k", "1.5")).toContain("--top-k 1.5: give a whole number from 0 to 1000000");
    expect(await said("--backend", "abacus")).toContain("--backend abacus: use one of auto");
    expect((await command("chat", model, " ")).err).toContain("the question is empty");
  });
});
