/** Every algorithm. A new one is a folder beside this file and a line here. */
import { z } from "zod";
import type { AlgorithmDeclaration } from "./declaration.ts";
import { dpo } from "./dpo/declaration.ts";
import { grpo } from "./grpo/declaration.ts";
import { ppo } from "./ppo/declaration.ts";
import { sft } from "./sft/declaration.ts";

export const algorithms = [grpo, ppo, sft, dpo] as const;

type Schemas<List> = { -readonly [I in keyof List]: List[I] extends { options: infer S } ? S : never };

export const algorithmOptions = z.discriminatedUnion(
  "kind",
  algorithms.map(({ options }) => options) as unknown as Schemas<typeof algorithms>,
);
export type AlgorithmOptions = z.infer<typeof algorithmOptions>;

/** What the algorithm of these options says of itself. */
export function algorithmOf<Options extends AlgorithmOptions>({
  kind,
}: Options): AlgorithmDeclaration<Options> {
  const found = algorithms.find((one) => one.kind === kind);
  if (found === undefined) throw new Error(`unknown algorithm ${kind}`);
  return found as unknown as AlgorithmDeclaration<Options>;
}
