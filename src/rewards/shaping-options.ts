/** Every shaping. A new one is a file in shaping/ and a line here. */
import { z } from "zod";
import type { Json } from "../types.ts";
import { groupLengthKind } from "./shaping/group-length.ts";
import type { ShapingKind } from "./shaping/kind.ts";
import { laser } from "./shaping/laser.ts";
import { laserD } from "./shaping/laser-d.ts";
import { modeBalanceKind } from "./shaping/mode-balance.ts";
import { overlong } from "./shaping/overlong.ts";

const shapings = [modeBalanceKind, groupLengthKind, laser, laserD, overlong] as const;

type Schemas<List> = { -readonly [I in keyof List]: List[I] extends { options: infer S } ? S : never };

/** What sees a whole group or batch of rewards, in the order it is listed, after the parts are summed. */
export const shapingOptions = z.discriminatedUnion(
  "kind",
  shapings.map(({ options }) => options) as unknown as Schemas<typeof shapings>,
);
export const shapingListOptions = z.array(shapingOptions).default([]);
export type ShapingSpec = z.infer<typeof shapingOptions>;

export function shapingOf({ kind }: ShapingSpec): ShapingKind<z.ZodObject, Json> {
  return shapings.find((one) => one.kind === kind) as unknown as ShapingKind<z.ZodObject, Json>;
}
