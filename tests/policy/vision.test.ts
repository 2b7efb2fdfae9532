/** Pictures in batches, caches, parts and adapters; against transformers they are held by the goldens. */
import * as tf from "@tensorflow/tfjs";
import { beforeAll, describe, expect, it } from "vitest";
import { padRows } from "../../src/algorithms/token-batch.ts";
import { createRng } from "../../src/lib/rng.ts";
import { batchPictures } from "../../src/policy/batch-pictures.ts";
import { partOf } from "../../src/policy/decoder-weights.ts";
import { parseModelConfig } from "../../src/policy/model-config.ts";
import { MODEL_PARTS } from "../../src/policy/model-parts.ts";
import { PictureFeatures } from "../../src/policy/picture-features.ts";
import { createPolicy, type DecoderPolicy } from "../../src/policy/policy.ts";
import { fewTileTokens } from "../../src/policy/vision.ts";
import { undrawnIds } from "../../src/rollouts/sample-token.ts";
import type { PictureTile, PromptPictures } from "../../src/types.ts";
import { memoryWeights, plainBatch } from "../helpers/closed-form.ts";
import { goldenPictures } from "../helpers/golden-pictures.ts";
import { batchOf, golden, policyOf } from "../helpers/goldens.ts";
import { expectClose, testBackends, useBackend } from "../helpers/tensors.ts";

const { config, ids } = golden("idefics3");
const both = goldenPictures(config, ids)!;
const IMAGE = config["image_token_id"] as number;

/** A prompt that shows one of the two pictures, or none. */
function promptOf(both: PromptPictures, tile: 0 | 1 | null, words: readonly number[]) {
  const shown = tile === null ? null : both.tiles[tile]!;
  const image = new Array<number>(shown?.tokens ?? 0).fill(IMAGE);
  const prompt = Int32Array.from([...words.slice(0, 2), ...image, ...words.slice(2)]);
  const at = Int32Array.from(image, (_, i) => 2 + i);
  const pictures: PromptPictures | null = shown === null ? null : { tiles: [shown], at };
  return { prompt, pictures };
}

const scores = (policy: DecoderPolicy, batch: Parameters<DecoderPolicy["score"]>[0]) =>
  tf.tidy(() => policy.score(batch, { temperature: 1 }).logprobs.dataSync() as Float32Array);

const cases = testBackends.flatMap((backend) =>
  ["idefics3", "qwen2_vl", "qwen2_5_vl"].map((name) => ({ backend, name })),
);
describe.each(cases)("$name on $backend", ({ backend, name }) => {
  const { config, ids } = golden(name);
  const both = goldenPictures(config, ids)!;
  const half = both.tiles[0]!.tokens;
  let policy: DecoderPolicy;
  beforeAll(async () => {
    await useBackend(backend);
    policy = policyOf(config, { trainable: "none" });
  });

  it("which picture stands where matters, and the rows of a tile follow it", () => {
    const every = Int32Array.from(ids, (_, i) => i);
    const logits = (pictures: PromptPictures) => {
      const batch = { ...plainBatch([ids]), pictures: batchPictures([{ start: 0, pictures }], ids.length) };
      return policy.logits(batch, every).dataSync();
    };
    const [first, second] = both.tiles as [PictureTile, PictureTile];
    const swapped = logits({ tiles: [second, first], at: both.at });
    // the same by its places in the place of its tiles
    const at = Int32Array.from([...both.at.subarray(half), ...both.at.subarray(0, half)]);
    if (first.tokens === second.tokens) {
      expectClose(swapped, logits({ tiles: [first, second], at }), { atol: 1e-6, rtol: 0, what: "swapped" });
    }
    const difference = Math.max(...logits(both).map((x, i) => Math.abs(x - swapped[i]!)));
    expect(difference).toBeGreaterThan(0.1);
  });

  it("completions that share a prompt score as rows of their own, beside prompts without pictures", () => {
    const asked = [
      promptOf(both, 0, [5, 6, 7, 8]),
      promptOf(both, 1, [9, 10, 11]),
      promptOf(both, null, [12, 13, 14, 15, 16]),
    ];
    const rows = asked.flatMap(({ prompt, pictures }, p) =>
      [0, 1, 2].map((g) => ({ prompt, pictures, completion: [20 + 3 * p + g, 30 + g, 40] })),
    );
    const alone = rows.map((row) => {
      const { batch, starts } = padRows([row]);
      return [...scores(policy, batch).slice(0, starts[1])];
    });
    const tileTokens = fewTileTokens(policy.config);
    const shapes = { devices: 1, tileTokens };
    for (const few of [null, { scoreAll: true, ...shapes }, { scoreAll: false, ...shapes }]) {
      const { batch, starts, slots } = padRows(rows, few);
      expect(batch.shared).not.toBeNull();
      const tiles = batch.pictures!.tiles;
      expect(tiles.filter((tile) => tile !== null)).toEqual([both.tiles[0], both.tiles[1]]);
      const all = scores(policy, batch);
      for (const [i, slot] of slots.entries()) {
        const found = all.slice(slot, slot + starts[i + 1]! - starts[i]!);
        expectClose(found, alone[i]!, { atol: 2e-5, rtol: 0, what: `completion ${i}` });
      }
    }
  });

  it("decoding from the cache goes on where a whole pass would, past pictures and left padding", async () => {
    const asked = [
      promptOf(both, 0, [5, 6, 7, 8]),
      promptOf(both, null, [9, 10, 11]),
      promptOf(both, 1, [12, 13, 14]),
    ];
    const added = [21, 22, 23];
    const session = await policy.startGeneration(
      asked.map(({ prompt }) => prompt),
      { repeats: 2, maxNewTokens: added.length, pictures: asked.map(({ pictures }) => pictures) },
    );
    for (const token of added) await session.step(new Int32Array(6).fill(token));
    const found = session.logits.slice();
    for (const [p, { prompt, pictures }] of asked.entries()) {
      const row = [...prompt, ...added];
      const batch = { ...plainBatch([row]), pictures: batchPictures([{ start: 0, pictures }], row.length) };
      const whole = policy.logits(batch, Int32Array.of(row.length - 1)).dataSync();
      for (const repeat of [0, 1]) {
        const at = (2 * p + repeat) * policy.vocabSize;
        expectClose(found.subarray(at, at + policy.vocabSize), whole, { atol: 2e-5, rtol: 0, what: `${p}` });
      }
    }
    session.dispose();
  });
});

