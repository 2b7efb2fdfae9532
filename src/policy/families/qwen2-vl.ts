/** Qwen2-VL and Qwen2.5-VL: a tower turned by rows and columns, a merger, and Qwen2's decoder with three positions a token. */
import type { DecoderConfig, LayerConfig, RotaryConfig, VisionConfig } from "../interfaces.ts";
import type { ModelFamily } from "./family.ts";
import { linear } from "./layers.ts";
import { qwen2 } from "./qwen.ts";
import { ConfigReader, type Json } from "./reader.ts";

export const qwen2Vl: ModelFamily = {
  modelType: "qwen2_vl",
  architecture: "Qwen2VLForConditionalGeneration",
  models: "Qwen2-VL (2B, 7B)",
  own: "tiles of any size, 2-D rotation in the tower; multimodal rotary positions in the decoder; pictures, no videos",
  read: (reader) => readModel(reader, readTower2),
};

export const qwen25Vl: ModelFamily = {
  modelType: "qwen2_5_vl",
  architecture: "Qwen2_5_VLForConditionalGeneration",
  models: "Qwen2.5-VL (3B, 7B)",
  own: "as Qwen2-VL, with windows, RMS norms and SwiGLU in the tower",
  read: (reader) => readModel(reader, readTower25),
};

type Tower = Omit<VisionConfig, "imageTokenId" | "prefix" | "layerPrefix">;

function readModel(
  reader: ConfigReader,
  readTower: (reader: ConfigReader, width: number) => Tower,
): DecoderConfig {
  const { text, textReader } = textPart(reader);
  const { sections, json } = withoutSections(textReader, text);
  const decoder = qwen2.read(textReader.with(json));
  const heads = decoder.layers.map(({ mixer }) => (mixer.kind === "attention" ? mixer.headDim : 0));
  const listed = sections.reduce((sum, size) => sum + size, 0);
  if (listed !== heads[0]! / 2) {
    reader.refuse(
      `mrope_section = ${JSON.stringify(sections)} has ${listed} frequencies, and half a head (hidden_size / num_attention_heads / 2) has ${heads[0]! / 2}`,
    );
  }
  const tied = reader.flag("tie_word_embeddings", false);
  if (textReader !== reader) textReader.finish();
  reader.unread(
    "video_token_id",
    "vision_start_token_id",
    "vision_end_token_id",
    "vision_token_id",
    "rope_scaling",
  );
  const vision = reader.raw("vision_config");
  if (typeof vision !== "object" || vision === null) reader.fail("vision_config", "an object is needed");
  const tower = new ConfigReader(vision as Json, `${reader.file}: vision_config`, reader.family);
  const imageTokenId = reader.json["image_token_id"] ?? 151655;
  if (
    !Number.isInteger(imageTokenId) ||
    Number(imageTokenId) < 0 ||
    Number(imageTokenId) >= decoder.vocabSize
  ) {
    reader.fail("image_token_id", `an id of the vocabulary, below ${decoder.vocabSize}, is needed`);
  }
  const found = readTower(tower, decoder.hiddenSize);
  tower.finish();
  const turned = new Map<RotaryConfig, RotaryConfig>();
  return {
    ...decoder,
    family: reader.family,
    tiedEmbeddings: tied,
    // files of transformers 4.52 to 5 call the parts by the attributes of the class
    aliases: [
      ["model.visual.", "visual."],
      ["model.language_model.", "model."],
    ],
    layers: decoder.layers.map((layer) => withAxes(layer, sections, turned)),
    vision: {
      ...found,
      prefix: "visual.",
      layerPrefix: "visual.blocks.",
      imageTokenId: Number(imageTokenId),
    },
  };
}

/** Keys of the decoder: beside `vision_config` in published files, in `text_config` where newer versions wrote them. */
function textPart(reader: ConfigReader): { text: Json; textReader: ConfigReader } {
  const nested = reader.raw("text_config");
  if (nested == null) return { text: reader.json, textReader: reader };
  if (typeof nested !== "object" || Array.isArray(nested)) reader.fail("text_config", "an object is needed");
  const text = nested as Json;
  const type = text["model_type"] ?? `${reader.family}_text`;
  if (![reader.family, `${reader.family}_text`].includes(String(type))) {
    reader.refuse(`text_config.model_type = ${JSON.stringify(type)}: "${reader.family}_text" is needed`);
  }
  // what published files say at the top stays there as a remark
  for (const key of Object.keys(text)) {
    const own = reader.json[key];
    if (key === "model_type" || own === undefined) continue;
    if (JSON.stringify(own) !== JSON.stringify(text[key])) {
      if (["architectures", "torch_dtype", "dtype", "transformers_version"].includes(key)) continue;
      reader.fail(key, "text_config says otherwise: say the same in both");
    }
    reader.unread(key);
  }
  return { text, textReader: new ConfigReader(text, `${reader.file}: text_config`, reader.family) };
}

