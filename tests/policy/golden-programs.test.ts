/** The same goldens where programs are compiled: training by XLA, and generation as a program. */
import * as tf from "@tensorflow/tfjs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Executor } from "../../src/backend/stablehlo/executor.ts";
import { startLazyBackend } from "../../src/backend/xla/start.ts";
import { modelFamilies } from "../../src/policy/families/kinds.ts";
import { goldenPictures } from "../helpers/golden-pictures.ts";
import {
  adapterOf,
  checkAgainst,
  decoderGoldens,
  type Golden,
  golden,
  loraGoldens,
  policyOf,
} from "../helpers/goldens.ts";
import { optionalPart } from "../helpers/optional.ts";
import { openTestExecutor, xlaHere, xlaMissing } from "../helpers/xla.ts";

optionalPart(
  "decoders in compiled programs against transformers",
  xlaHere,
  xlaMissing,
)(() => {
  let executor: Executor | null = null;
  beforeAll(async () => {
    executor = openTestExecutor();
    await startLazyBackend(executor);
    await tf.setBackend("xla");
  });
  afterAll(() => executor?.close());

  /** One program: prefill, decoding and drawing at temperature 0. */
  async function greedyRow({ config, ids, greedy }: Golden): Promise<number[]> {
    const policy = policyOf(config, { trainable: "none" });
    const rows = await policy.sampleRows!([Int32Array.from(ids)], {
      pictures: [goldenPictures(config, ids)],
      repeats: 1,
      maxNewTokens: greedy.length,
      temperature: 0,
      top_p: 1,
      top_k: 0,
      min_p: 0,
      eosIds: [],
      undrawn: null,
      constrainedTokens: 0,
      constraint: () => undefined,
      uniform: () => 0.5,
      ended: () => false,
    });
    policy.dispose();
    return rows[0]!.tokens;
  }

  /** One of each family; what its options compute is the same operations, held on the other backends. */
  const families = [
    ...new Map(decoderGoldens.map((name) => [golden(name).config["model_type"], name])).values(),
  ];

  it("there is one of each family", () => expect(families.length).toBe(modelFamilies.length));

  describe.each(families)("%s", (name) => {
    const expected = golden(name);

    it("logits, loss and gradients", async () => {
      const policy = policyOf(expected.config, { trainable: "full" });
      await checkAgainst(expected, policy);
      policy.dispose();
    });

    it("greedy continuation", async () => {
      expect(await greedyRow(expected)).toEqual(expected.greedy);
    });
  });

  it.each(loraGoldens)("%s: logits, loss and gradients, layers computed again", async (name) => {
    const expected = golden(name);
    const adapter = adapterOf(expected, name);
    const policy = policyOf(expected.config, { trainable: "lora", adapter, rematerialise: true });
    await checkAgainst(expected, policy);
    policy.dispose();
  });
});
