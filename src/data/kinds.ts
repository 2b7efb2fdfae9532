/** The kinds of datasets, in the order of the documentation. A new one is its file and a line here. */
import { bootcamp } from "./bootcamp.ts";
import { chain } from "./chain.ts";
import { coop } from "./coop.ts";
import { episodes } from "./episodes.ts";
import { file } from "./file.ts";
import { imageFolder } from "./image-folder.ts";
import { items } from "./items.ts";
import { mixture } from "./mixture.ts";
import { pictures } from "./pictures.ts";
import { scenes } from "./scenes.ts";

export const datasetKinds = [
  chain,
  items,
  pictures,
  scenes,
  bootcamp,
  episodes,
  file,
  imageFolder,
  coop,
  mixture,
] as const;