/** The rotary parameters as Qwen2's class reads them, and the sections apart. */
function withoutSections(
  reader: ConfigReader,
  text: Json,
): { sections: [number, number, number]; json: Json } {
  const key = text["rope_scaling"] != null ? "rope_scaling" : "rope_parameters";
  const parameters = text[key];
  if (typeof parameters !== "object" || parameters === null) {
    return reader.fail(key, "an object with mrope_section is needed");
  }
  const { mrope_section: sections, ...rest } = parameters as Record<string, unknown>;
  const fits =
    Array.isArray(sections) && sections.length === 3 && sections.every((n) => Number.isInteger(n) && n > 0);
  if (!fits) reader.fail(key, "mrope_section needs three positive integers");
  return { sections: sections as [number, number, number], json: { ...text, [key]: rest } };
}

/** The layer with the sections in its rotary table; tables stay shared. */
function withAxes(
  layer: LayerConfig,
  sections: readonly [number, number, number],
  turned: Map<RotaryConfig, RotaryConfig>,
): LayerConfig {
  const { mixer } = layer;
  if (mixer.kind !== "attention" || mixer.rotary === null) return layer;
  const rotary = turned.get(mixer.rotary) ?? { ...mixer.rotary, sections };
  turned.set(mixer.rotary, rotary);
  return { ...layer, mixer: { ...mixer, rotary } };
}

interface Shape {
  hiddenSize: number;
  heads: number;
  depth: number;
  patch: number;
  merge: number;
  frames: number;
}

function readShape(reader: ConfigReader, widthKey: "embed_dim" | "hidden_size", width: number): Shape {
  const depth = reader.count("depth", "layers", 32);
  const hiddenSize = reader.count(widthKey, "width", width);
  const heads = reader.count("num_heads", "heads", 16);
  if (hiddenSize % heads !== 0 || (hiddenSize / heads) % 4 !== 0) {
    reader.refuse(
      `${widthKey} = ${hiddenSize} of num_heads = ${heads}: a head needs a multiple of 4 dimensions, half of them for rows`,
    );
  }
  // published files say in_chans, which the class does not read
  reader.unread("in_chans", "spatial_patch_size", "model_type");
  const channels = reader.count("in_channels", "width", 3);
  if (channels !== 3) reader.fail("in_channels", "pictures have 3");
  const frames = reader.count("temporal_patch_size", "width", 2);
  const [patch, merge] = [
    reader.count("patch_size", "width", 14),
    reader.count("spatial_merge_size", "width", 2),
  ];
  const rope = reader.raw("rope_parameters");
  if (rope != null) {
    const { rope_theta: theta = 1e4, rope_type: type = "axial" } = rope as Record<string, unknown>;
    if (theta !== 1e4 || !["axial", "default"].includes(String(type))) {
      reader.fail("rope_parameters", "only axial rotation with rope_theta 10000 is supported");
    }
  }
  return { hiddenSize, heads, depth, patch, merge, frames };
}

