import { ModelFileError } from "../lib/errors.ts";
import type { PictureProcessor } from "../types.ts";
import type { ProcessorFamily, ProcessorFiles } from "./family.ts";
import { idefics3 } from "./idefics3.ts";
import { qwen2Vl } from "./qwen2-vl.ts";
import { isObject, Settings } from "./settings.ts";

const FAMILIES: readonly ProcessorFamily[] = [idefics3, qwen2Vl];

/** `model_type`s whose pictures are read. */
export const PICTURE_MODELS: readonly string[] = FAMILIES.flatMap(({ modelTypes }) => modelTypes);

/**
 * How a model reads pictures, of its own files. Equal to the Hugging Face processor of the same files (its Pillow backend) to the bit;
 * tools/goldens/pictures.py and the golden file say of which version.
 * @throws ModelFileError naming the file and the key that is wrong or that means something not done here
 */
export function pictureProcessor(files: ProcessorFiles): PictureProcessor {
  const file = (name: string) => `${files.path}/${name}`;
  const config = new Settings(files.config, file("config.json"));
  const modelType = config.get("model_type");
  const family = FAMILIES.find(({ modelTypes }) => modelTypes.includes(modelType as string));
  if (family === undefined)
    return config.fault(
      "model_type",
      "pictures of such a model are not read",
      `They are of ${PICTURE_MODELS.join(", ")}.`,
    );
  const processor = new Settings(files.processor ?? {}, file("processor_config.json"));
  const nested = isObject(files.processor) && isObject(files.processor["image_processor"]);
  if (!isObject(files.preprocessor) && !nested)
    throw new ModelFileError(
      `${file("preprocessor_config.json")}: it is missing, and says how a ${modelType} reads pictures. Take it from where the model comes from.`,
    );
  const preprocessor = isObject(files.preprocessor)
    ? new Settings(files.preprocessor, file("preprocessor_config.json"))
    : processor.inner("image_processor");
  processor.ignore("processor_class", "image_processor", "video_processor", "chat_template", "auto_map");
  const kind = preprocessor.get("image_processor_type");
  if (kind !== undefined && !family.imageProcessors.includes(String(kind).replace(/(Fast|Pil)$/, "")))
    preprocessor.fault(
      "image_processor_type",
      `a ${modelType} has another`,
      `It is ${family.imageProcessors.join(" or ")}.`,
    );
  const opened = family.open({ preprocessor, processor, config }, (text) => {
    const [own, said] = [files.tokenIdOf(text), config.get("image_token_id")];
    if (own !== undefined && (said === undefined || said === own)) return own;
    const reason = own === undefined ? `the tokenizer has no ${text}` : `the tokenizer has ${text} at ${own}`;
    return config.fault("image_token_id", reason, "Take tokenizer and config.json of the same model.");
  });
  preprocessor.finish();
  processor.finish();
  return opened;
}
