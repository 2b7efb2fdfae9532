/** `rlpt sample --image`: files that a prompt shows, and where in it they stand. */
import { readFileSync, statSync } from "node:fs";
import { ConfigError, describeSystemError } from "../lib/errors.ts";
import { printableLine } from "../lib/printable.ts";
import { MAX_BYTES, pictureSize } from "../pictures/decode.ts";
import type { Picture, PictureProcessor, Prompt } from "../types.ts";

/**
 * Pictures of files, whose headers are read at once: before a model is opened for them.
 * @throws ConfigError naming the file that cannot be read @throws DataError naming the file that is no picture
 */
export function imageFiles(paths: readonly string[]): Picture[] {
  return paths.map((path, i) => {
    const name = `--image ${printableLine(path)}`;
    const bytes = readImage(path, name);
    pictureSize(bytes, name);
    return { id: `image ${i}`, name, load: () => bytes };
  });
}

function readImage(path: string, name: string): Uint8Array {
  try {
    const file = statSync(path);
    // a pipe or a device would not end
    if (!file.isFile()) throw new TypeError("it is no regular file");
    if (file.size > MAX_BYTES) throw new TypeError(`it has ${file.size} bytes, more than ${MAX_BYTES}`);
    return readFileSync(path);
  } catch (error) {
    throw new ConfigError(`${name}: cannot be read: ${printableLine(describeSystemError(error))}.`, {
      cause: error,
    });
  }
}

/**
 * What the policy reads of a question with its pictures: of messages the pictures come first; of plain text they stand at their
 * placeholders, or first where it has none.
 * @param reader of the model's pictures; absent where it sees none
 * @throws ConfigError for a model without eyes, and for a number of pictures that does not fit
 */
export function questionInput(
  question: string,
  pictures: readonly Picture[],
  reader: PictureProcessor | undefined,
  form: { chat: boolean; system: string | undefined },
): Prompt["input"] {
  if (reader === undefined) {
    if (pictures.length > 0) {
      throw new ConfigError(
        "--image: the model sees no pictures; give a vision-language model with its preprocessor_config.json, such as SmolVLM or Qwen2-VL, or leave --image out",
      );
    }
    return form.chat ? messagesOf(question, [], form.system) : { kind: "text", text: question };
  }
  const { placeholder } = reader;
  const places = question.split(placeholder).length - 1;
  if (form.chat) {
    if (places > 0) {
      throw new ConfigError(
        `the prompt holds ${placeholder}, which stands for a picture: leave it out, the pictures of --image come first; or place them yourself with --raw`,
      );
    }
    return messagesOf(question, pictures, form.system);
  }
  if (places > 0 && places !== pictures.length) {
    throw new ConfigError(
      `the prompt has ${places} place${places === 1 ? "" : "s"} for pictures (${placeholder}), and --image was given ${pictures.length} times: each place needs one, in order`,
    );
  }
  const text = places > 0 ? question : `${placeholder.repeat(pictures.length)}${question}`;
  return { kind: "text", text, pictures };
}

function messagesOf(
  question: string,
  pictures: readonly Picture[],
  system: string | undefined,
): Prompt["input"] {
  const shown = pictures.map((picture) => ({ type: "image", picture }) as const);
  const content = shown.length === 0 ? question : [...shown, { type: "text", text: question } as const];
  return {
    kind: "chat",
    messages: [
      ...(system === undefined ? [] : [{ role: "system" as const, content: system }]),
      { role: "user", content },
    ],
  };
}
