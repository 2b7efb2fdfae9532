import { z } from "zod";
import type { SamplerKind } from "./sampler.ts";
import { shuffledOrder } from "./shuffled-order.ts";

const options = z.strictObject({ kind: z.literal("shuffled") });

/** Every prompt once an epoch, in an order drawn from the seed; an endless source in its own order. */
export const shuffled: SamplerKind<typeof options> = {
  kind: "shuffled",
  options,
  columns: [],
  open(source, _, { rng, cells }) {
    const order = shuffledOrder(source, rng);
    const position = cells.cell("sampler/position", 0);
    return {
      draw(_step, count) {
        const from = position.value;
        position.value += count;
        return order.draw(from, count).map((prompt, i) => ({ prompt, epoch: order.epoch(from + i) }));
      },
      get drawn() {
        return position.value;
      },
      callbacks: [],
      metrics: () => ({}),
    };
  },
};
