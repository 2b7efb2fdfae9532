import type { z } from "zod";
import { optionUnion } from "../lib/option-union.ts";
import type { DatasetKind } from "./define.ts";
import type { FileOptions } from "./file-options.ts";
import { datasetKinds } from "./kinds.ts";

/** Every kind of dataset; source.ts opens them. */
export const datasetOptions = optionUnion(datasetKinds);
export type DatasetOptions = z.infer<typeof datasetOptions>;

/** A dataset with the key path at which it stands. */
export interface PlacedSet<Options = DatasetOptions> {
  part: "train" | "eval";
  at: (string | number)[];
  set: Options;
}

type Data = { train?: DatasetOptions | undefined; eval?: DatasetOptions | undefined } | undefined;

/** The datasets of a recipe, in the order in which they are read. */
export function leafSets(data: Data): PlacedSet[] {
  return (["train", "eval"] as const).flatMap((part) => {
    const set = data?.[part];
    if (set === undefined) return [];
    const members = datasetKindOf(set).members?.(set) as readonly DatasetOptions[] | undefined;
    return (
      members?.map((member, index) => ({ part, at: ["data", part, "sources", index], set: member })) ?? [
        { part, at: ["data", part], set },
      ]
    );
  });
}

/** Those of them that read files. */
export function fileSets(data: Data): PlacedSet<FileOptions>[] {
  return leafSets(data).flatMap(({ set, ...place }) => (set.kind === "file" ? [{ ...place, set }] : []));
}

/** Options of kinds that ask with a template: files, and labelled pictures. */
export type AskingOptions = Extract<DatasetOptions, { prompt: string; chat: boolean }>;

/** Those of a recipe's datasets that ask with a template. */
export function askingSets(data: Data): PlacedSet<AskingOptions>[] {
  return leafSets(data).flatMap(({ set, ...place }) =>
    set.kind === "file" || isPictures(set) ? [{ ...place, set }] : [],
  );
}

export type PicturesOptions = Extract<DatasetOptions, { kind: "image-folder" | "coop" }>;

/** Is it a folder of labelled pictures? */
export function isPictures(set: DatasetOptions): set is PicturesOptions {
  return set.kind === "image-folder" || set.kind === "coop";
}

/** The declaration behind a dataset's options. */
export function datasetKindOf({
  kind,
}: Pick<DatasetOptions, "kind">): DatasetKind<z.ZodType, DatasetOptions> {
  return datasetKinds.find((one) => one.kind === kind) as unknown as DatasetKind<z.ZodType, DatasetOptions>;
}
