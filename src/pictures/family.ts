import type { PictureProcessor } from "../types.ts";
import type { Settings } from "./settings.ts";

/** What a model says of pictures. */
export interface ProcessorFiles {
  /** preprocessor_config.json; null where processor_config.json holds it under `image_processor`, as newer transformers save it. */
  preprocessor: unknown;
  /** processor_config.json; null without one. */
  processor: unknown;
  /** config.json */
  config: unknown;
  /** The id of an added token; undefined where the tokenizer has none of that text. */
  tokenIdOf(text: string): number | undefined;
  /** The model's folder, for messages. */
  path: string;
}

/** How the models of a kind read pictures. */
export interface ProcessorFamily {
  /** `model_type` of config.json. */
  modelTypes: readonly string[];
  /** `image_processor_type` without Fast and Pil, which choose another implementation of the same. */
  imageProcessors: readonly string[];
  /** Asks for each key that it knows; what it leaves is refused. */
  open(
    settings: { preprocessor: Settings; processor: Settings; config: Settings },
    imageToken: ImageToken,
  ): PictureProcessor;
}

/** Finds the image token. @throws ModelFileError where tokenizer and config.json disagree, or one has none */
export type ImageToken = (text: string) => number;
