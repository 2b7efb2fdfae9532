/** A report as data: what every format renders. Text here is plain; each renderer escapes it. */

export interface Table {
  header: readonly string[];
  rows: readonly (readonly string[])[];
  /** Columns of text, by index; the others are numbers and stand right. */
  text: readonly number[];
}

export interface Figure {
  title: string;
  /** What the vertical axis measures. */
  unit: string;
  /** SVG made by plots.ts, whose texts are escaped by its DOM. */
  svg: string;
  legend: readonly { name: string; colour: string }[];
  /** Units, smoothing, last values: what one needs to read it. */
  caption: string;
  /** For narrow screens, where `svg` is wider than those. */
  narrow?: string;
}

/** A small copy of a picture, which cards share. */
export interface ShownPicture {
  name: string;
  /** Of the picture itself, pixels: what boxes on it count in. */
  width: number;
  height: number;
  /** A PNG file in base64. */
  png: string;
}

/** x0, y0, x1, y1 in the picture's pixels. */
export interface ShownBox {
  box: readonly [number, number, number, number];
  kind: "gold" | "given";
}

export interface SampleCard {
  step: number;
  stage: string;
  /** Verdicts of all recorded completions of this step: "83 wrong, 45 right". */
  tally: string;
  prompt: string;
  /** Places in the block's `pictures`. */
  pictures: readonly number[];
  /** Over the picture, where there is exactly one. */
  boxes: readonly ShownBox[];
  answer: string;
  completion: string;
  reward: number;
  tokens: number;
  /** "right", "wrong", or why there is no verdict. */
  verdict: string;
  run: string;
}

export type Block =
  | { kind: "text"; text: string }
  | { kind: "table"; table: Table; caption?: string; folded?: string }
  | { kind: "figures"; figures: readonly Figure[] }
  | { kind: "samples"; cards: readonly SampleCard[]; pictures: readonly ShownPicture[]; note: string };

export interface Section {
  id: string;
  title: string;
  blocks: readonly Block[];
}

export interface ReportDocument {
  title: string;
  subtitle: string;
  sections: readonly Section[];
}

/** 0.98765 -> "98.8%"; null -> "". */
export function percent(value: number | null): string {
  return value === null || !Number.isFinite(value) ? "" : `${(value * 100).toFixed(1)}%`;
}

/** Four significant digits; null -> "". */
export function number(value: number | null): string {
  if (value === null) return "";
  return Number.isFinite(value) ? String(Number(value.toPrecision(4))) : String(value);
}

/** 75.2 -> "1 min 15 s". @param seconds null -> "" */
export function duration(seconds: number | null): string {
  if (seconds === null) return "";
  if (seconds < 60) return `${seconds.toFixed(seconds < 9.95 ? 1 : 0)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} min ${Math.round(seconds % 60)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
