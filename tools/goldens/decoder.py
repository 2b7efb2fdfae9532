"""Golden numbers of tiny decoders with closed-form weights, computed by transformers and peft.

    python tools/goldens/decoder.py [NAME...]   # writes tests/golden/decoder/*.json, or those that are named

Needs torch, transformers and peft; the versions used are in each file. Weights are not stored: they follow
from a hash of tensor name and index (`closed_form`), which tests/helpers/closed-form.ts computes as well.
"""

import json
import platform
import sys
import tempfile
from pathlib import Path

import numpy as np
import peft
import torch
import transformers
from safetensors import safe_open
from safetensors.numpy import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

OUT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "decoder"
IDS = [(7 * i + 3) % 97 for i in range(12)]
COMMON = dict(
    vocab_size=97, hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=8, rms_norm_eps=1e-5, rope_theta=1e4, max_position_embeddings=128,
    tie_word_embeddings=False, hidden_act="silu", bos_token_id=None, eos_token_id=None, pad_token_id=None,
    torch_dtype="float32",
)
QWEN2 = dict(model_type="qwen2", rms_norm_eps=1e-6, rope_theta=1e6, tie_word_embeddings=True)
# families with keys of their own
IDS_NONE = dict(bos_token_id=None, eos_token_id=None, pad_token_id=None, torch_dtype="float32")
GPT2 = dict(model_type="gpt2", vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_positions=128, layer_norm_epsilon=1e-5,
            tie_word_embeddings=True, **IDS_NONE)
NEOX = dict(model_type="gpt_neox", vocab_size=97, hidden_size=32, intermediate_size=56, num_hidden_layers=2,
            num_attention_heads=4, max_position_embeddings=128, layer_norm_eps=1e-5, rotary_pct=0.5,
            rotary_emb_base=1e4, use_parallel_residual=True, hidden_act="gelu", tie_word_embeddings=False, **IDS_NONE)
QWEN35 = dict(model_type="qwen3_5_text", head_dim=16, rms_norm_eps=1e-6, num_hidden_layers=3, linear_num_key_heads=2,
              linear_num_value_heads=4, linear_key_head_dim=6, linear_value_head_dim=8)
# Two pictures among the words; what they show follows from `closed_form` too.
IMAGE = 90
IDEFICS3 = dict(
    model_type="idefics3", image_token_id=IMAGE, scale_factor=2, tie_word_embeddings=False, pad_token_id=0,
    torch_dtype="float32",
    text_config={**COMMON, "model_type": "llama"},
    vision_config=dict(model_type="idefics3_vision", hidden_size=24, intermediate_size=40, num_hidden_layers=2,
                       num_attention_heads=3, num_channels=3, image_size=24, patch_size=4,
                       hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-6))
SMOLVLM = dict(
    IDEFICS3, model_type="smolvlm", tie_word_embeddings=True, scale_factor=3,
    text_config={**COMMON, "model_type": "llama", "tie_word_embeddings": True},
    vision_config=dict(IDEFICS3["vision_config"], model_type="smolvlm_vision", num_hidden_layers=1))
QWEN2VL = dict(
    {k: v for k, v in COMMON.items() if k not in ("head_dim", "rope_theta")}, model_type="qwen2_vl", image_token_id=IMAGE,
    video_token_id=91, vision_start_token_id=92, vision_end_token_id=93, rope_theta=1e4, tie_word_embeddings=True,
    rms_norm_eps=1e-6, rope_scaling=dict(type="mrope", mrope_section=[1, 1, 2]),
    vision_config=dict(depth=2, embed_dim=24, hidden_size=32, num_heads=3, mlp_ratio=2, hidden_act="quick_gelu",
                       in_channels=3, patch_size=3, spatial_merge_size=2, temporal_patch_size=2))
