import { z } from "zod";
import { fileOptions } from "./file-options.ts";
import { itemsOptions } from "./items-options.ts";
import { chainOptions } from "./options.ts";

/** Every kind of dataset; source.ts opens them. */
export const datasetOptions = z.discriminatedUnion("kind", [chainOptions, itemsOptions, fileOptions]);
export type DatasetOptions = z.infer<typeof datasetOptions>;