function towerOf(
  { hiddenSize, heads, depth, patch, merge, frames }: Shape,
  width: number,
  rest: {
    norm: VisionConfig["norm"];
    windows: VisionConfig["windows"];
    mlp: (n: number) => LayerConfig["mlp"];
  },
): Tower {
  const headDim = hiddenSize / heads;
  const wide = hiddenSize * merge ** 2;
  const inverse = Float64Array.from({ length: headDim / 4 }, (_, j) => 1e4 ** ((-2 * j) / (headDim / 2)));
  const rotary = { inverse, attentionFactor: 1 };
  return {
    hiddenSize,
    patch: {
      module: "visual.patch_embed.proj",
      shape: [hiddenSize, 3, frames, patch, patch],
      bias: false,
      from: "vision_config: embed_dim, in_channels, temporal_patch_size, patch_size, patch_size",
    },
    positions: { kind: "axial", inverse },
    norm: rest.norm,
    residualScale: 1,
    layers: Array.from({ length: depth }, (_, n) => {
      const own = (name: string) => `visual.blocks.${n}.${name}`;
      return {
        mixer: {
          kind: "attention" as const,
          heads,
          keyValueHeads: heads,
          headDim,
          projections: {
            kind: "joined" as const,
            all: linear(own("attn.qkv"), [3 * hiddenSize, hiddenSize], "3 * embed_dim, embed_dim", true),
          },
          output: linear(own("attn.proj"), [hiddenSize, hiddenSize], "embed_dim, embed_dim", true),
          queryKeyNorm: null,
          rotary,
          scale: headDim ** -0.5,
          softcap: null,
          window: null,
        },
        mlp: rest.mlp(n),
        norms: { mixerInput: own("norm1"), mixerOutput: null, mlpInput: own("norm2"), mlpOutput: null },
        parallel: false,
      };
    }),
    finalNorm: null,
    connector: {
      kind: "merger",
      scale: merge,
      prefix: "visual.merger.",
      norm: "visual.merger.ln_q",
      up: linear("visual.merger.mlp.0", [wide, wide], "embed_dim * merge^2, embed_dim * merge^2", true),
      down: linear("visual.merger.mlp.2", [width, wide], "hidden_size, embed_dim * merge^2", true),
    },
    windows: rest.windows,
  };
}

function readTower2(reader: ConfigReader, width: number): Tower {
  const shape = readShape(reader, "embed_dim", 1280);
  const output = reader.count("hidden_size", "width", 3584);
  if (output !== width) reader.fail("hidden_size", `the decoder's hidden_size, ${width}, is needed`);
  const ratio = reader.raw("mlp_ratio") ?? 4;
  const inner = shape.hiddenSize * Number(ratio);
  if (typeof ratio !== "number" || !Number.isInteger(inner) || inner < 1) {
    reader.fail("mlp_ratio", "a number that makes a whole width of embed_dim is needed");
  }
  reader.oneOf("hidden_act", ["quick_gelu"], "quick_gelu");
  return towerOf(shape, width, {
    norm: { kind: "layer", epsilon: 1e-6 },
    windows: null,
    mlp: (n) => ({
      kind: "plain",
      activation: "quick-gelu",
      up: linear(
        `visual.blocks.${n}.mlp.fc1`,
        [inner, shape.hiddenSize],
        "embed_dim * mlp_ratio, embed_dim",
        true,
      ),
      down: linear(
        `visual.blocks.${n}.mlp.fc2`,
        [shape.hiddenSize, inner],
        "embed_dim, embed_dim * mlp_ratio",
        true,
      ),
    }),
  });
}

function readTower25(reader: ConfigReader, width: number): Tower {
  const shape = readShape(reader, "hidden_size", 3584);
  const output = reader.count("out_hidden_size", "width", 3584);
  if (output !== width) reader.fail("out_hidden_size", `the decoder's hidden_size, ${width}, is needed`);
  const inner = reader.count("intermediate_size", "size", 3420);
  reader.oneOf("hidden_act", ["silu"], "silu");
  reader.unread("tokens_per_second");
  const pixels = reader.count("window_size", "width", 112);
  const side = Math.floor(pixels / shape.merge / shape.patch);
  if (side < 1) reader.fail("window_size", "a window holds at least one merged patch");
  const full = reader.raw("fullatt_block_indexes") ?? [7, 15, 23, 31];
  if (!Array.isArray(full) || full.some((n) => !Number.isInteger(n))) {
    reader.fail("fullatt_block_indexes", "a list of layers is needed");
  }
  const part = (n: number, name: string, size: [number, number], from: string) =>
    linear(`visual.blocks.${n}.mlp.${name}`, size, from, true);
  const wide: [number, number] = [inner, shape.hiddenSize];
  const from = "intermediate_size, hidden_size";
  return towerOf(shape, width, {
    norm: { kind: "rms", epsilon: 1e-6 },
    windows: { side, full: full as number[] },
    mlp: (n) => ({
      kind: "gated",
      activation: "silu",
      gate: part(n, "gate_proj", wide, from),
      up: part(n, "up_proj", wide, from),
      down: part(n, "down_proj", [shape.hiddenSize, inner], "hidden_size, intermediate_size"),
    }),
  });
}
