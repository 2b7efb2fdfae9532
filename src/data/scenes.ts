/**
 * Task `scenes` of the laboratory: grounding. A picture of two objects of different colours, each filling a box on an 8 x 8 grid;
 * the prompt names one of them, and the answer is its box, x0 y0 x1 y1, ends exclusive:
 *
 *   <image> | where red disc [direct]                p2 p1 p5 p3
 *   <image> | where red disc blue ring [think]       <think> p4 p1 </think> <answer> p2 p1 p5 p3 p0 p5 p3 p8 </answer>
 *
 * The second names parts of the picture to look at, of 3 x 3 numbered row by row, before it says both boxes.
 * A kind of its own beside `pictures`: it has no classes, shots or cells, and `pictures` has no boxes, so that they would share few options.
 */
import { createRng, type Rng } from "../lib/rng.ts";
import type { Picture, Prompt, PromptSource } from "../types.ts";
import { defineDataset } from "./define.ts";
import { shuffled } from "./named-targets.ts";
import { drawnPicture, exchanged, greyPicture } from "./pictures-album.ts";
import { drawScene, type SceneObject, sceneShapes } from "./pictures-draw.ts";
import { type ScenesOptions, scenesOptions } from "./pictures-options.ts";
import { COLOURS, PLACES } from "./pictures-world.ts";

const GRID = 8;
/** Parts of the picture that a look may name: 3 x 3. */
const PARTS = 9;
type Box = SceneObject["box"];

/** Width and height of 2 to 4 cells, anywhere. */
function drawBox(rng: Rng): Box {
  const [width, height] = [2 + rng.integer(3, 0), 2 + rng.integer(3, 1)];
  const [x, y] = [rng.integer(GRID - width + 1, 2), rng.integer(GRID - height + 1, 3)];
  return [x, y, x + width, y + height];
}

function overlap(a: Box, b: Box): boolean {
  return a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
}

/** Two objects. The first, which is asked for, lies anywhere, the other where there is room. */
function drawObjects(rng: Rng): [SceneObject, SceneObject] {
  const colours = shuffled(COLOURS, rng.fork("colours"));
  const draw = (which: number, box: Box): SceneObject => ({
    colour: colours[which]!,
    shape: sceneShapes[rng.fork("shape").integer(sceneShapes.length, which)]!,
    box,
  });
  const box = drawBox(rng.fork("box"));
  for (let attempt = 0; ; attempt++) {
    const other = drawBox(rng.fork("other", attempt));
    if (!overlap(box, other)) return [draw(0, box), draw(1, other)];
  }
}

const written = (box: readonly number[]): string => box.map((place) => PLACES[place]!).join(" ");

/** Now and then the other's box; then each coordinate now and then one off. */
function faulty(
  [asked, other]: readonly [SceneObject, SceneObject],
  { off_by_one, wrong_object }: ScenesOptions["imperfections"],
  rng: Rng,
): number[] {
  const { box } = rng.uniform(0) < wrong_object ? other : asked;
  return box.map((place, i) => {
    const draw = rng.fork("place", i);
    if (draw.uniform(0) >= off_by_one) return place;
    return Math.min(GRID, Math.max(0, place + (draw.uniform(1) < 0.5 ? -1 : 1)));
  });
}

/** Two parts at random, which teach the layout and nothing about where to look; then the boxes. */
function lookTarget(boxes: string, rng: Rng): string {
  const parts = rng.permutation(PARTS).slice(0, 2);
  return `<think> ${written(parts)} </think> <answer> ${boxes} </answer>`;
}

function picture(objects: readonly SceneObject[], rng: Rng): Picture {
  const holds = objects.map(({ colour, shape, box }) => `${colour}-${shape}-${box.join("")}`).join("-");
  return drawnPicture(holds, rng.fork("pixels"), (draw) => drawScene(objects, draw));
}

/** @param runSeed draws the streams of training; test scenes are the same for all runs */
export function scenesSource(options: ScenesOptions, runSeed: number): PromptSource {
  const { use, pictures } = options;
  const size = use === "test" ? options.size : null;
  const stream = createRng(options.seed).fork("scenes", use, use === "test" ? -1 : runSeed);
  const objectsOf = (index: number) => drawObjects(stream.fork(index, "objects"));
  const own = (index: number) => picture(objectsOf(index), stream.fork(index));
  const others = size === null ? null : exchanged(size, stream.fork("exchanged"));
  const shown = (index: number): Picture => {
    if (pictures === "grey") return greyPicture;
    // of an endless stream neighbours exchange theirs
    return own(pictures === "as_they_are" ? index : (others?.[index] ?? index ^ 1));
  };
  return {
    name: `scenes (${use})`,
    size,
    at: (index): Prompt => {
      const objects = objectsOf(index);
      const [asked, other] = objects;
      const both = options.ask === "both";
      const named = (both ? objects : [asked]).map(({ colour, shape }) => `${colour} ${shape}`).join(" ");
      const answer = written(both ? [...asked.box, ...other.box] : asked.box);
      const prompt: Prompt = {
        id: `scenes-${use}-${index}`,
        input: {
          kind: "text",
          text: `<image> | where ${named} ${both ? "[think]" : "[direct]"}`,
          pictures: [shown(index)],
        },
        answer,
        slices: {},
        fields: { box: asked.box, other: other.box, grid: [GRID, GRID] },
      };
      if (use === "test") return prompt;
      const draw = stream.fork(index, "target");
      const learnt = (pair: readonly [SceneObject, SceneObject], rng: Rng): readonly number[] =>
        use === "train" ? pair[0].box : faulty(pair, options.imperfections, rng);
      const first = learnt(objects, draw);
      const target = both
        ? lookTarget(written([...first, ...learnt([other, asked], draw.fork("second"))]), draw.fork("look"))
        : written(first);
      return { ...prompt, target };
    },
  };
}

export const scenes = defineDataset({
  kind: "scenes",
  options: scenesOptions,
  pool: () => ({ key: "size", size: undefined }),
  slices: () => [],
  files: async () => [],
  open: (options, { seed }) => scenesSource(options, seed),
});
