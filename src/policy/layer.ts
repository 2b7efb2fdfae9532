/** One layer of a stack, as data describe it; and the same computed again in the backward pass. */
import * as tf from "@tensorflow/tfjs";
import { gelu, geluTanh, quickGelu, silu } from "../backend/activations.ts";
import { rematerialise, swiglu } from "../backend/ops.ts";
import { attend, attendShared, project } from "./attention.ts";
import type { LayerContext, LayerRows, LayerTables } from "./batch-context.ts";
import type { Activation, LayerConfig, LayerStack, MlpConfig } from "./interfaces.ts";
import { linear, norm, type WeightView } from "./linear.ts";
import { mixRows } from "./recurrence.ts";

/** What the mixer reads. @param x the residual stream [N, H] */
export function mixerInput(stack: LayerStack, layer: LayerConfig, x: tf.Tensor2D, view: WeightView) {
  return norm(stack.norm, layer.norms.mixerInput, x, view);
}

/** Output projection, residual, and the MLP with its residual. @param x the layer's input @param mixed [N, Nh*D] */
export function finishLayer(
  stack: LayerStack,
  { mixer, mlp, norms, parallel }: LayerConfig,
  x: tf.Tensor2D,
  mixed: tf.Tensor2D,
  view: WeightView,
): tf.Tensor2D {
  const { residualScale } = stack;
  const added = (y: tf.Tensor2D) => (residualScale === 1 ? y : (tf.mul(y, residualScale) as tf.Tensor2D));
  const out = norm(stack.norm, norms.mixerOutput, linear(mixed, mixer.output, view), view);
  const middle = tf.add(x, added(out)) as tf.Tensor2D;
  const h = norm(stack.norm, norms.mlpInput, parallel ? x : middle, view);
  return tf.add(middle, added(norm(stack.norm, norms.mlpOutput, feedForward(mlp, h, view), view)));
}

const ACTIVATIONS: Readonly<Record<Activation, (x: tf.Tensor2D) => tf.Tensor2D>> = {
  silu,
  gelu,
  "gelu-tanh": geluTanh,
  "quick-gelu": quickGelu,
};

/** @param x [N, H] @returns [N, H] */
function feedForward(mlp: MlpConfig, x: tf.Tensor2D, view: WeightView): tf.Tensor2D {
  const activate = ACTIVATIONS[mlp.activation];
  if (mlp.kind === "plain") return linear(activate(linear(x, mlp.up, view)), mlp.down, view);
  const [gate, up] = (
    mlp.kind === "gated"
      ? [linear(x, mlp.gate, view), linear(x, mlp.up, view)]
      : tf.split(linear(x, mlp.gateUp, view), 2, 1)
  ) as [tf.Tensor2D, tf.Tensor2D]; // [N, I] each
  const gated = mlp.activation === "silu" ? swiglu(gate, up) : (tf.mul(activate(gate), up) as tf.Tensor2D);
  return linear(gated, mlp.down, view);
}

/**
 * x through layer n, computed again in the backward pass where there is a plan.
 * @param x [N, H]
 */
export function throughLayer(
  stack: LayerStack,
  n: number,
  x: tf.Tensor2D,
  view: WeightView,
  context: LayerContext,
  plan: Rematerialisation | null,
): tf.Tensor2D {
  return plan === null
    ? stackLayer(stack, n, x, view, context)
    : rematerialisedLayer(stack, n, x, view, context, plan);
}

/** x through layer n: what the mixer makes of it is added, then what the MLP makes of that. */
function stackLayer(
  stack: LayerStack,
  n: number,
  x: tf.Tensor2D,
  view: WeightView,
  context: LayerContext,
): tf.Tensor2D {
  return tf.tidy(() => {
    const layer = stack.layers[n]!;
    const { mixer } = layer;
    const h = mixerInput(stack, layer, x, view);
    const mixed =
      mixer.kind !== "attention"
        ? mixRows(mixer, stack.norm.epsilon, h, view, context)
        : context.completions
          ? attendShared(stack, mixer, h, view, context, context.completions)
          : attend(mixer, project(stack, mixer, h, view, context), context.tables.mask ?? null);
    return finishLayer(stack, layer, x, mixed, view);
  });
}

/** Which weights a layer computed again must give gradients to. */
export interface Rematerialisation {
  /** Names of trained weights of layer `n`, adapters as `<module>.lora_A` and `<module>.lora_B`. */
  trainedNames(n: number): readonly string[];
  trained(name: string): tf.Tensor;
  /** True when something before the first layer is trained, so that its input needs a gradient. */
  inputTrained: boolean;
}

function rematerialisedLayer(
  stack: LayerStack,
  n: number,
  x: tf.Tensor2D,
  view: WeightView,
  context: LayerContext,
  plan: Rematerialisation,
): tf.Tensor2D {
  const names = plan.trainedNames(n);
  const needsInput = n > 0 || plan.inputTrained;
  const trained = names.map((name) => plan.trained(name));
  const { completions } = context;
  const kinds = Object.keys(context.tables) as (keyof LayerTables)[];
  const tensorsOf = ({ tables }: LayerRows) => kinds.map((kind) => tables[kind]!);
  const fixed = [...tensorsOf(context), ...(completions ? tensorsOf(completions) : [])];
  const layer = (inputs: tf.Tensor[], constants: tf.Tensor[]) => {
    const tablesFrom = (first: number): LayerTables =>
      Object.fromEntries(kinds.map((kind, i) => [kind, constants[first + i]]));
    const own = completions && { ...completions, tables: tablesFrom(kinds.length) };
    const stand = new Map(names.map((name, i) => [name, inputs[i]!]));
    const input = (needsInput ? inputs[names.length] : constants.at(-1)) as tf.Tensor2D;
    const there = { ...context, tables: tablesFrom(0), completions: own };
    return stackLayer(stack, n, input, standIn(view, stand), there);
  };
  const output = needsInput
    ? rematerialise(layer, [...trained, x], fixed)
    : rematerialise(layer, trained, [...fixed, x]);
  return output as tf.Tensor2D;
}

/** A view in which the tape's own copies stand in for trained weights. */
function standIn(view: WeightView, stand: ReadonlyMap<string, tf.Tensor>): WeightView {
  return {
    seen: view.seen,
    find: (name) => stand.get(name) ?? view.find(name),
    adapter: (module) => {
      const adapter = view.adapter(module);
      if (!adapter) return undefined;
      return {
        a: (stand.get(`${module}.lora_A`) as tf.Tensor2D | undefined) ?? adapter.a,
        b: (stand.get(`${module}.lora_B`) as tf.Tensor2D | undefined) ?? adapter.b,
        scale: adapter.scale,
      };
    },
  };
}
