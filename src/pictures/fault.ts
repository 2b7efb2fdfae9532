import { DataError } from "../lib/errors.ts";

/** What is wrong with a picture, before anybody said which it is. `namedPicture` does. */
export class PictureFault extends DataError {
  /** @param reason a sentence without its full stop @param fix another, with a small letter */
  constructor(reason: string, fix: string) {
    super(`${reason}. ${fix[0]!.toUpperCase()}${fix.slice(1)}.`);
  }
}

/** Says whose fault a PictureFault is. @param name of the picture */
export function namedPicture<T>(name: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof PictureFault)
      throw new DataError(`${name}: this picture cannot be used: ${error.message}`);
    throw error;
  }
}

const AGAIN = "copy or download the file again, or save it anew in an image editor";

export const cutOff = () => new PictureFault("the file is cut off", AGAIN);

/** @param what is damaged, as the end of a sentence: "its Huffman table 2 is no code" */
export const damaged = (what: string) => new PictureFault(`the file is damaged: ${what}`, AGAIN);

/** @param what is not read, as the beginning of a sentence: "arithmetic coding" */
export const unsupported = (what: string) =>
  new PictureFault(`${what} is not read`, "save the picture as PNG or as an ordinary JPEG");
