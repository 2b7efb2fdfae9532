import { z } from "zod";

/** The option schemas of declarations, as a tuple. */
type Schemas<Kinds extends readonly { options: z.ZodType }[]> = {
  -readonly [I in keyof Kinds]: Kinds[I]["options"];
};

/** The union of the options of a list of declarations, told apart by `kind`; messages name them in the list's order. */
export function optionUnion<Kinds extends readonly { options: z.ZodType }[]>(kinds: Kinds) {
  type Options = Schemas<Kinds> & [z.core.$ZodTypeDiscriminable, ...z.core.$ZodTypeDiscriminable[]];
  return z.discriminatedUnion("kind", kinds.map(({ options }) => options) as unknown as Options);
}
