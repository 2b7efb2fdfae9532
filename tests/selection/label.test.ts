import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { labelMessages, readVerdict } from "../../src/recipes/adacot-labels.ts";
import { type LabelRequest, labelFile } from "../../src/selection/label.ts";
import { workspace } from "../helpers/tiny-run.ts";

const space = workspace();
const asked: string[] = [];
let answer: (prompt: string, time: number) => { status: number; content: string };
let atOnce = 0;
let most = 0;

const server: Server = createServer((request, response) => {
  let body = "";
  most = Math.max(most, ++atOnce);
  request.on("data", (chunk) => {
    body += chunk;
  });
  request.on("end", () => {
    const { messages, model } = JSON.parse(body) as { messages: { content: string }[]; model: string };
    const prompt = /<last_prompt>\n([\s\S]*)\n<\/last_prompt>/.exec(messages[1]!.content)![1]!;
    asked.push(`${request.url} ${model} ${prompt} ${request.headers.authorization ?? "-"}`);
    const { status, content } = answer(prompt, asked.filter((one) => one.includes(` ${prompt} `)).length);
    // later rows answer first
    setTimeout(
      () => {
        atOnce--;
        response.statusCode = status;
        response.end(JSON.stringify({ choices: [{ message: { content } }] }));
      },
      30 - 5 * Number(/\d/.exec(prompt)?.[0] ?? 0),
    );
  });
});
await new Promise<void>((resolve) => {
  server.listen(0, "127.0.0.1", resolve);
});
const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/`;
afterAll(() => {
  server.close();
  space.remove();
});

const input = space.write(
  "in.jsonl",
  [1, 2, 3, 4, 2]
    .map((n) => `${JSON.stringify({ prompt: `q${n}${n % 2 ? " hard" : ""}`, answer: "é" })}\n`)
    .join(""),
);
let count = 0;
const request = (extra: Partial<LabelRequest> = {}): LabelRequest => ({
  input,
  output: space.path(`out ${++count}.jsonl`),
  endpoint,
  model: "judge",
  promptColumn: "prompt",
  systemColumn: "system",
  historyColumn: "history",
  labelColumn: "needs_thinking",
  concurrency: 3,
  retries: 2,
  retryMs: 1,
  timeoutMs: 5000,
  note: () => {},
  ...extra,
});
const plain = (prompt: string) => ({
  status: 200,
  content: prompt.includes("hard") ? "Requires In-depth Thinking" : "Does Not Require In-depth Thinking",
});
const labels = (path: string) =>
  readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => (JSON.parse(line) as { needs_thinking: boolean }).needs_thinking);

beforeEach(() => {
  asked.length = 0;
  most = 0;
  answer = plain;
});

describe("rlpt label", () => {
  it("labels every row in the input's order, several at a time, a repeated text once", async () => {
    const one = request({ apiKey: "sesame" });
    expect(await labelFile(one)).toEqual({ rows: 5, kept: 0, repeated: 1, needs: 2 });
    expect(labels(one.output)).toEqual([true, false, true, false, false]);
    expect(asked.length).toBe(4);
    expect(asked[0]).toMatch(/^\/v1\/chat\/completions judge q1 hard Bearer sesame$/);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(3);
    expect(readFileSync(one.output, "utf8").split("\n")[0]).toBe(
      '{"prompt":"q1 hard","answer":"é","needs_thinking":true}',
    );
  });

  it("goes on where it was killed, even inside a line, and asks no row again", async () => {
    const one = request();
    await labelFile(one);
    const whole = readFileSync(one.output);
    truncateSync(one.output, whole.indexOf(10, whole.indexOf(10) + 1) - 7);
    asked.length = 0;
    expect((await labelFile(one)).kept).toBe(1);
    expect(asked.some((line) => line.includes("q1"))).toBe(false);
    expect(readFileSync(one.output)).toEqual(whole);
    asked.length = 0;
    await labelFile(one);
    expect(asked).toEqual([]);
  });

  it("tries again after overload, an error of the server, and an answer that is no verdict", async () => {
    answer = (prompt, time) =>
      time === 1
        ? { status: prompt.includes("q1") ? 429 : 503, content: "" }
        : time === 2 && prompt.includes("q2")
          ? { status: 200, content: "It depends." }
          : plain(prompt);
    const one = request();
    expect((await labelFile(one)).needs).toBe(2);
    expect(asked.length).toBe(9);
  });

  it("gives up after the last try, says which row, and keeps those before it", async () => {
    answer = (prompt) => (prompt.includes("q3") ? { status: 200, content: "Perhaps" } : plain(prompt));
    const one = request({ concurrency: 1 });
    await expect(labelFile(one)).rejects.toThrow(
      /row 3, http.*no verdict: "Perhaps" \(try 3 of 3\)\n2 of 5 rows are in/,
    );
    expect(labels(one.output)).toEqual([true, false]);
  });

  it("does not try a refused request again", async () => {
    answer = () => ({ status: 401, content: "" });
    await expect(labelFile(request({ concurrency: 1 }))).rejects.toThrow(/row 1, .*status 401/);
    expect(asked.length).toBe(1);
  });

  it("refuses rows without a prompt, and an output of other rows", async () => {
    await expect(labelFile(request({ promptColumn: "question" }))).rejects.toThrow(
      /in\.jsonl:1: column question holds no text \(there are prompt, answer\)/,
    );
    const one = request();
    writeFileSync(one.output, '{"prompt":"other","needs_thinking":true}\n');
    await expect(labelFile(one)).rejects.toThrow(/:1: is not row 1 of the input/);
  });
});

it("reads verdicts and nothing else, and fills the slots", () => {
  expect(readVerdict(" Requires In-depth Thinking\n")).toBe(true);
  expect(readVerdict("<think>hm</think>\n\nDoes Not Require In-depth Thinking.")).toBe(false);
  expect(readVerdict("It does not require in-depth thinking")).toBeNull();
  expect(readVerdict("")).toBeNull();
  const [, user] = labelMessages({ system: "S", history: "", prompt: "P" });
  expect(user!.content).toBe(
    "<system_prompt>\nS\n</system_prompt>\n<history>\n(none)\n</history>\n<last_prompt>\nP\n</last_prompt>",
  );
});
