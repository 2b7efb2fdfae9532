/** config.json of a decoder, in both of its spellings, to a decoder as data. */
import { ModelFileError } from "../lib/errors.ts";
import type { ModelFamily } from "./families/family.ts";
import { modelFamilies } from "./families/kinds.ts";
import { ConfigReader, type Json } from "./families/reader.ts";
import type { DecoderConfig } from "./interfaces.ts";

/**
 * Reads a decoder's config.json, older files (`rope_theta`, `rope_scaling`) and newer ones (`rope_parameters`).
 * @param file what messages start with
 * @throws ModelFileError naming the key that is missing, out of range, not supported or not known to the family
 */
export function parseModelConfig(json: Json, file: string): DecoderConfig {
  const family = familyOf(json, file);
  const reader = new ConfigReader(json, file, family.modelType);
  const config = family.read(reader);
  reader.finish();
  return config;
}

function familyOf(json: Json, file: string): ModelFamily {
  const type = json["model_type"];
  const listed = json["architectures"];
  const architecture = Array.isArray(listed) ? String(listed[0]) : "";
  const found = modelFamilies.find((family) =>
    type === undefined ? family.architecture === architecture : family.modelType === type,
  );
  if (found !== undefined) return found;
  const given = type === undefined ? "is missing" : `= ${JSON.stringify(type)} is not supported`;
  const known = modelFamilies.map(({ modelType }) => modelType).join(", ");
  throw new ModelFileError(
    `${file}: model_type ${given}; known are ${known} (SmolLM2 and Llama 3 are llama)`,
  );
}