describe("a tower that nothing trains", () => {
  beforeAll(() => useBackend("wasm with our kernels"));

  it("is asked once for a tile, and gives what it gives beside others", () => {
    const lora = { rank: 2, alpha: 4, targets: ["q_proj"], useRslora: false };
    const policy = policyOf(config, { trainable: "lora", lora, rng: createRng(1) });
    const whole = policyOf(config, { trainable: "full" });
    const tiles = both.tiles.map((tile) => ({ ...tile, patches: tile.patches.slice() }));
    const pictures = batchPictures([{ start: 0, pictures: { tiles, at: both.at } }], ids.length);
    const batch = { ...plainBatch([ids]), pictures };
    const gradient = () => {
      const { loss, gradients } = policy.lossAndGradients(
        () => tf.neg(tf.mean(policy.score(batch, { temperature: 1 }).logprobs)) as tf.Scalar,
      );
      const values = [...gradients].map(([name, one]) => [name, ...one.dataSync()]);
      tf.dispose([loss, ...gradients.values()]);
      return values;
    };
    const first = gradient();
    expectClose(scores(policy, batch), scores(whole, batch), { atol: 1e-5, rtol: 0, what: "logprobs" });
    // patches that nobody looks at again
    for (const { patches } of tiles) patches.fill(Number.NaN);
    expect(gradient()).toEqual(first);
    expect([...scores(whole, batch)].some(Number.isNaN)).toBe(true);
    whole.dispose();
    policy.dispose();
  });

  it("is asked again for what was let go, with the same bytes", () => {
    const made: PictureTile[] = [];
    const tiles = [0, 1, 2].map((n) => ({ patches: Float32Array.of(n), rows: 1, columns: 1, tokens: 1 }));
    const compute = (tile: PictureTile) => {
      made.push(tile);
      return tf.tensor2d([tile.patches[0]!, 7], [1, 2]);
    };
    const features = new PictureFeatures(compute, () => {}, 16);
    const before = tf.memory().numTensors;
    features.look([tiles[0]!, tiles[1]!]);
    features.look([tiles[1]!, tiles[0]!]);
    expect(made).toEqual([tiles[0], tiles[1]]);
    features.look([tiles[2]!]);
    // the first in the order of use is gone, the others are there
    expect(tf.memory().numTensors - before).toBe(2);
    expect([...features.of(tiles[0]!).dataSync()]).toEqual([0, 7]);
    features.look([tiles[1]!]);
    expect(made).toEqual([tiles[0], tiles[1], tiles[2], tiles[1]]);
    // more than fits is kept as long as it is wanted
    features.look(tiles);
    expect(tf.memory().numTensors - before).toBe(3);
    features.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe("parts of the model", () => {
  beforeAll(() => useBackend("wasm with our kernels"));
  const parsed = parseModelConfig(config, "golden");
  const loss = (policy: DecoderPolicy) => () =>
    tf.neg(tf.mean(policy.score(batchOf({ config, ids }), { temperature: 1 }).logprobs)) as tf.Scalar;

  it.each(MODEL_PARTS)("%s alone is trained, with the gradients that it has among all", (part) => {
    const whole = policyOf(config, { trainable: "full" });
    const all = whole.lossAndGradients(loss(whole));
    for (const rematerialise of [false, true]) {
      const policy = policyOf(config, { trainable: "full", parts: [part], reference: true, rematerialise });
      const own = [...policy.trainable.keys()];
      expect(own).toEqual([...whole.trainable.keys()].filter((name) => partOf(parsed, name) === part));
      expect(own.length).toBeGreaterThan(0);
      const { gradients } = policy.lossAndGradients(loss(policy));
      for (const name of own) {
        expectClose(gradients.get(name)!.dataSync(), all.gradients.get(name)!.dataSync(), {
          atol: 1e-6,
          rtol: 1e-4,
          what: name,
        });
      }
      // the reference stays where the policy was, though it holds only what is trained
      const before = scores(policy, batchOf({ config, ids }));
      for (const variable of policy.trainable.values()) variable.assign(tf.mul(variable, 1.5));
      const reference = tf.tidy(
        () =>
          policy
            .score(batchOf({ config, ids }), { temperature: 1, reference: true })
            .logprobs.dataSync() as Float32Array,
      );
      expect([...reference]).toEqual([...before]);
      expect(scores(policy, batchOf({ config, ids }))).not.toEqual(before);
      expect(policy.exportReference()!.map(({ name }) => name)).toEqual(own);
      expect([...policy.exportWeights()].map(({ name }) => name)).toEqual(
        [...whole.exportWeights()].map(({ name }) => name),
      );
      policy.dispose();
    }
    whole.dispose();
  });

  it("adapters: the decoder's by default, all linear layers of the other parts where they are named", () => {
    const lora = { rank: 2, alpha: 4, targets: ["q_proj"], useRslora: false };
    const modules = (parts?: (typeof MODEL_PARTS)[number][]) => {
      const options = { trainable: "lora" as const, lora, rng: createRng(1), ...(parts ? { parts } : {}) };
      const policy = policyOf(config, options);
      const { tensors, config: json } = policy.exportAdapter()!;
      const targets = json["target_modules"] as string[];
      // named in full: by its last name alone, peft would adapt the tower's q_proj too
      const again = createPolicy(
        { config, weights: memoryWeights([...policy.exportWeights()]), source: "again" },
        { trainable: "lora", adapter: { tensors, config: json, source: "adapter" } },
      );
      expect(again.exportAdapter()!.tensors).toEqual(tensors);
      again.dispose();
      policy.dispose();
      return targets;
    };
    const decoder = [
      "model.text_model.layers.0.self_attn.q_proj",
      "model.text_model.layers.1.self_attn.q_proj",
    ];
    expect(modules()).toEqual(decoder);
    const tower = modules(["tower"]);
    expect(tower).toHaveLength(2 * 6);
    expect(tower.every((name) => name.startsWith("model.vision_model.encoder.layers."))).toBe(true);
    expect(modules(["projector", "decoder"])).toEqual([
      "model.connector.modality_projection.proj",
      ...decoder,
    ]);
  });
});

it("the image token is never drawn", () => {
  const pictures = {
    imageTokenId: IMAGE,
    placeholder: "<image>",
    measure: () => never(),
    process: () => never(),
  };
  const undrawn = undrawnIds({ size: 97, eosIds: [2], pictures }, 97)!;
  expect(undrawn.indexOf(1)).toBe(IMAGE);
  expect(undrawn.lastIndexOf(1)).toBe(IMAGE);
  expect(undrawnIds({ size: 97, eosIds: [2] }, 97)).toBeNull();
});

function never(): never {
  throw new Error("not asked");
}
