/** What a model family declares: how its config.json reads, and what people know it by. */
import type { DecoderConfig } from "../interfaces.ts";
import type { ConfigReader } from "./reader.ts";

export interface ModelFamily {
  /** `model_type` of config.json. */
  readonly modelType: string;
  /** Its class in transformers: read where a file has no `model_type`. */
  readonly architecture: string;
  /** Published models, for docs/models.md. */
  readonly models: string;
  /** What it computes that others do not, for docs/models.md. */
  readonly own: string;
  /** What older files call theta and the share of a head that is turned, where it is not what all others do. */
  readonly olderRopeKeys?: { readonly theta: string; readonly share: string };
  /** The whole decoder as data, from the keys that the family's class reads, with that class's defaults. */
  read(reader: ConfigReader): DecoderConfig;
}
