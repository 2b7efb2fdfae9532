/** Where the names of a scatter plot's points stand, so that none covers another. */
import type { Mark } from "./plots.ts";

export interface PlacedLabel {
  mark: Mark;
  /** Pixels from the point. */
  dx: number;
  dy: number;
  anchor: "start" | "middle" | "end";
}

/** A drawing in pixels: its size, and what is left free around the points' frame. */
export interface Frame {
  width: number;
  height: number;
  marginLeft: number;
  marginRight: number;
  marginTop: number;
  marginBottom: number;
}

interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

const CHARACTER = 5.6;
const LINE = 11;

/** The range of the vertical axis: what the points and their intervals reach, with room for a name below. */
export function scatterRange(marks: readonly Mark[]): [number, number] {
  const low = Math.min(...marks.map((mark) => mark.low ?? mark.y));
  const high = Math.max(...marks.map((mark) => mark.high ?? mark.y));
  const room = Math.max(high - low, 0.02) * 0.08;
  return [low - room, high + room];
}

/**
 * Tries a place below, right, left and above each point, then further ones, and takes the first that meets no
 * other name and no other point; the last where all do.
 * @param frame the one that the plot is drawn with
 */
export function placeLabels(marks: readonly Mark[], frame: Frame): PlacedLabel[] {
  const { width, height, marginLeft, marginRight, marginTop, marginBottom } = frame;
  const [low, high] = scatterRange(marks);
  const at = (mark: Mark): [number, number] => [
    marginLeft + mark.x * (width - marginLeft - marginRight),
    height - marginBottom - ((mark.y - low) / (high - low)) * (height - marginBottom - marginTop),
  ];
  const dots = marks.map((mark): Box => {
    const [x, y] = at(mark);
    return { left: x - 6, right: x + 6, top: y - 6, bottom: y + 6 };
  });
  const taken: Box[] = [];
  return marks.map((mark, own) => {
    const [x, y] = at(mark);
    const length = mark.name.length * CHARACTER;
    const candidates = [0, 12, -12, 24, -24, 36, -36].flatMap((shift): PlacedLabel[] => [
      ...(shift === 0 ? [{ mark, dx: 0, dy: 15, anchor: "middle" } as const] : []),
      { mark, dx: -9, dy: shift, anchor: "end" },
      { mark, dx: 9, dy: shift, anchor: "start" },
      ...(shift === 0 ? [{ mark, dx: 0, dy: -13, anchor: "middle" } as const] : []),
    ]);
    const boxOf = ({ dx, dy, anchor }: PlacedLabel): Box => {
      const left = x + dx - (anchor === "end" ? length : anchor === "middle" ? length / 2 : 0);
      return { left, right: left + length, top: y + dy - LINE / 2, bottom: y + dy + LINE / 2 };
    };
    const free = (label: PlacedLabel): boolean => {
      const box = boxOf(label);
      return (
        box.left > marginLeft - 8 &&
        box.right < width &&
        box.bottom < height - marginBottom &&
        !taken.some((other) => overlap(box, other)) &&
        !dots.some((dot, i) => i !== own && overlap(box, dot))
      );
    };
    const chosen = candidates.find(free) ?? candidates.at(-1)!;
    taken.push(boxOf(chosen));
    return chosen;
  });
}

const overlap = (a: Box, b: Box): boolean =>
  a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
