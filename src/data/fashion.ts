/** Fashion-MNIST from a folder with its four files, as they are published or as Debian installs them. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { DataError } from "../lib/errors.ts";
import { FileReadError, readRegularFile } from "../lib/regular-file.ts";

/** Where Debian's package dataset-fashion-mnist puts them. */
export const DEBIAN_FASHION = "/usr/share/datasets/fashion-mnist";

export interface GreyPictures {
  /** Values 0..255 of picture `index`. [28, 28] */
  pixels(index: number): Uint8Array;
  /** 0..9, one a picture. */
  labels: Uint8Array;
}

export interface Fashion {
  /** 60,000 and 10,000. */
  train: GreyPictures;
  test: GreyPictures;
}

const SIDE = 28;
/** Bytes of the largest file that is read: the 60,000 pictures, unpacked. */
const LARGEST = 64_000_000;

const NAMES = [
  "train-images-idx3-ubyte",
  "train-labels-idx1-ubyte",
  "t10k-images-idx3-ubyte",
  "t10k-labels-idx1-ubyte",
];

/** The four files, with .gz or without. @throws DataError naming the one that is not there */
export function fashionFiles(folder: string): string[] {
  return NAMES.map((name) => {
    const found = [name, `${name}.gz`].map((one) => join(folder, one)).find((path) => existsSync(path));
    if (found !== undefined) return found;
    throw new DataError(
      `${folder}: has no file ${name} or ${name}.gz, one of the four of Fashion-MNIST. Set \`fashion\` to the folder that holds them; Debian's package dataset-fashion-mnist has them in ${DEBIAN_FASHION}.`,
    );
  });
}

/** Header of an IDX file of bytes: the magic number's last byte counts the sizes that follow. @returns the values after it */
function readIdx(path: string, sizes: readonly (number | null)[]): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = readRegularFile(path, LARGEST);
    if (path.endsWith(".gz")) bytes = gunzipSync(bytes, { maxOutputLength: LARGEST });
  } catch (error) {
    const reason = error instanceof FileReadError ? error.message : `it cannot be unpacked (${error})`;
    throw new DataError(`${path}: ${reason}.`, { cause: error });
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = 4 + 4 * sizes.length;
  const magic = 0x0800 + sizes.length;
  if (bytes.length < header || view.getUint32(0) !== magic) {
    throw new DataError(`${path}: no IDX file of bytes in ${sizes.length} dimensions; get it anew.`);
  }
  const found = sizes.map((_, i) => view.getUint32(4 + 4 * i));
  const wrong = sizes.findIndex((size, i) => size !== null && size !== found[i]);
  if (wrong >= 0) {
    throw new DataError(`${path}: its sizes are ${found.join(" x ")}, not n x ${SIDE} x ${SIDE}.`);
  }
  const length = found.reduce((product, size) => product * size, 1);
  if (bytes.length !== header + length) {
    throw new DataError(
      `${path}: its header tells of ${length} values, and ${bytes.length - header} follow; it is cut or damaged, get it anew.`,
    );
  }
  return bytes.subarray(header);
}

function readPart(images: string, labelFile: string, count: number): GreyPictures {
  const all = readIdx(images, [null, SIDE, SIDE]);
  const labels = readIdx(labelFile, [null]);
  if (labels.length !== count || all.length !== count * SIDE * SIDE || labels.some((label) => label > 9)) {
    throw new DataError(
      `${images}: ${all.length / SIDE / SIDE} pictures with ${labels.length} labels, where Fashion-MNIST has ${count} of 10 classes.`,
    );
  }
  return { labels, pixels: (index) => all.subarray(index * SIDE * SIDE, (index + 1) * SIDE * SIDE) };
}

/** @throws DataError naming a file that is missing, damaged or another */
export function openFashion(folder: string): Fashion {
  const [trainImages, trainLabels, testImages, testLabels] = fashionFiles(folder) as [
    string,
    string,
    string,
    string,
  ];
  return {
    train: readPart(trainImages, trainLabels, 60_000),
    test: readPart(testImages, testLabels, 10_000),
  };
}
