/** Drawing inside a program where some ids are never drawn: the arithmetic of src/rollouts/sample-token.ts. */
import type { Value } from "../../backend/stablehlo/graph.ts";
import * as hlo from "../../backend/stablehlo/hlo.ts";
import { type Draw, type SamplingParameters, sampleRow } from "../../backend/stablehlo/sampling.ts";

/**
 * One token for each row, drawn from the ids that may be; its logprob and the entropy are those of all ids.
 * @param logits [B, V]
 * @param uniform draws in [0, 1), [B]
 * @param constraint ids that must or must not be drawn, -1 for none, [B]
 * @param undrawn i1, [1, V]; null: every id may be drawn
 */
export function drawRow(
  logits: Value,
  uniform: Value,
  options: SamplingParameters,
  constraint: { force: Value; ban: Value } | null,
  undrawn: Value | null,
): Draw {
  if (undrawn === null) return sampleRow(logits, uniform, options, constraint);
  const [rows, vocabulary] = logits.shape as [number, number];
  const nothing = hlo.constant("f32", -Infinity, [rows, vocabulary]);
  const { token } = sampleRow(hlo.select(undrawn, nothing, logits), uniform, options, constraint);
  const max = hlo.reduce("maximum", logits, [1], true);
  const z = hlo.scale(hlo.subtract(logits, max), options.temperature === 0 ? 1 : 1 / options.temperature);
  const mass = hlo.unary("exponential", z);
  const total = hlo.reduce("add", mass, [1]);
  const logTotal = hlo.unary("log", total);
  // 0 * -Infinity is NaN
  const moment = hlo.reduce("add", hlo.multiply(mass, hlo.maximum(z, hlo.constant("f32", -1e30))), [1]);
  const ids = hlo.iota("i32", [rows, vocabulary], 1);
  const isChosen = hlo.compare("EQ", ids, hlo.reshape(token, [rows, 1]));
  const chosen = hlo.reduce("add", hlo.select(isChosen, z, hlo.constant("f32", 0)), [1]);
  return {
    token,
    logprob: hlo.subtract(chosen, logTotal),
    entropy: hlo.maximum(hlo.subtract(logTotal, hlo.divide(moment, total)), hlo.constant("f32", 0)),
  };
}
