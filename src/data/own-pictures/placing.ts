/** Where pictures stand in what a model reads: at markers of a text, else before it; in parts of a conversation's turns. */
import type { ChatMessage, ContentPart, Picture } from "../../types.ts";
import { RowFault } from "../columns.ts";
import type { DataPicture } from "./file-picture.ts";

/** Pieces of a text between its markers. */
const between = (text: string, marker: string): string[] => text.split(marker);

function mismatch(markers: number, marker: string, pictures: number, where: string): RowFault {
  return new RowFault(
    `has ${pictures} ${pictures === 1 ? "picture" : "pictures"}, and its ${where} ${markers === 1 ? "has 1 place" : `has ${markers} places`} for them (${marker})`,
  );
}

/**
 * A user's text with its pictures: each in the place of a marker, or all before the text where it has none.
 * @throws RowFault where there are as many of them as of markers not
 */
export function placed(text: string, pictures: readonly Picture[], marker: string): ContentPart[] {
  const pieces = between(text, marker);
  if (pieces.length === 1) return [...pictures.map(imagePart), ...textParts(text)];
  if (pieces.length - 1 !== pictures.length)
    throw mismatch(pieces.length - 1, marker, pictures.length, "prompt");
  return pieces.flatMap((piece, index) => [
    ...textParts(piece),
    ...(index < pictures.length ? [imagePart(pictures[index]!)] : []),
  ]);
}

/** A text that is fed as it is has a placeholder for each picture. @throws RowFault */
export function checkPlaceholders(text: string, pictures: readonly Picture[], marker: string): void {
  const markers = between(text, marker).length - 1;
  if (markers !== pictures.length) throw mismatch(markers, marker, pictures.length, "prompt");
}

/**
 * Puts pictures of columns into a conversation: at parts without a picture of their own (`unplaced`), at markers of its texts, or
 * before the first user's text where it has neither.
 * @param marker null: texts hold none
 * @throws RowFault where places and pictures do not go together
 */
export function placedInMessages(
  messages: readonly ChatMessage[],
  pictures: readonly Picture[],
  marker: string | null,
): ChatMessage[] {
  const waiting = [...pictures];
  let places = 0;
  const next = (): ContentPart[] => {
    places++;
    const picture = waiting.shift();
    return picture === undefined ? [] : [imagePart(picture)];
  };
  const inText = (text: string): ContentPart[] =>
    marker === null
      ? textParts(text)
      : between(text, marker).flatMap((piece, index) => [...(index > 0 ? next() : []), ...textParts(piece)]);
  const placedAll = messages.map((message): ChatMessage => {
    const { role, content } = message;
    if (role === "assistant") return message;
    if (typeof content === "string") {
      const parts = inText(content);
      return parts.some(isImage) ? { ...message, content: parts } : message;
    }
    return {
      ...message,
      content: content.flatMap((part) =>
        part.type === "text" ? inText(part.text) : part === unplaced ? next() : [part],
      ),
    };
  });
  if (places === 0 && waiting.length > 0) {
    const first = placedAll.findIndex(({ role }) => role === "user");
    return placedAll.map((message, index) => (index === first ? before(message, waiting) : message));
  }
  if (places !== pictures.length)
    throw mismatch(places, marker ?? "image parts", pictures.length, "conversation");
  return placedAll;
}

function before(message: ChatMessage, pictures: readonly Picture[]): ChatMessage {
  const { content } = message;
  const rest = typeof content === "string" ? textParts(content) : content;
  return { ...message, content: [...pictures.map(imagePart), ...rest] };
}

/** A part of a turn that says "a picture" and not which. */
export const unplaced: ContentPart = Object.freeze({
  type: "image",
  picture: Object.freeze({
    id: "",
    name: "",
    load(): never {
      throw new Error("a picture without a source was read");
    },
  }),
});

const imagePart = (picture: Picture): ContentPart => ({ type: "image", picture });
const textParts = (text: string): ContentPart[] => (text === "" ? [] : [{ type: "text", text }]);
const isImage = ({ type }: ContentPart): boolean => type === "image";

/** Messages as a prompt's id is made of them: a picture is its key. Those without pictures stay what they were. */
export function identityOf(messages: readonly ChatMessage[]): unknown {
  return messages.map((message) =>
    typeof message.content === "string" || !message.content.some(isImage)
      ? message
      : {
          ...message,
          content: message.content.map((part) =>
            part.type === "text" ? part : { type: part.type, picture: (part.picture as DataPicture).key },
          ),
        },
  );
}

/** Bytes of pictures are not handed on with a row: rewards get what messages call them. */
export function withoutBytes(value: unknown): unknown {
  if (typeof value === "string")
    return /^data:image\//i.test(value) ? `[picture, ${value.length} characters]` : value;
  if (Array.isArray(value)) return value.map(withoutBytes);
  if (typeof value !== "object" || value === null) return value;
  if ("base64" in value && typeof value.base64 === "string")
    return `[picture, ${value.base64.length} characters]`;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [
      key,
      key === "bytes" && typeof each === "string"
        ? `[picture, ${each.length} characters]`
        : withoutBytes(each),
    ]),
  );
}
