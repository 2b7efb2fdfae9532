import { spawn } from "node:child_process";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createRng } from "../../src/lib/rng.ts";
import { saveAdapter } from "../../src/policy/files/adapter-files.ts";
import { openModelDirectory } from "../../src/policy/files/model-directory.ts";
import { createPolicy, type DecoderPolicy } from "../../src/policy/policy.ts";
import { type RunningServer, type ServeOptions, serve } from "../../src/serving/server.ts";
import { readAdapter } from "../../src/training/assemble.ts";
import { command } from "../helpers/command.ts";
import { useBackend } from "../helpers/tensors.ts";
import { writeTinyChatModel } from "../helpers/tiny-chat.ts";
import { workspace } from "../helpers/tiny-run.ts";

const space = workspace();
const path = space.path("tiny-chat");
const adapterPath = space.path("adapter");
const defaults: ServeOptions = {
  host: "127.0.0.1",
  port: 0,
  batchRows: 16,
  queueRows: 64,
  cacheBytes: 1e9,
  bodyBytes: 100_000,
  seed: 1,
};
let files: ReturnType<typeof openModelDirectory>;
let policy: DecoderPolicy;
let tuned: DecoderPolicy;
let server: RunningServer;
let client: OpenAI;

const clientOf = ({ url }: RunningServer) => new OpenAI({ baseURL: url, apiKey: "none", maxRetries: 0 });

beforeAll(async () => {
  writeTinyChatModel(path);
  await useBackend("wasm with our kernels");
  files = openModelDirectory(path);
  policy = createPolicy(files, { trainable: "none" });
  const lora = { rank: 2, alpha: 64, targets: ["q_proj", "o_proj"], useRslora: false };
  const trained = createPolicy(files, { trainable: "lora", lora, rng: createRng(5) });
  // B begins at zero, so that an adapter that was not trained changes nothing
  for (const [name, variable] of trained.trainable) {
    if (name.includes("lora_B")) variable.assign(variable.add(0.5));
  }
  saveAdapter(adapterPath, trained.exportAdapter()!);
  trained.dispose();
  tuned = policy.withAdapter(readAdapter(adapterPath));
  server = await serve(
    [
      { name: "tiny", policy, files },
      { name: "tuned", policy: tuned, files },
    ],
    defaults,
  );
  client = clientOf(server);
});
afterAll(async () => {
  await server.stop();
  space.remove();
});

const chat = {
  model: "tiny",
  messages: [{ role: "user" as const, content: "hello 123" }],
  max_tokens: 12,
  seed: 4,
};
const errorOf = async (request: Promise<unknown>) => {
  const error = await request.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof OpenAI.APIError)) throw new Error(`no APIError: ${error}`);
  return { status: error.status, param: error.param, code: error.code, message: error.message };
};

