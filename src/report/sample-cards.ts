/** Which of the recorded completions a report shows. */
import { RlptError } from "../lib/errors.ts";
import type { Block, SampleCard, ShownBox, ShownPicture } from "./document.ts";
import type { DrawnBoxes } from "./json-shapes.ts";
import type { RunFiles, SampleLine } from "./read-run.ts";
import { readThumbnails } from "./thumbnails.ts";

/** Steps that are shown of each run, and completions of each step. */
const MOMENTS = 6;
const PER_MOMENT = 6;
/** Cards of all runs together, about: a page must stay one that opens. */
const CARDS = 200;
/** Characters of all pictures of a page. */
const PICTURE_CHARS = 3_000_000;

/** Completions over time of all runs; [] where none recorded any. */
export function sampleBlocks(runs: readonly RunFiles[]): Block[] {
  const share = Math.max(4, Math.floor(CARDS / runs.length));
  const moments = Math.min(MOMENTS, Math.max(2, Math.floor(Math.sqrt(share))));
  const perMoment = Math.min(PER_MOMENT, Math.max(2, Math.floor(share / moments)));
  const wall = new PictureWall();
  const faults = runs.flatMap(({ faults: ofRun }) => ofRun);
  const cards = runs.flatMap((run) => {
    const thumbnails = thumbnailsOf(run, faults);
    return sampleCards(run, moments, perMoment, thumbnails, wall);
  });
  if (cards.length === 0) return faults.map((text) => ({ kind: "text", text }));
  const total = runs.reduce((sum, run) => sum + run.samples.length, 0);
  const note =
    `${cards.length} of the ${total} completions in samples.jsonl: first, last and evenly spaced steps. Of each step ` +
    "right, wrong and other verdicts in the proportion in which they were recorded, at least one of each kind, and " +
    "different prompts first.";
  const notes = [note, ...wall.notes(cards), ...faults];
  return [{ kind: "samples", cards, pictures: wall.pictures, note: notes.join(" ") }];
}

/** A file that cannot be read leaves the completions without their pictures. */
function thumbnailsOf(run: RunFiles, faults: string[]): ReadonlyMap<string, ShownPicture> {
  try {
    return readThumbnails(run);
  } catch (error) {
    if (!(error instanceof RlptError)) throw error;
    faults.push(error.message);
    return new Map();
  }
}

/** The pictures of a page, each once, within the bound. */
class PictureWall {
  readonly pictures: ShownPicture[] = [];
  private readonly places = new Map<string, number>();
  private chars = 0;
  /** Asked for and not shown. */
  private missing = 0;

  /** Place of a picture; null where it is not there or there is no room. */
  place(picture: ShownPicture | undefined): number | null {
    const known = picture === undefined ? undefined : this.places.get(picture.png);
    if (known !== undefined) return known;
    if (picture === undefined || this.chars + picture.png.length > PICTURE_CHARS) {
      this.missing++;
      return null;
    }
    this.chars += picture.png.length;
    this.places.set(picture.png, this.pictures.length);
    return this.pictures.push(picture) - 1;
  }

  notes(cards: readonly SampleCard[]): string[] {
    const boxes = cards.some((card) => card.boxes.length > 0);
    return [
      ...(this.missing > 0
        ? [`${this.missing} pictures are not shown: a run keeps, and a page holds, a bounded number of them.`]
        : []),
      ...(boxes ? ["Boxes over pictures: gold dashed, the completion's solid."] : []),
    ];
  }
}

/** "right", "wrong", or what kept the completion from having a verdict. */
export const verdictOf = ({ correct, status }: SampleLine): string =>
  correct ? "right" : status === "ok" ? "wrong" : status;

/** Steps that recorded completions, without those of whose pictures none was kept. */
function shownSteps({ samples }: RunFiles, thumbnails: ReadonlyMap<string, ShownPicture>): number[] {
  const known = new Map<number, boolean>();
  for (const { step, pictures = [] } of samples) {
    const seen = pictures.length === 0 || pictures.some((id) => thumbnails.has(id));
    known.set(step, (known.get(step) ?? false) || seen);
  }
  const steps = [...known.keys()];
  const seen = steps.filter((step) => known.get(step));
  return seen.length > 0 ? seen : steps;
}

