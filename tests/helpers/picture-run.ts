/** A run on pictures as its files have it: two kinds of prompts, thumbnails of drawn pictures, boxes, and what was answered. */
import { picturesSource } from "../../src/data/pictures.ts";
import { picturesOptions, scenesOptions } from "../../src/data/pictures-options.ts";
import { scenesSource } from "../../src/data/scenes.ts";
import { picturesOf } from "../../src/pictures/shown.ts";
import { csvLine } from "../../src/run/append-log.ts";
import { evaluationPromptColumns } from "../../src/run/logs.ts";
import { openThumbnailsLog } from "../../src/run/thumbnails.ts";
import type { Picture, Prompt, RgbPixels } from "../../src/types.ts";
import { writeRun } from "./run-files.ts";

const head =
  "step,stage,dataset,slice,prompts,completions,correct,accuracy,accuracy_low,accuracy_high,interval,reward_mean,tokens_mean,thinking,truncated,unparsed";
const evaluation = (step: number, values: Record<string, readonly [number, number, number]>) =>
  Object.entries(values)
    .map(
      ([slice, [value, low, high]]) =>
        `${step},grpo,pictures,${slice},48,48,5,${value},${low},${high},clopper-pearson,0,3,,0,0`,
    )
    .join("\n");
const LABELS = [
  "red disc",
  "blue ring",
  "white ex",
  "pink frame",
  "cyan plus",
  "orange triangle",
  "green square",
  "yellow diamond",
];

/** Steps 1 to 20, four prompts each, three completions of a prompt. */
export function writePictureRun(
  directory: string,
  keeps: (step: number) => boolean = () => true,
  changed: ((count: number) => RgbPixels) | null = null,
): string {
  const scenes = scenesSource(scenesOptions.parse({ kind: "scenes", use: "train" }), 1);
  const named = picturesSource(
    picturesOptions.parse({ kind: "pictures", use: "few_shot", mode: "direct" }),
    1,
  );
  const samples: object[] = [];
  const shown: { step: number; pictures: readonly Picture[] }[] = [];
  const steps = [1, 5, 10, 15, 20];
  for (const step of steps) {
    const prompts: Prompt[] = [
      ...[0, 1].map((i) => scenes.at(step * 2 + i)),
      ...[0, 1].map((i) => named.at((step + i) % 32)),
    ];
    shown.push({ step, pictures: prompts.flatMap(picturesOf) });
    for (const prompt of prompts)
      for (let sample = 0; sample < 3; sample++) samples.push(sampleOf(step, sample, prompt));
  }
  const run = writeRun(directory, {
    recipe:
      "seed: 1\nmodel: { path: models/eyes }\nrun: { name: trial }\ndata: { train: { kind: pictures, dataset: 0 } }\n",
    metrics: `step,stage,reward/mean\n${Array.from({ length: 20 }, (_, i) => `${i + 1},grpo,${i / 20}`).join("\n")}\n`,
    evaluations: `${head}\n${evaluation(0, {
      all: [0.2, 0.1, 0.3],
      "split=base": [0.2, 0.1, 0.35],
      "split=new": [0.18, 0.1, 0.3],
      "split=other": [0.25, 0.2, 0.3],
      "dataset=D0": [0.2, 0.1, 0.3],
      "dataset=D1": [0.25, 0.2, 0.3],
      "dataset=D3": [0.25, 0.2, 0.3],
    })}\n${evaluation(20, {
      all: [0.7, 0.6, 0.8],
      "split=base": [0.8, 0.7, 0.9],
      "split=new": [0.6, 0.5, 0.7],
      "split=other": [0.4, 0.3, 0.5],
      "dataset=D0": [0.7, 0.6, 0.8],
      "dataset=D1": [0.5, 0.4, 0.6],
      "dataset=D3": [0.3, 0.2, 0.4],
    })}\n`,
    evaluationPrompts: [csvLine([...evaluationPromptColumns]), ...answers()].join(""),
    samples,
  });
  const log = openThumbnailsLog(run, 0);
  let count = 0;
  for (const { step, pictures } of shown) {
    const drawn = pictures.map((picture) => ({
      ...picture,
      load: () => (changed === null ? picture.load() : changed(count++)),
    }));
    if (keeps(step)) log.add(step, drawn, step / 20, 0);
  }
  log.close();
  return run;
}

/** Every third completion misses its box by one, every fourth names no box. */
function sampleOf(step: number, sample: number, prompt: Prompt): object {
  const box = prompt.fields["box"] as number[] | undefined;
  const given = box?.map((place, i) => (sample === 1 && i % 2 === 1 ? Math.min(8, place + 1) : place));
  const parsed = sample < 2;
  return {
    step,
    stage: "grpo",
    prompt_id: prompt.id,
    sample_index: sample,
    prompt: prompt.input.kind === "text" ? prompt.input.text : "",
    pictures: picturesOf(prompt).map(({ id }) => id),
    answer: prompt.answer,
    completion:
      box === undefined
        ? ["red disc", prompt.answer, "</think>"][sample]
        : parsed
          ? given!.map((p) => `p${p}`).join(" ")
          : "p1 red",
    tokens: 5,
    finish_reason: "eos",
    reward: sample === 0 ? 1 : 0,
    status: parsed ? "ok" : "unparsed",
    correct: sample === 0,
    parts:
      box === undefined
        ? { exact: { value: 1, status: "ok" } }
        : {
            iou: { value: 1, status: "ok", boxes: { gold: [box], given: parsed ? [given] : [], of: [8, 8] } },
          },
  };
}

/** Base labels are mostly right; the last one is taken for the first; one prompt has no answer. */
function answers(): string[] {
  return LABELS.flatMap((label, i) =>
    Array.from({ length: 6 }, (_, n) => {
      const given =
        i === 7 && n < 4 ? LABELS[0]! : i === 2 && n === 0 ? "" : i === 3 && n === 0 ? "a frame" : label;
      const slices = `split=${i < 4 ? "base" : "new"};dataset=D0`;
      return csvLine([
        20,
        "grpo",
        "pictures",
        `p${i}-${n}`,
        slices,
        1,
        Number(given === label),
        null,
        3,
        0,
        label,
        JSON.stringify([given]),
      ]);
    }),
  );
}