QWEN25VL = dict(
    QWEN2VL, model_type="qwen2_5_vl", tie_word_embeddings=False,
    vision_config=dict(depth=3, hidden_size=24, out_hidden_size=32, intermediate_size=40, num_heads=3, hidden_act="silu",
                       in_channels=3, patch_size=3, spatial_merge_size=2, temporal_patch_size=2, window_size=12,
                       fullatt_block_indexes=[1], tokens_per_second=2))
# grids of the two pictures, in patches: of unlike sizes, one with windows that are cut
GRIDS = [(1, 6, 10), (1, 4, 4)]
VISION = ("idefics3", "smolvlm", "qwen2_vl", "qwen2_5_vl")
OWN_KEYS = ("gpt2", "gpt_neox", *VISION)
CASES = {
    "llama": dict(model_type="llama"),
    "llama3-rope": dict(
        model_type="llama", rope_theta=100.0,
        rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                          original_max_position_embeddings=64),
    ),
    "qwen2": QWEN2,
    "qwen2-yarn": dict(
        QWEN2, max_position_embeddings=8192,
        rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=2048),
    ),
    "qwen3": dict(model_type="qwen3", rms_norm_eps=1e-6, rope_theta=1e6, tie_word_embeddings=True, head_dim=16),
    "qwen3_5": dict(QWEN35, layer_types=["linear_attention", "full_attention", "linear_attention"], rope_theta=1e6,
                    tie_word_embeddings=True),
    "qwen3_5-options": dict(QWEN35, full_attention_interval=2, linear_num_value_heads=2, linear_conv_kernel_dim=3,
                            attention_bias=True, partial_rotary_factor=0.5, num_hidden_layers=2),
    "smollm3": dict(model_type="smollm3", rms_norm_eps=1e-6, rope_theta=5e6, tie_word_embeddings=True,
                    num_hidden_layers=4, no_rope_layers=[1, 1, 1, 0]),
    "mistral": dict(model_type="mistral", sliding_window=4),
    "llama-biases": dict(model_type="llama", attention_bias=True, mlp_bias=True),
    "gemma2": dict(model_type="gemma2", hidden_act=None, hidden_activation="gelu_pytorch_tanh", head_dim=16,
                   query_pre_attn_scalar=24, sliding_window=4, attn_logit_softcapping=2.0,
                   final_logit_softcapping=3.0, tie_word_embeddings=True, rms_norm_eps=1e-6),
    "gemma3": dict(model_type="gemma3_text", hidden_act=None, hidden_activation="gelu_pytorch_tanh", head_dim=16,
                   query_pre_attn_scalar=24, sliding_window=4, sliding_window_pattern=3, num_hidden_layers=3,
                   rope_theta=1e6, rope_local_base_freq=1e2, tie_word_embeddings=True, rms_norm_eps=1e-6,
                   rope_scaling=dict(rope_type="linear", factor=8.0)),
    "gemma3-softcap": dict(model_type="gemma3_text", hidden_act=None, hidden_activation="gelu_pytorch_tanh",
                           num_hidden_layers=1, layer_types=["full_attention"], final_logit_softcapping=3.0,
                           query_pre_attn_scalar=8, attention_bias=True),
    "phi3": dict(model_type="phi3", head_dim=None, sliding_window=5, pad_token_id=0),
    "phi4-mini": dict(model_type="phi3", partial_rotary_factor=0.75, tie_word_embeddings=True, pad_token_id=0,
                      original_max_position_embeddings=32,
                      rope_scaling=dict(rope_type="longrope", short_factor=[1.0, 1.5, 2.0],
                                        long_factor=[2.0, 3.0, 4.0])),
    "olmo2": dict(model_type="olmo2", head_dim=None, rope_theta=5e5),
    "olmo3": dict(model_type="olmo3", head_dim=None, rope_theta=5e5, sliding_window=4, num_hidden_layers=4,
                  rope_scaling=dict(rope_type="yarn", factor=8.0, original_max_position_embeddings=16,
                                    attention_factor=1.2, beta_fast=8.0, beta_slow=0.5)),
    "granite": dict(model_type="granite", embedding_multiplier=3.0, residual_multiplier=0.22,
                    attention_multiplier=0.3, logits_scaling=0.5, tie_word_embeddings=True),
    "granite4": dict(model_type="granitemoehybrid", num_local_experts=0, shared_intermediate_size=48, mamba_n_heads=8,
                     layer_types=["attention", "attention"], position_embedding_type="rope", embedding_multiplier=3.0,
                     residual_multiplier=0.22, attention_multiplier=0.3, logits_scaling=0.5, tie_word_embeddings=True),
    "lfm2": dict(model_type="lfm2", hidden_act=None, head_dim=None, norm_eps=1e-5, rope_theta=1e6, num_hidden_layers=3,
                 block_multiple_of=8, layer_types=["conv", "full_attention", "conv"], tie_word_embeddings=True),
    "lfm2-options": dict(model_type="lfm2", hidden_act=None, head_dim=None, norm_eps=1e-6, conv_bias=True, conv_L_cache=4,
                         full_attn_idxs=[1], block_auto_adjust_ff_dim=False, tie_word_embeddings=False),
    "gpt2": GPT2,
    "gpt2-options": dict(GPT2, n_inner=40, activation_function="gelu", scale_attn_by_inverse_layer_idx=True,
                         scale_attn_weights=False),
    "pythia": NEOX,
    "idefics3": IDEFICS3,
    "smolvlm": SMOLVLM,
    "qwen2_vl": QWEN2VL,
    "qwen2_5_vl": QWEN25VL,
    "neox-sequential": dict(NEOX, use_parallel_residual=False, attention_bias=False, rotary_pct=1.0,
                            hidden_act="gelu_new", tie_word_embeddings=True),
}
# full gradients of these are stored, the norm of every other
FULL_GRADIENTS = ("layers.0.self_attn.q_proj.weight", "layers.1.self_attn.q_norm.weight",
                  "layers.0.self_attn.k_proj.bias", "model.norm.weight", "layers.0.input_layernorm.weight",
                  "layers.0.post_feedforward_layernorm.weight", "layers.0.self_attn.qkv_proj.weight", "h.0.attn.c_attn.bias",
                  "ln_f.bias", "layers.0.attention.query_key_value.bias",
                  "layers.0.conv.conv.weight", "layers.0.linear_attn.conv1d.weight", "layers.0.linear_attn.A_log",
                  "layers.0.linear_attn.dt_bias", "layers.0.linear_attn.norm.weight",
                  "patch_embedding.weight", "position_embedding.weight", "layers.1.self_attn.out_proj.weight",
                  "modality_projection.proj.weight", "post_layernorm.weight", "patch_embed.proj.weight",
                  "blocks.1.attn.qkv.weight", "merger.ln_q.weight", "merger.mlp.0.weight")
