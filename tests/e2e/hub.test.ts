/** One command trains a model of the Hub on a dataset of the Hub, here from a server that speaks its protocol. */
import { readFileSync } from "node:fs";
import { afterAll, beforeEach, expect, it, vi } from "vitest";
import { command } from "../helpers/command.ts";
import { addGsm8kAndSmolLM2, GSM8K, SMOLLM2 } from "../helpers/hub-gsm8k.ts";
import { startHubServer } from "../helpers/hub-server.ts";
import { rowsWithoutTime, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
const hub = await startHubServer();
afterAll(() => {
  hub.close();
  space.remove();
});

beforeEach(() => {
  vi.stubEnv("HF_TOKEN", undefined);
  vi.stubEnv("HF_HUB_OFFLINE", undefined);
  vi.stubEnv("HF_ENDPOINT", hub.url);
  vi.stubEnv("HF_HUB_CACHE", space.path("hub"));
  addGsm8kAndSmolLM2(hub);
});

/** The shipped config, in little: the tiny model lies where the shipped one's name points. */
const train = (out: string) =>
  command(
    ...["train", "configs/gsm8k.yaml", "--steps", "2", "--out", space.path(out), "--backend", "wasm"],
    ...["--set", "rollout.prompts_per_step=2", "--set", "rollout.group_size=2"],
    ...["--set", "rollout.max_new_tokens=3", "--set", "eval.limit=2", "--set", "eval.every=2"],
  );

it("trains from nothing, then from the cache without a network", async () => {
  const first = await train("first");
  expect(first.status, first.err).toBe(0);
  const metrics = rowsWithoutTime(space.path("first/metrics.csv"));
  expect(metrics.map((row) => row["step"])).toEqual(["1", "2"]);
  const prompts = readFileSync(space.path("first/samples.jsonl"), "utf8");
  expect(prompts).toContain("+1?\\nReason step by step");
  const asked = hub.requests.map(({ path }) => path);
  expect(asked).toContain(`/${SMOLLM2}/resolve/0123456789abcdef0123456789abcdef01234567/config.json`);
  expect(asked.some((path) => path.includes("main/train-"))).toBe(true);
  expect(asked.some((path) => path.includes("main/test-"))).toBe(true);
  // only the configuration that the config names
  expect(asked.some((path) => path.includes("socratic/"))).toBe(false);

  vi.stubEnv("HF_HUB_OFFLINE", "1");
  hub.requests.length = 0;
  const second = await train("second");
  expect(second.status, second.err).toBe(0);
  expect(hub.requests).toEqual([]);
  expect(rowsWithoutTime(space.path("second/metrics.csv"))).toEqual(metrics);
});

it("a gated model, and a dataset that is not there, end it before a step", async () => {
  vi.stubEnv("HF_HUB_CACHE", space.path("other"));
  hub.gated.set(SMOLLM2, "hf_right");
  const gated = await train("gated");
  expect(gated.status).not.toBe(0);
  expect(gated.err).toContain("gated or misspelled; accept its terms on the site and set HF_TOKEN");
  vi.stubEnv("HF_TOKEN", "hf_right");
  vi.stubEnv("HF_HUB_CACHE", space.path("third"));
  hub.datasets.delete(GSM8K);
  const missing = await train("missing");
  expect(missing.status).not.toBe(0);
  expect(missing.err).toContain(GSM8K);
  expect(missing.err).toContain("no such dataset");
  expect(missing.err + missing.out).not.toContain("hf_right");
});
