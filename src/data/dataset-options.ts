import type { z } from "zod";
import { optionUnion } from "../lib/option-union.ts";
import type { DatasetKind } from "./define.ts";
import { datasetKinds } from "./kinds.ts";

/** Every kind of dataset; source.ts opens them. */
export const datasetOptions = optionUnion(datasetKinds);
export type DatasetOptions = z.infer<typeof datasetOptions>;

/** The declaration behind a dataset's options. */
export function datasetKindOf({
  kind,
}: Pick<DatasetOptions, "kind">): DatasetKind<z.ZodType, DatasetOptions> {
  return datasetKinds.find((one) => one.kind === kind) as unknown as DatasetKind<z.ZodType, DatasetOptions>;
}
