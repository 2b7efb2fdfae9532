/** What a kind of dataset is, in one declaration: options and how its prompts are opened. */
import type { z } from "zod";
import type { PromptSource } from "../types.ts";

export interface OpenContext {
  split: "train" | "eval";
  /** The recipe's seed; tasks draw their problems from it. */
  seed: number;
  /** Is told of rows that were skipped. */
  note: (text: string, level: "warning") => void;
  /** The rows of files as a model can take them, by `on_long`; as they are when absent. */
  fitRows?: (source: PromptSource, onLong: OnLong) => PromptSource;
}

/** What becomes of a row with too many tokens. */
export type OnLong = "error" | "skip" | "truncate";

export interface DatasetKind<Schema extends z.ZodType = z.ZodType, Options = z.infer<Schema>> {
  /** `kind` in a config. */
  kind: string;
  /** Strict, with `kind` as a literal. */
  options: Schema;
  /** Prompts that training draws from, as far as options tell, and the key that sets them; undefined: endless or not known. */
  pool(options: Options): { key: string; size: number | undefined };
  /** Slices that its prompts keep when they are written to a file. */
  slices(options: Options): readonly string[];
  /** Datasets that it is made of, where it is a mixture, under the key `sources`. */
  members?(options: Options): readonly unknown[];
  /** Files that it reads. @throws DataError where there are none */
  files(options: Options): Promise<readonly string[]>;
  /** @throws DataError where a file cannot be read or holds no usable row */
  open(options: Options, context: OpenContext): PromptSource | Promise<PromptSource>;
}

/** Declares a kind of dataset. It is known when src/data/kinds.ts lists it. */
export function defineDataset<Schema extends z.ZodType>(declared: DatasetKind<Schema>): DatasetKind<Schema> {
  return declared;
}