VERSIONS = dict(python=platform.python_version(), torch=torch.__version__, transformers=transformers.__version__,
                peft=peft.__version__)


def closed_form(name, shape):
    h = 0x811C9DC5
    for byte in name.encode():
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    x = (h + np.arange(int(np.prod(shape)), dtype=np.uint64) * 2654435761) & 0xFFFFFFFF
    x ^= x >> 16
    x = (x * 0x85EBCA6B) & 0xFFFFFFFF
    x ^= x >> 13
    x = (x * 0xC2B2AE35) & 0xFFFFFFFF
    x ^= x >> 16
    u = x / 2**31 - 1
    if name.endswith(".weight") and ("norm" in name.removesuffix(".weight") or ".ln_" in name):
        value = 1 + 0.1 * u
    else:
        value = (0.1 if len(shape) == 1 else 0.3) * u
    return value.astype(np.float32).reshape(shape)


def whole(overrides):
    """config.json of a case; None of an override takes a common key out."""
    config = {**({} if overrides["model_type"] in OWN_KEYS else COMMON), **overrides}
    if overrides["model_type"] == "lfm2":
        config.pop("rms_norm_eps")
    absent = ("hidden_act", "head_dim")
    return {k: v for k, v in config.items() if not (k in absent and v is None)}


def auto_class(config):
    return AutoModelForImageTextToText if config["model_type"] in VISION else AutoModelForCausalLM


