import { expect, test } from "vitest";
import { nearest, suggestKey } from "../../src/config/suggest.ts";

test("the nearest name, if it is near enough", () => {
  expect(nearest("grop", ["sft", "grpo"])).toBe("grpo");
  expect(nearest("GRPO", ["sft", "grpo"])).toBe("grpo");
  expect(nearest("temprature", ["top_k", "temperature"])).toBe("temperature");
  expect(nearest("reinforce", ["sft", "grpo"])).toBeNull();
  expect(nearest("abc", ["xyz"])).toBeNull();
  expect(nearest("lr", ["id"])).toBeNull();
  expect(nearest("x", [])).toBeNull();
});

test("a sibling first, then the same key elsewhere, then what other trainers call it", () => {
  const paths = ["rollout.group_size", "optimizer.lr", "algorithm.clip.low"];
  expect(suggestKey("loww", ["low", "high"], paths)).toBe("low");
  expect(suggestKey("group_size", ["low", "high"], paths)).toBe("rollout.group_size");
  expect(suggestKey("learning_rate", ["low", "high"], paths)).toBe("optimizer.lr");
  expect(suggestKey("max_steps", ["low", "high"], paths)).toBeNull();
  expect(suggestKey("constructor", ["low", "high"], paths)).toBeNull();
});
