/** GPT-NeoX, the class of Pythia: attention and MLP side by side, heads turned in part. */
import { readHeadDim, readRotary } from "./dimensions.ts";
import type { ModelFamily } from "./family.ts";
import { readGelu } from "./gpt2.ts";
import { linear, plainDecoder } from "./layers.ts";

export const gptNeox: ModelFamily = {
  modelType: "gpt_neox",
  architecture: "GPTNeoXForCausalLM",
  models: "Pythia, GPT-NeoX",
  own: "attention and MLP read the same input; heads turned in part; query, key and value of a head side by side in one matrix; LayerNorm with a bias; GELU",
  olderRopeKeys: { theta: "rotary_emb_base", share: "rotary_pct" },
  read(reader) {
    const hiddenSize = reader.count("hidden_size", "width", 6144);
    const inner = reader.count("intermediate_size", "size", 24576);
    const heads = reader.count("num_attention_heads", "heads", 64);
    const headDim = readHeadDim(reader, hiddenSize, heads);
    if (headDim * heads !== hiddenSize) {
      reader.fail("head_dim", "gpt_neox needs hidden_size / num_attention_heads");
    }
    const maxPositions = reader.count("max_position_embeddings", "positions", 2048);
    const { rotary, positions } = readRotary(
      reader,
      { headDim, maxPositions },
      { theta: 1e4, thetaKey: "rotary_emb_base", shareKey: "rotary_pct", share: 0.25 },
    );
    const bias = reader.flag("attention_bias", true);
    const activation = readGelu(reader, "hidden_act", "gelu");
    const parallel = reader.flag("use_parallel_residual", true);
    return {
      ...plainDecoder,
      ...positions,
      family: this.modelType,
      vocabSize: reader.count("vocab_size", "size", 50432),
      hiddenSize,
      norm: { kind: "layer", epsilon: reader.positive("layer_norm_eps", 1e-5) },
      names: {
        embedding: "gpt_neox.embed_in",
        positions: null,
        finalNorm: "gpt_neox.final_layer_norm",
        head: "embed_out",
      },
      layerPrefix: "gpt_neox.layers.",
      tiedEmbeddings: reader.flag("tie_word_embeddings", false),
      layers: Array.from({ length: reader.count("num_hidden_layers", "layers", 44) }, (_, n) => {
        const at = (part: string) => `gpt_neox.layers.${n}.${part}`;
        const square = "hidden_size, hidden_size";
        return {
          mixer: {
            kind: "attention",
            heads,
            keyValueHeads: heads,
            headDim,
            projections: {
              kind: "by-head",
              all: linear(
                at("attention.query_key_value"),
                [3 * hiddenSize, hiddenSize],
                `3 * ${square}`,
                bias,
              ),
            },
            output: linear(at("attention.dense"), [hiddenSize, hiddenSize], square, bias),
            queryKeyNorm: null,
            rotary,
            scale: headDim ** -0.5,
            softcap: null,
            window: null,
          },
          mlp: {
            kind: "plain",
            activation,
            up: linear(at("mlp.dense_h_to_4h"), [inner, hiddenSize], "intermediate_size, hidden_size", true),
            down: linear(
              at("mlp.dense_4h_to_h"),
              [hiddenSize, inner],
              "hidden_size, intermediate_size",
              true,
            ),
          },
          norms: {
            mixerInput: at("input_layernorm"),
            mixerOutput: null,
            mlpInput: at("post_attention_layernorm"),
            mlpOutput: null,
          },
          parallel,
        };
      }),
    };
  },
};