def pictures(config):
    """Of a model that sees them: ids with two, and their pixels [1, 2, 3, size, size]; else ids alone."""
    if config["model_type"] not in VISION:
        return IDS, None
    tower = config["vision_config"]
    if config["model_type"].startswith("qwen2"):
        counts = [rows * columns for _, rows, columns in GRIDS]
        tokens = [count // tower["spatial_merge_size"] ** 2 for count in counts]
        ids = IDS[:4] + [IMAGE] * tokens[0] + IDS[4:7] + [IMAGE] * tokens[1] + IDS[7:]
        width = 3 * tower["temporal_patch_size"] * tower["patch_size"] ** 2
        return ids, torch.from_numpy(closed_form("pixels", (sum(counts), width)))
    size, patch = tower["image_size"], tower["patch_size"]
    tokens = (size // patch // config["scale_factor"]) ** 2
    ids = IDS[:4] + [IMAGE] * tokens + IDS[4:7] + [IMAGE] * tokens + IDS[7:]
    return ids, torch.from_numpy(closed_form("pixels", (1, 2, 3, size, size)))


def build(config):
    """A model of the config with closed-form weights, and the names that its file has (lm_head and embed_out differ)."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "config.json").write_text(json.dumps(config))
        parsed = AutoConfig.from_pretrained(folder)
        auto_class(config).from_config(parsed).save_pretrained(folder / "names")
        with safe_open(folder / "names" / "model.safetensors", "pt") as saved:
            shapes = {k: tuple(saved.get_slice(k).get_shape()) for k in saved.keys()}
        save_file({k: closed_form(k, s) for k, s in shapes.items()}, folder / "model.safetensors", {"format": "pt"})
        model, report = auto_class(config).from_pretrained(
            folder, attn_implementation="eager", dtype=torch.float32, output_loading_info=True)
        assert not any(report[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    return model.eval().float(), parsed, list(shapes)


def rounded(tensor, digits=8):
    return [float(f"{v:.{digits}g}") for v in tensor.detach().flatten().tolist()]


def shown_to(config):
    """What the model is given beside ids."""
    ids, pixels = pictures(config)
    if pixels is None:
        return {}
    if config["model_type"].startswith("qwen2"):
        kinds = torch.tensor([[int(i == IMAGE) for i in ids]])
        return dict(pixel_values=pixels, image_grid_thw=torch.tensor(GRIDS), mm_token_type_ids=kinds)
    return dict(pixel_values=pixels)


def score(model, config):
    listed, _ = pictures(config)
    ids = torch.tensor([listed])
    shown = shown_to(config)
    logits = model(ids, use_cache=False, **shown).logits[0]
    loss = -torch.log_softmax(logits[:-1], -1).gather(1, ids[0, 1:, None]).mean()
    return logits, loss


def greedy(model, config, steps=6):
    listed, _ = pictures(config)
    shown = shown_to(config)
    found = model.generate(torch.tensor([listed]), max_new_tokens=steps, do_sample=False, **shown)
    return found[0, len(listed):].tolist()


def other_values(key, value, config):
    """What a key of the config could say instead."""
    if key in ("layer_types", "rope_parameters", "model_type", "architectures", "transformers_version", "dtype"):
        return []
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [2 * value if value > 1 else value + 1]
    if isinstance(value, float):
        return [1.5 * value + 0.25]
    if value in ("silu", "gelu", "gelu_new", "gelu_pytorch_tanh"):
        return [a for a in ("silu", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu") if a != value]
    if value is None:
        return [3]
    return []


def nested_options(config, part, everything):
    """The whole of a nested config with one of its keys said otherwise."""
    skipped = ("vocab_size", "image_size", "patch_size", "pad_token_id", "spatial_merge_size", "temporal_patch_size")
    if part not in config:
        return []
    return [(part, {**config[part], k: v}) for k, value in everything[part].items() if k not in skipped
            for v in other_values(k, config[part].get(k, value), config[part])]


def changed_options(config, parsed, nll):
    """Mean NLL with each key of the class's config changed by itself: whoever reads the config must follow or refuse."""
    everything = json.loads(parsed.to_json_string(use_diff=False))
    changes = [(k, v) for k, value in everything.items() for v in other_values(k, config.get(k, value), config)]
    rope = config.get("rope_scaling") or {}
    changes += [("rope_scaling", {**rope, k: v}) for k, value in rope.items() for v in other_values(k, value, config)]
    if "rope_scaling" not in config:
        flat = everything.get("rope_parameters") or {}
        changes += [("rope_parameters", {**flat, k: v}) for k, value in flat.items()
                    for v in other_values(k, value, config)]
    for key in ("rope_theta", "rope_local_base_freq", "rotary_emb_base", "rotary_pct", "partial_rotary_factor",
                "sliding_window_pattern", "no_rope_layer_interval"):
        changes += [(key, v) for v in other_values(key, config.get(key, 0.5), config) if key not in everything]
    changes += [(key, v) for key in ("full_attention_interval",) if key in config
                for v in other_values(key, config[key], config)]
    if config["model_type"] in VISION:
        changes = [(k, v) for k, v in changes if k in ("tie_word_embeddings", "use_cache")]
        flat = ("hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads rms_norm_eps "
                "rope_theta max_position_embeddings hidden_act").split() if "text_config" not in config else ()
        changes += [(k, v) for k in flat for v in other_values(k, config[k], config)]
        changes += [c for part in ("text_config", "vision_config") for c in nested_options(config, part, everything)]
    kinds = everything.get("layer_types")
    if kinds:
        other = {"full_attention": "linear_attention" if "linear_attention" in kinds else "sliding_attention"}
        changes += [("layer_types", [other.get(k, "full_attention") for k in kinds])]
    results = []
    for key, value in changes:
        try:
            found = score(build({**config, key: value})[0], {**config, key: value})[1].item()
        except Exception as error:  # a value that the class refuses itself
            results.append(dict(key=key, value=value, refused=type(error).__name__))
            continue
        results.append(dict(key=key, value=value, nll=found, matters=abs(found - nll) > 1e-6))
    return results


def decoder_case(name, overrides):
    config = whole(overrides)
    model, parsed, names = build(config)
    logits, loss = score(model, config)
    loss.backward()
    gradients = {rename(k, names): p.grad for k, p in model.named_parameters()}
    newer = json.loads(parsed.to_json_string(use_diff=False))
    keep = {k: newer[k] for k in config if k in newer and k not in ("rope_theta", "rope_scaling", "torch_dtype")}
    if "rope_parameters" in newer:
        keep["rope_parameters"] = newer["rope_parameters"]
    if "layer_types" in newer and newer["model_type"] in ("gemma3_text", "olmo3", "lfm2", "qwen3_5_text"):
        keep["layer_types"] = newer["layer_types"]
    for part in ("text_config", "vision_config") if config["model_type"] in VISION else ():
        known = config.get(part, config)
        own = {k: v for k, v in newer[part].items() if v is not None and k in (*known, "rope_parameters", "layer_types")}
        keep[part] = {k: v for k, v in own.items() if k not in ("rope_theta", "torch_dtype")}
    if config["model_type"].startswith("qwen2_"):  # qwen2 has no underscore
        keep = {k: v for k, v in keep.items() if k not in keep["text_config"] or k in ("model_type", "tie_word_embeddings")}
        keep["text_config"]["model_type"] = newer["text_config"]["model_type"]
    return dict(
        versions=VERSIONS, config=config, configNewer=keep, ids=pictures(config)[0], logits=rounded(logits), nll=loss.item(),
        gradientNorms={k: float(f"{g.double().norm().item():.8g}") for k, g in gradients.items()},
        gradients={k: rounded(g, 7) for k, g in gradients.items() if k.endswith(FULL_GRADIENTS)},
        greedy=greedy(model, config), options=changed_options(config, parsed, loss.item()),
    )


def published(name):
    """Qwen2-VL's class calls its parts otherwise than its files do."""
    return name.replace("model.visual.", "visual.").replace("model.language_model.", "model.")


def rename(parameter, names):
    """A parameter by its name in the file."""
    parameter = published(parameter)
    return parameter if parameter in names else {"lm_head.weight": "embed_out.weight"}[parameter]


def lora_case(base, targets, rslora=False):
    """Adapters on a base model, by peft."""
    base_config = whole(CASES[base])
    model, _, _ = build(base_config)
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules=targets,
                             use_rslora=rslora, lora_dropout=0.0, fan_in_fan_out=base_config["model_type"] == "gpt2")
    model = peft.get_peft_model(model, config)
    with torch.no_grad():
        for k, p in model.named_parameters():
            if "lora_" in k:
                p.copy_(torch.from_numpy(closed_form(published(k.replace(".default.", ".")), tuple(p.shape))))
    logits, loss = score(model, base_config)
    loss.backward()
    norms = {published(k.replace(".default.", ".")): float(f"{p.grad.double().norm().item():.8g}")
             for k, p in model.named_parameters() if p.requires_grad}
    names = [k.replace(".default.", ".") for k, p in model.named_parameters() if p.requires_grad]
    written = json.loads(json.dumps(config.to_dict(), default=lambda v: sorted(v) if isinstance(v, set) else str(v)))
    written["base_model_name_or_path"] = base
    merged = score(model.merge_and_unload(), base_config)[0]
    return dict(
        versions=VERSIONS, config=base_config, adapterConfig=written, adapterNames=sorted(names), ids=pictures(base_config)[0],
        logits=rounded(logits), mergedLogits=rounded(merged), nll=loss.item(), gradientNorms=norms,
    )


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    OUT.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[1:]
    attention = ["q_proj", "v_proj"]
    cases = {name: lambda name=name, overrides=overrides: decoder_case(name, overrides) for name, overrides in CASES.items()}
    cases["lora"] = lambda: lora_case("llama", attention)
    cases["lora-rslora"] = lambda: lora_case("llama", attention, rslora=True)
    cases["lora-gemma3"] = lambda: lora_case("gemma3", [*attention, "down_proj"])
    cases["lora-phi3"] = lambda: lora_case("phi3", ["qkv_proj", "gate_up_proj"])
    cases["lora-gpt2"] = lambda: lora_case("gpt2", ["c_attn", "c_fc"])
    cases["lora-lfm2"] = lambda: lora_case("lfm2", ["in_proj", "out_proj", "w1"])
    cases["lora-qwen3_5"] = lambda: lora_case("qwen3_5", ["in_proj_qkv", "in_proj_a", "out_proj", "q_proj", "o_proj"])
    cases["lora-pythia"] = lambda: lora_case("pythia", ["query_key_value", "dense"])
    cases["lora-qwen2_vl"] = lambda: lora_case("qwen2_vl", ["q_proj", "attn.qkv", "mlp.2"])
    cases["lora-idefics3"] = lambda: lora_case("idefics3", ["q_proj", "fc1", "modality_projection.proj"])
    for name, case in cases.items():
        if wanted and name not in wanted:
            continue
        result = case()
        path = OUT / f"{name}.json"
        path.write_text(json.dumps(result, separators=(",", ":")) + "\n")
        print(name, f"{result['nll']:.6f}", path.stat().st_size, flush=True)


if __name__ == "__main__":
    main()
