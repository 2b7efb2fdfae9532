/** Every method recipe by name. A new one is a file beside this one and a line here. */
import { adacot } from "./adacot.ts";
import { adaptiveThinking } from "./adaptive-thinking.ts";
import { arena } from "./arena.ts";
import { autothink } from "./autothink.ts";
import { clsRl } from "./cls-rl.ts";
import { dapo } from "./dapo.ts";
import { dipR1 } from "./dip-r1.ts";
import { dump } from "./dump.ts";
import { internbootcamp } from "./internbootcamp.ts";
import { laser } from "./laser.ts";
import { laserD } from "./laser-d.ts";
import { laserDE } from "./laser-de.ts";
import { limr } from "./limr.ts";
import { type Method, settingsToRecipe } from "./method.ts";
import { noThinking } from "./no-thinking.ts";
import { openRs } from "./open-rs.ts";
import { pathoR1 } from "./patho-r1.ts";
import { r1Aqa } from "./r1-aqa.ts";
import { tensorBleu } from "./tensorbleu.ts";
import { thinkAfterAnswer } from "./think-after-answer.ts";
import { vlmR1 } from "./vlm-r1.ts";

export const methods: readonly Method[] = [
  adacot,
  autothink,
  clsRl,
  noThinking,
  thinkAfterAnswer,
  adaptiveThinking,
  limr,
  internbootcamp,
  laser,
  laserD,
  laserDE,
  dapo,
  openRs,
  r1Aqa,
  dump,
  tensorBleu,
  arena,
  vlmR1,
  dipR1,
  pathoR1,
];

/** What the config loader lays beneath a file that says `recipe: name`. */
export function methodDefaults(): Map<string, { summary: string; defaults: Record<string, unknown> }> {
  return new Map(
    methods.map((method) => [
      method.name,
      { summary: method.summary, defaults: settingsToRecipe(method.settings) },
    ]),
  );
}
