/** A judge that is a model of one's own, in this process's engine. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { startBackend } from "../../src/backend/select.ts";
import { judge, judgeRewards } from "../../src/rewards/judge.ts";
import { openJudges } from "../../src/training/judges.ts";
import type { RewardInput } from "../../src/types.ts";
import { optionalPart } from "../helpers/optional.ts";

const spec = (path: string) =>
  judge.options.parse({
    kind: "judge",
    judge: { path, max_tokens: 24 },
    rubric: [{ ask: "Does the response name a colour?" }],
    limits: { concurrency: 2 },
  });
const input = (completion: string): RewardInput => ({
  completion,
  finishReason: "eos",
  tokens: 1,
  promptText: "Name a colour.",
  answer: "",
  fields: {},
});

beforeAll(async () => {
  await startBackend({ kind: "wasm" });
});

it("a model without a chat template is refused", async () => {
  const judges = openJudges(null, () => {});
  await expect(judgeRewards("j", spec("models/lab-small"), [input("red")], judges)).rejects.toThrow(
    "models/lab-small: a judge needs a model with a chat template",
  );
});

const gguf = process.env["RLPT_SMOLLM2_GGUF"] ?? "";
optionalPart(
  "SmolLM2 judges",
  gguf !== "",
  "RLPT_SMOLLM2_GGUF names no model; .ci/run fetches it",
)(() => {
  const judges = openJudges(null, () => {});
  afterAll(() => judges.close());

  it("greedily, so the same way twice; a completion that its context cannot hold is refused", {
    timeout: 300_000,
  }, async () => {
    const texts = ["red", "a table", "red ".repeat(9000)];
    const inputs = texts.map(input);
    const results = await judgeRewards("j", spec(gguf), inputs, judges);
    const verdicts = [...judges.verdicts.all()];
    expect(verdicts.length).toBe(3);
    for (const { status, text, tokens } of verdicts.filter((one) => one.status !== "refused")) {
      expect(["read", "unreadable"]).toContain(status);
      expect(text.length).toBeGreaterThan(0);
      expect(tokens).toBeGreaterThan(50);
    }
    expect(results[2]).toMatchObject({ value: 0, status: "error" });
    expect(results[2]!.note).toContain("the judge refused");
    const again = openJudges(null, () => {});
    expect(await judgeRewards("j", spec(gguf), inputs, again)).toEqual(results);
    again.close();
  });
});