describe("the official client", () => {
  it("lists the models, the adapter among them", async () => {
    const listed = await client.models.list();
    expect(listed.data.map(({ id }) => id)).toEqual(["tiny", "tuned"]);
    expect((await client.models.retrieve("tuned")).id).toBe("tuned");
    expect(await errorOf(client.models.retrieve("other"))).toMatchObject({
      status: 404,
      code: "model_not_found",
    });
  });

  it("a chat completion: the same seed says the same, another something else, the adapter as well", async () => {
    const first = await client.chat.completions.create(chat);
    const text = (answer: OpenAI.ChatCompletion) => answer.choices[0]!.message.content;
    expect(first.object).toBe("chat.completion");
    expect(first.usage!.completion_tokens).toBeLessThanOrEqual(12);
    const prompt = files.tokenizer.renderChat(chat.messages, { addGenerationPrompt: true });
    expect(first.usage!.prompt_tokens).toBe(
      files.tokenizer.encode(prompt, { addSpecialTokens: false }).length,
    );
    expect(text(await client.chat.completions.create(chat))).toBe(text(first));
    expect(text(await client.chat.completions.create({ ...chat, seed: 5 }))).not.toBe(text(first));
    expect(text(await client.chat.completions.create({ ...chat, model: "tuned" }))).not.toBe(text(first));
  });

  it("streams: pieces make up the whole, then the reason, then the usage", async () => {
    const whole = await client.chat.completions.create({ ...chat, n: 2, max_tokens: 30 });
    const stream = await client.chat.completions.create({
      ...chat,
      n: 2,
      max_tokens: 30,
      stream: true,
      stream_options: { include_usage: true },
    });
    const texts = ["", ""];
    const reasons: (string | null)[] = [null, null];
    let usage: OpenAI.CompletionUsage | null | undefined;
    let chunks = 0;
    for await (const chunk of stream) {
      chunks++;
      usage = chunk.usage ?? usage;
      for (const { index, delta, finish_reason } of chunk.choices) {
        texts[index] += delta.content ?? "";
        reasons[index] = finish_reason ?? reasons[index]!;
      }
    }
    expect(chunks).toBeGreaterThan(10);
    expect(texts).toEqual(whole.choices.map(({ message }) => message.content));
    expect(reasons).toEqual(whole.choices.map(({ finish_reason }) => finish_reason));
    expect(usage).toEqual(whole.usage);
  });

  it("a stop string is left out, also while streaming, and ends the completion", async () => {
    const free = (await client.chat.completions.create({ ...chat, max_tokens: 30 })).choices[0]!.message
      .content!;
    const stop = free.slice(8, 10);
    const cut = await client.chat.completions.create({ ...chat, max_tokens: 30, stop: [stop] });
    expect(cut.choices[0]).toMatchObject({
      finish_reason: "stop",
      message: { content: free.slice(0, free.indexOf(stop)) },
    });
    let streamed = "";
    for await (const chunk of await client.chat.completions.create({
      ...chat,
      max_tokens: 30,
      stop: [stop],
      stream: true,
    })) {
      streamed += chunk.choices[0]?.delta.content ?? "";
    }
    expect(streamed).toBe(free.slice(0, free.indexOf(stop)));
  });

  it("logprobs of the chosen and the likeliest, in both forms", async () => {
    const answer = await client.chat.completions.create({
      ...chat,
      temperature: 0,
      logprobs: true,
      top_logprobs: 2,
    });
    const content = answer.choices[0]!.logprobs!.content!;
    expect(content.length).toBe(answer.usage!.completion_tokens);
    for (const token of content) {
      expect(token.top_logprobs.length).toBe(2);
      expect(token.logprob).toBe(token.top_logprobs[0]!.logprob);
      expect(token.logprob).toBeLessThan(0);
    }
    const prompt = files.tokenizer.renderChat(chat.messages, { addGenerationPrompt: true });
    const plain = await client.completions.create({
      model: "tiny",
      prompt,
      max_tokens: 12,
      temperature: 0,
      logprobs: 2,
      seed: 4,
    });
    const { token_logprobs, tokens, text_offset } = plain.choices[0]!.logprobs!;
    expect(tokens).toEqual(content.map(({ token }) => token));
    for (const [i, logprob] of token_logprobs!.entries()) expect(logprob).toBeCloseTo(content[i]!.logprob, 5);
    expect(text_offset![0]).toBe(0);
    expect(plain.choices[0]!.text).toBe(answer.choices[0]!.message.content);
  });

  it("completions of several prompts, as text and as ids", async () => {
    const ids = ["hello", "or 12"].map((text) => files.tokenizer.encode(text, { addSpecialTokens: true }));
    const ask = (prompt: string[] | number[][]) =>
      client.completions.create({ model: "tiny", prompt, n: 2, seed: 9, max_tokens: 6 });
    const byText = await ask(["hello", "or 12"]);
    const byIds = await ask(ids);
    expect(byText.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(byIds.choices.map(({ text }) => text)).toEqual(byText.choices.map(({ text }) => text));
    expect(byText.usage!.prompt_tokens).toBe(ids.flat().length);
  });

  it("32 requests at once are not mixed: each is what it is alone at its seed", async () => {
    const requests = Array.from({ length: 32 }, (_, i) => ({
      model: i % 3 === 0 ? "tuned" : "tiny",
      messages: [{ role: "user" as const, content: `${"hello or ".repeat(i % 5)}${i}` }],
      max_tokens: 4 + (i % 7),
      temperature: i % 4 === 0 ? 0 : 1,
      seed: i,
    }));
    const text = (answer: OpenAI.ChatCompletion) => answer.choices[0]!.message.content;
    const together = await Promise.all(requests.map((request) => client.chat.completions.create(request)));
    for (const [i, request] of requests.entries()) {
      expect(text(together[i]!), `request ${i}`).toBe(text(await client.chat.completions.create(request)));
      expect(together[i]!.model).toBe(request.model);
    }
    expect(new Set(together.map(text)).size).toBeGreaterThan(20);
  });
});

describe("what is refused, and how", () => {
  it("says the parameter and the reason", async () => {
    const ask = (change: object) =>
      errorOf(client.chat.completions.create({ ...chat, ...change } as typeof chat));
    expect(await ask({ model: "gpt-4" })).toMatchObject({
      status: 404,
      param: "model",
      message: expect.stringContaining('model "gpt-4" is not served; there are tiny, tuned'),
    });
    expect(await ask({ temperature: -1 })).toMatchObject({ status: 400, param: "temperature" });
    expect(await ask({ tools: [] })).toMatchObject({
      status: 400,
      param: "tools",
      message: expect.stringContaining("not supported here"),
    });
    expect(await ask({ frequency_penalty: 1 })).toMatchObject({ status: 400, param: "frequency_penalty" });
    expect(await ask({ top_logprobs: 2 })).toMatchObject({ status: 400, param: "top_logprobs" });
    expect(await ask({ messages: [] })).toMatchObject({ status: 400, param: "messages" });
    const image_url = { url: "data:image/png;base64,iVBORw0KGgo=" };
    const content = [
      { type: "text", text: "what is this?" },
      { type: "image_url", image_url },
    ];
    expect(await ask({ messages: [...chat.messages, { role: "user", content }] })).toMatchObject({
      status: 400,
      param: "messages.1.content.1",
      message: expect.stringContaining("pictures (image_url) are not read here; rlpt sample MODEL --image"),
    });
    expect(await ask({ max_tokens: 600 })).toMatchObject({ status: 400, code: "context_length_exceeded" });
    expect(await ask({ n: 17 })).toMatchObject({ status: 400, message: expect.stringContaining("--batch") });
    expect(await errorOf(client.completions.create({ model: "tiny", prompt: [5000] }))).toMatchObject({
      param: "prompt",
    });
  });

  it("bodies that are too large, no JSON, or sent by a page of a browser", async () => {
    const post = async (body: string, type = "application/json") => {
      const response = await fetch(`${server.url}/chat/completions`, {
        method: "POST",
        body,
        headers: { "content-type": type },
      });
      return [response.status, ((await response.json()) as { error: { message: string } }).error.message];
    };
    expect(await post("{")).toEqual([400, expect.stringContaining("the body is no JSON")]);
    expect(await post("{}", "text/plain")).toEqual([415, "content-type must be application/json"]);
    expect(await post(JSON.stringify({ ...chat, user: "x".repeat(200_000) }))).toEqual([
      413,
      expect.stringContaining("larger than 100000 bytes"),
    ]);
    expect((await fetch(`${server.url}/nothing`)).status).toBe(404);
    expect((await fetch(`${server.url}/completions`)).status).toBe(405);
  });

  it("more than may wait gets 429, and memory for one batch is bounded", async () => {
    const small = await serve([{ name: "tiny", policy, files }], {
      ...defaults,
      batchRows: 1,
      queueRows: 2,
      cacheBytes: 60_000,
    });
    const own = clientOf(small);
    const ask = (change = {}) => own.chat.completions.create({ ...chat, ...change });
    const settled = await Promise.allSettled(Array.from({ length: 8 }, () => ask()));
    const refused = settled.flatMap((one) =>
      one.status === "rejected" ? [one.reason as InstanceType<typeof OpenAI.APIError>] : [],
    );
    expect(refused.length).toBeGreaterThanOrEqual(1);
    for (const error of refused) expect([error.status, error.code]).toEqual([429, "queue_full"]);
    expect(settled.length - refused.length).toBeGreaterThanOrEqual(2);
    expect(await errorOf(ask({ max_tokens: 400 }))).toMatchObject({
      status: 400,
      message: expect.stringContaining("--cache-mb"),
    });
    await small.stop();
  });

  it("a client that goes away ends its completion; a server that stops answers what it has", async () => {
    const own = await serve([{ name: "tiny", policy, files }], defaults);
    const gone = new AbortController();
    const stream = await clientOf(own).chat.completions.create(
      { ...chat, max_tokens: 400, stream: true },
      { signal: gone.signal },
    );
    for await (const _chunk of stream) break;
    gone.abort();
    const last = await clientOf(own).chat.completions.create({ ...chat, max_tokens: 40, stream: true });
    const stopped = own.stop();
    let reason: string | null = null;
    for await (const chunk of last) reason = chunk.choices[0]?.finish_reason ?? reason;
    expect(reason).not.toBeNull();
    await stopped;
    await expect(fetch(`${own.url}/models`)).rejects.toThrow();
  });
});

describe("rlpt serve", () => {
  it("says where it listens, answers, and ends at SIGTERM", { timeout: 120_000 }, async () => {
    const args = [
      "bin/rlpt.js",
      "serve",
      path,
      "--port",
      "0",
      "--backend",
      "wasm",
      "--adapter",
      `tuned=${adapterPath}`,
    ];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    const url = await new Promise<string>((resolve, reject) => {
      let out = "";
      child.stdout.on("data", (chunk) => {
        out += chunk;
        const found = /http:\S+/.exec(out)?.[0];
        if (found) resolve(found);
      });
      child.on("exit", (status) => reject(new Error(`ended with ${status}`)));
    });
    const own = new OpenAI({ baseURL: url, apiKey: "none" });
    expect((await own.models.list()).data.map(({ id }) => id)).toEqual(["tiny-chat", "tuned"]);
    const here = await client.chat.completions.create({ ...chat, model: "tuned" });
    const there = await own.chat.completions.create({ ...chat, model: "tuned" });
    expect(there.choices[0]!.message.content).toBe(here.choices[0]!.message.content);
    const ended = new Promise((resolve) => child.on("exit", resolve));
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
  });

  it("names what is wrong with flags before a model is opened", async () => {
    const said = async (...args: string[]) => (await command("serve", "no-such-model", ...args)).err;
    expect(await said("--port", "99999")).toContain("--port 99999: give a whole number from 0 to 65535");
    expect(await said("--adapter", "tuned")).toContain("--adapter tuned: give name=path of a PEFT directory");
    expect(await said("--adapter", "a=x", "--adapter", "a=y")).toContain("two models would be called a");
  });
});
