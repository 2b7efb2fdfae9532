/** Checkpoints of models that also see pictures: their language part, which is a model of its own in transformers. */
import { ModelFileError } from "../../lib/errors.ts";
import type { WeightSource } from "../interfaces.ts";
import { isObject, type JsonObject } from "./json.ts";

/** By `model_type` of the language part: the whole's, and how weights are called there. */
const PARTS = [
  {
    modelType: "qwen3_5_text",
    whole: "qwen3_5",
    architecture: "Qwen3_5ForCausalLM",
    prefix: "model.language_model.",
    /** What the class leaves out of a file, and what it is; keys that speak of it. */
    left: [
      { prefix: "model.visual.", what: "of the part that sees pictures" },
      { prefix: "mtp.", what: "of the part that predicts further tokens" },
    ],
    leftKeys: ["mtp_num_hidden_layers", "mtp_use_dedicated_embeddings"],
  },
] as const;

/** Keys of the whole that are the language part's too, where it does not say them itself. */
const SHARED = ["dtype", "torch_dtype", "bos_token_id", "eos_token_id", "pad_token_id"];
/** Keys of the whole that say nothing of its language part. */
const OTHERS = new Set([
  ...["architectures", "model_type", "text_config", "vision_config", "tie_word_embeddings"],
  ...["image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id"],
  ...["transformers_version", "language_model_only"],
]);

export interface LanguagePart {
  /** config.json of the language part alone: what is saved has it. */
  config: JsonObject;
  /** The weights under its names, without those that it leaves out; and sentences to print. */
  weights(source: WeightSource): { weights: WeightSource; notes: string[] };
  /** The file is that of a whole model, whose chat template may place pictures. */
  ofWhole: boolean;
}

/**
 * @param config config.json
 * @param path of the model, for messages
 * @returns null where the model is read as it is
 * @throws ModelFileError where the whole contradicts its part
 */
export function languagePart(config: Readonly<JsonObject>, path: string): LanguagePart | null {
  const part = PARTS.find(({ modelType, whole }) =>
    [modelType, whole].includes(String(config["model_type"]) as typeof whole),
  );
  if (part === undefined) return null;
  const ofWhole = config["model_type"] === part.whole;
  const own = ofWhole ? ownConfig(config, part, `${path}: config.json`) : config;
  const left: readonly string[] = part.leftKeys;
  return {
    config: Object.fromEntries(Object.entries(own).filter(([key]) => !left.includes(key))),
    weights: (source) => ownWeights(source, part, path),
    ofWhole,
  };
}

type Part = (typeof PARTS)[number];

function ownConfig(whole: Readonly<JsonObject>, part: Part, file: string): JsonObject {
  const text = whole["text_config"];
  if (!isObject(text)) {
    throw new ModelFileError(
      `${file}: text_config ${text === undefined ? "is missing" : `= ${JSON.stringify(text)}`}: the language part of ${part.whole} is described there`,
    );
  }
  const type = text["model_type"] ?? part.modelType;
  if (type !== part.modelType) {
    throw new ModelFileError(
      `${file}: text_config.model_type = ${JSON.stringify(type)}: only ${JSON.stringify(part.modelType)} is supported`,
    );
  }
  const [tied, own] = [whole["tie_word_embeddings"], text["tie_word_embeddings"] ?? false];
  if (tied !== undefined && tied !== own) {
    throw new ModelFileError(
      `${file}: tie_word_embeddings = ${tied}, and ${own} in text_config: say the same in both`,
    );
  }
  const shared = SHARED.filter((key) => whole[key] !== undefined && text[key] === undefined);
  // what is not known of the whole is for the family to judge
  const rest = Object.keys(whole).filter((key) => !OTHERS.has(key) && !SHARED.includes(key));
  const strange = rest.find((key) => text[key] !== undefined && text[key] !== whole[key]);
  if (strange !== undefined) {
    throw new ModelFileError(
      `${file}: ${strange} = ${JSON.stringify(whole[strange])}, and ${JSON.stringify(text[strange])} in text_config: say the same in both`,
    );
  }
  return {
    ...text,
    ...Object.fromEntries([...shared, ...rest].map((key) => [key, whole[key]])),
    model_type: part.modelType,
    architectures: [part.architecture],
  };
}

function ownWeights(
  source: WeightSource,
  part: Part,
  path: string,
): { weights: WeightSource; notes: string[] } {
  const isLeft = (name: string) => part.left.find(({ prefix }) => name.startsWith(prefix));
  const given = new Map(
    source.names
      .filter((name) => isLeft(name) === undefined)
      .map((name) => [name.startsWith(part.prefix) ? `model.${name.slice(part.prefix.length)}` : name, name]),
  );
  const counted = part.left.flatMap(({ prefix, what }) => {
    const count = source.names.filter((name) => name.startsWith(prefix)).length;
    return count === 0 ? [] : [`${count} tensors ${what} (${prefix}*)`];
  });
  const notes =
    counted.length === 0
      ? []
      : [
          `${path}: ${counted.join(" and ")} are left out: what is trained and saved is the language part, ${part.architecture}, which sees no pictures`,
        ];
  const nameOf = (name: string) => given.get(name) ?? name;
  return {
    weights: {
      names: [...given.keys()],
      shape: (name) => source.shape(nameOf(name)),
      dtype: (name) => source.dtype(nameOf(name)),
      read: (name) => source.read(nameOf(name)),
      close: () => source.close(),
    },
    notes,
  };
}
