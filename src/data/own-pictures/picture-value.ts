/** What columns hold in the place of a picture: a path, bytes, a data URI, a table's struct of both, or a list of these. */
import { createHash } from "node:crypto";
import { basename } from "node:path";
import { RowFault } from "../columns.ts";
import {
  type DataPicture,
  filePicture,
  LARGEST_PICTURE,
  type PictureRoot,
  quoted,
  SourceFault,
} from "./file-picture.ts";

/** Where the pictures of a row lie, and what messages and names say of it. */
export interface PicturePlace {
  root: PictureRoot;
  /** The data file, and the line in it. */
  path: string;
  line: number;
}

/** Pictures of one prompt; more are a fault of the row. */
const MOST_PICTURES = 1000;

/**
 * The pictures of a value, in order.
 * @param where of the row the value stands, for messages: "column image"
 * @throws RowFault naming it, the value and what is wrong
 */
export function picturesOf(value: unknown, where: string, place: PicturePlace): DataPicture[] {
  if (!Array.isArray(value)) return [pictureOf(value, where, place)];
  if (value.length === 0) throw new RowFault(`has no picture in ${where}: its list is empty`);
  if (value.length > MOST_PICTURES)
    throw new RowFault(`has ${value.length} pictures in ${where}; at most ${MOST_PICTURES} are read`);
  return value.map((each, index) => pictureOf(each, `${where}, number ${index + 1}`, place));
}

/** @throws RowFault */
export function pictureOf(value: unknown, where: string, place: PicturePlace): DataPicture {
  const name = `${basename(place.path)}:${place.line}, ${where.replace(/^column /, "")}`;
  try {
    if (typeof value === "string") return textPicture(value, name, place.root);
    if (value === null || value === undefined) throw new SourceFault("is missing");
    if (typeof value !== "object" || Array.isArray(value))
      throw new SourceFault(
        `is a ${Array.isArray(value) ? "list in a list" : typeof value}; a picture is a path, bytes or a data URI`,
      );
    const bytes = bytesOf(value);
    if (bytes !== null) return bytesPicture(bytes, name);
    const { path } = value as { path?: unknown };
    if (typeof path === "string") return textPicture(path, name, place.root);
    const keys = Object.keys(value).slice(0, 8).join(", ");
    throw new SourceFault(
      "path" in value || "bytes" in value
        ? "has neither bytes nor a path"
        : `is an object with ${keys || "no keys"}; a picture has bytes or path`,
    );
  } catch (error) {
    if (!(error instanceof SourceFault)) throw error;
    const said = typeof value === "string" ? `${quoted(value)} ` : "";
    throw new RowFault(`the picture ${said}(${where}) ${error.message}`);
  }
}

function textPicture(text: string, name: string, root: PictureRoot): DataPicture {
  if (/^data:/i.test(text)) return bytesPicture(dataUri(text), name);
  // bytes of a picture that happen to be UTF-8, as a table's binary column gives them
  if (text.includes("\0") && isPicture(Buffer.from(text.slice(0, 16))))
    return bytesPicture(Buffer.from(text), name);
  return filePicture(text, root);
}

/** Bytes that a table's cell holds, null where there are none. */
function bytesOf(value: object): Buffer | null {
  const held = "bytes" in value ? value.bytes : value;
  if (held === null || held === undefined) return null;
  if (typeof held === "string") {
    const plain = Buffer.from(held);
    if (isPicture(plain.subarray(0, 16))) return plain;
    if (/^data:/i.test(held)) return dataUri(held);
    return fromBase64(held);
  }
  if (typeof held === "object" && "base64" in held && typeof held.base64 === "string")
    return fromBase64(held.base64);
  if (held !== value)
    throw new SourceFault(`has bytes that are a ${Array.isArray(held) ? "list" : typeof held}`);
  return null;
}

function dataUri(text: string): Buffer {
  const comma = text.indexOf(",");
  const head = comma < 0 ? "" : text.slice(0, Math.min(comma, 200));
  if (!/^data:image\/[\w.+-]+(;[\w-]+=[\w.-]+)*;base64$/i.test(head))
    throw new SourceFault("is a data URI that does not begin with data:image/...;base64,");
  return fromBase64(text.slice(comma + 1));
}

function fromBase64(text: string): Buffer {
  if (text.length > (LARGEST_PICTURE / 3) * 4 + 4)
    throw new SourceFault(
      `has about ${Math.floor((text.length / 4) * 3).toLocaleString("en")} bytes, and at most ${LARGEST_PICTURE.toLocaleString("en")} are read`,
    );
  if (!/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(text)) throw new SourceFault("has bytes that are no base64 text");
  return Buffer.from(text, "base64");
}

function bytesPicture(bytes: Buffer, name: string): DataPicture {
  if (bytes.length === 0) throw new SourceFault("has no bytes");
  if (bytes.length > LARGEST_PICTURE)
    throw new SourceFault(
      `has ${bytes.length.toLocaleString("en")} bytes, and at most ${LARGEST_PICTURE.toLocaleString("en")} are read`,
    );
  const id = createHash("sha256").update(bytes).digest("hex").slice(0, 32);
  return { id, name, key: id, load: () => new Uint8Array(bytes) };
}

/** By its first bytes: PNG, JPEG, GIF, WebP, BMP, TIFF. */
function isPicture(head: Uint8Array): boolean {
  const text = Buffer.from(head).toString("latin1");
  return /^(\x89PNG|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP|BM....\0\0\0\0|II\*\0|MM\0\*)/s.test(text);
}
