/**
 * Nothing is read in part: every key of every family's class, said otherwise, is followed to the number that transformers
 * computes, or refused. Asked of each key that the class has, not of those that the code knows.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { ModelFileError } from "../../src/lib/errors.ts";
import { parseModelConfig } from "../../src/policy/model-config.ts";
import { decoderGoldens, golden, meanNll, policyOf } from "../helpers/goldens.ts";
import { useBackend } from "../helpers/tensors.ts";

beforeAll(() => useBackend("wasm with our kernels"));

describe.each(decoderGoldens)("%s", (name) => {
  const { config, ids, nll, options } = golden(name);

  it("has options that matter", () => {
    expect(options.filter(({ matters }) => matters).length).toBeGreaterThanOrEqual(5);
  });

  it.each(options)("$key = $value", async ({ key, value, nll: expected, matters }) => {
    const changed = { ...config, [key]: value };
    try {
      parseModelConfig(changed, "x");
    } catch (error) {
      expect(error).toBeInstanceOf(ModelFileError);
      const { message } = error as Error;
      // by itself, or by the key that it does not go with (a list for as many layers as there were)
      expect(Object.keys(changed).filter((name) => message.includes(name))).not.toEqual([]);
      return;
    }
    if (expected === undefined) return;
    const policy = policyOf(changed, { trainable: "none" });
    const found = await meanNll(policy, { config: changed, ids });
    policy.dispose();
    expect(Math.abs(found - expected), `${found}, transformers ${expected}, unchanged ${nll}`).toBeLessThan(
      1e-4,
    );
    expect(matters ? Math.abs(found - nll) > 1e-7 : true).toBe(true);
  });
});