function sampleCards(
  run: RunFiles,
  moments: number,
  perMoment: number,
  thumbnails: ReadonlyMap<string, ShownPicture>,
  wall: PictureWall,
): SampleCard[] {
  const steps = shownSteps(run, thumbnails);
  const count = Math.min(moments, steps.length);
  const chosen = Array.from(
    { length: count },
    (_, i) => steps[count === 1 ? 0 : Math.round((i * (steps.length - 1)) / (count - 1))]!,
  );
  return chosen.flatMap((step) => {
    const here = run.samples.filter((sample) => sample.step === step);
    const counts = [...verdictCounts(here)];
    const tally = counts.map(([verdict, number]) => `${number} ${verdict}`).join(", ");
    return fairMix(here, perMoment).map((sample) => ({
      ...picturesOf(sample, thumbnails, wall),
      step,
      stage: sample.stage,
      tally,
      prompt: sample.prompt,
      answer: sample.answer,
      completion: sample.completion,
      reward: sample.reward,
      tokens: sample.tokens,
      verdict: verdictOf(sample),
      run: run.label,
    }));
  });
}

function picturesOf(
  { pictures = [], parts = {} }: SampleLine,
  thumbnails: ReadonlyMap<string, ShownPicture>,
  wall: PictureWall,
): Pick<SampleCard, "pictures" | "boxes"> {
  const places = pictures.flatMap((id) => wall.place(thumbnails.get(id)) ?? []);
  const compared = Object.values(parts).flatMap(({ boxes }) => boxes ?? [])[0];
  const only = pictures.length === 1 && places.length === 1 ? wall.pictures[places[0]!]! : null;
  return {
    pictures: places,
    boxes: only === null || compared === undefined ? [] : boxesOn(only, compared),
  };
}

/** Boxes in a picture's pixels, cut at its borders; what is empty or lies outside is left out. */
function boxesOn(
  { width, height }: ShownPicture,
  { gold, given, of = [width, height] }: DrawnBoxes,
): ShownBox[] {
  const scaled = (kind: ShownBox["kind"]) => (box: readonly number[]) => {
    const within = (value: number, side: number, from: number) =>
      Math.min(side, Math.max(0, (value * side) / from));
    const [x0, x1] = [within(box[0]!, width, of[0]), within(box[2]!, width, of[0])];
    const [y0, y1] = [within(box[1]!, height, of[1]), within(box[3]!, height, of[1])];
    return x0 < x1 && y0 < y1 ? [{ kind, box: [x0, y0, x1, y1] as const }] : [];
  };
  return [...given.flatMap(scaled("given")), ...gold.flatMap(scaled("gold"))];
}

/** Completions by verdict, most frequent first; by name where equal. */
function verdictCounts(samples: readonly SampleLine[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const sample of samples) {
    const verdict = verdictOf(sample);
    counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
  }
  return new Map([...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)));
}

/**
 * Up to `size` completions, verdicts in proportion: one of each kind, most frequent first, then always the kind that is
 * furthest behind its share. Of a kind those of prompts that were not shown yet come first, then smaller sample indices.
 */
export function fairMix(samples: readonly SampleLine[], size: number): SampleLine[] {
  const counts = verdictCounts(samples);
  const left = [...samples].sort((a, b) => a.sample_index - b.sample_index);
  const shown: SampleLine[] = [];
  while (shown.length < size && left.length > 0) {
    const behind = (verdict: string): number => {
      const taken = shown.filter((one) => verdictOf(one) === verdict).length;
      if (taken === counts.get(verdict)!) return Number.NEGATIVE_INFINITY;
      return taken === 0 ? Number.POSITIVE_INFINITY : counts.get(verdict)! / taken;
    };
    const next = [...counts.keys()].reduce((best, one) => (behind(one) > behind(best) ? one : best));
    const ofVerdict = left.filter((one) => verdictOf(one) === next);
    const fresh =
      ofVerdict.find(({ prompt_id: id }) => shown.every((one) => one.prompt_id !== id)) ?? ofVerdict[0]!;
    left.splice(left.indexOf(fresh), 1);
    shown.push(fresh);
  }
  return shown;
}
