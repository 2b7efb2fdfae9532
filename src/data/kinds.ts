/** The kinds of datasets, in the order of the documentation. A new one is its file and a line here. */
import { chain } from "./chain.ts";
import { file } from "./file.ts";
import { items } from "./items.ts";
import { mixture } from "./mixture.ts";

export const datasetKinds = [chain, items, file, mixture] as const;
