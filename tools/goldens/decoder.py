"""Golden numbers of tiny decoders with closed-form weights, computed by transformers and peft.

    python tools/goldens/decoder.py            # writes tests/golden/decoder/*.json

Needs torch, transformers and peft; the versions used are in each file. Weights are not stored: they follow
from a hash of tensor name and index (`closed_form`), which tests/helpers/closed-form.ts computes as well.
"""

import json
import platform
import tempfile
from pathlib import Path

import numpy as np
import peft
import torch
import transformers
from safetensors.numpy import save_file
from transformers import AutoConfig, AutoModelForCausalLM

OUT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "decoder"
IDS = [(7 * i + 3) % 97 for i in range(12)]
COMMON = dict(
    vocab_size=97, hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=8, rms_norm_eps=1e-5, rope_theta=1e4, max_position_embeddings=128,
    tie_word_embeddings=False, hidden_act="silu", bos_token_id=None, eos_token_id=None, pad_token_id=None,
    torch_dtype="float32",
)
QWEN2 = dict(model_type="qwen2", rms_norm_eps=1e-6, rope_theta=1e6, tie_word_embeddings=True)
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
    "smollm3": dict(model_type="smollm3", rms_norm_eps=1e-6, rope_theta=5e6, tie_word_embeddings=True,
                    num_hidden_layers=4, no_rope_layers=[1, 1, 1, 0]),
    "mistral": dict(model_type="mistral", sliding_window=4),
    "llama-biases": dict(model_type="llama", attention_bias=True, mlp_bias=True),
}
# full gradients of these are stored, the norm of every other
FULL_GRADIENTS = ("layers.0.self_attn.q_proj.weight", "layers.1.self_attn.q_norm.weight",
                  "layers.0.self_attn.k_proj.bias", "model.norm.weight", "layers.0.input_layernorm.weight")
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
    if name.endswith(".weight") and ("norm" in name.removesuffix(".weight") or name.endswith("ln_q.weight")):
        value = 1 + 0.1 * u
    else:
        value = (0.1 if len(shape) == 1 else 0.3) * u
    return value.astype(np.float32).reshape(shape)


def load(config, folder):
    (folder / "config.json").write_text(json.dumps(config))
    parsed = AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        names = {k: tuple(v.shape) for k, v in AutoModelForCausalLM.from_config(parsed).state_dict().items()}
    if config["tie_word_embeddings"]:
        names.pop("lm_head.weight")
    save_file({k: closed_form(k, s) for k, s in names.items()}, folder / "model.safetensors", {"format": "pt"})
    model, report = AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32, output_loading_info=True)
    assert not any(report[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    return model.eval().float(), parsed


def rounded(tensor, digits=8):
    return [float(f"{v:.{digits}g}") for v in tensor.detach().flatten().tolist()]


def score(model):
    ids = torch.tensor([IDS])
    logits = model(ids, use_cache=False).logits[0]
    loss = -torch.log_softmax(logits[:-1], -1).gather(1, ids[0, 1:, None]).mean()
    return logits, loss


def greedy(model, steps=6):
    return model.generate(torch.tensor([IDS]), max_new_tokens=steps, do_sample=False)[0, len(IDS):].tolist()


def decoder_case(name, overrides):
    config = {**COMMON, **overrides}
    with tempfile.TemporaryDirectory() as folder:
        model, parsed = load(config, Path(folder))
        logits, loss = score(model)
        loss.backward()
        gradients = {k: p.grad for k, p in model.named_parameters()}
        newer = json.loads(parsed.to_json_string(use_diff=False))
        keep = {k: newer[k] for k in config if k in newer and k not in ("rope_theta", "rope_scaling", "torch_dtype")}
        keep["rope_parameters"] = newer["rope_parameters"]
        return dict(
            versions=VERSIONS, config=config, configNewer=keep, ids=IDS, logits=rounded(logits), nll=loss.item(),
            gradientNorms={k: float(f"{g.double().norm().item():.8g}") for k, g in gradients.items()},
            gradients={k: rounded(g, 7) for k, g in gradients.items() if k.endswith(FULL_GRADIENTS)},
            greedy=greedy(model),
        )


def lora_case(rslora):
    with tempfile.TemporaryDirectory() as folder:
        model, _ = load({**COMMON, **CASES["llama"]}, Path(folder))
        config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"],
                                 use_rslora=rslora, lora_dropout=0.0)
        model = peft.get_peft_model(model, config)
        with torch.no_grad():
            for k, p in model.named_parameters():
                if "lora_" in k:
                    p.copy_(torch.from_numpy(closed_form(k.replace(".default.", "."), tuple(p.shape))))
        logits, loss = score(model)
        loss.backward()
        norms = {k.replace(".default.", "."): float(f"{p.grad.double().norm().item():.8g}")
                 for k, p in model.named_parameters() if p.requires_grad}
        written = json.loads(json.dumps(config.to_dict(), default=lambda v: sorted(v) if isinstance(v, set) else str(v)))
        written["base_model_name_or_path"] = "llama"
        merged = score(model.merge_and_unload())[0]
        return dict(
            versions=VERSIONS, config={**COMMON, **CASES["llama"]}, adapterConfig=written, ids=IDS,
            logits=rounded(logits), mergedLogits=rounded(merged), nll=loss.item(), gradientNorms=norms,
        )


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    OUT.mkdir(parents=True, exist_ok=True)
    results = {name: decoder_case(name, overrides) for name, overrides in CASES.items()}
    results["lora"] = lora_case(False)
    results["lora-rslora"] = lora_case(True)
    for name, result in results.items():
        path = OUT / f"{name}.json"
        path.write_text(json.dumps(result, separators=(",", ":")) + "\n")
        print(name, f"{result['nll']:.6f}", path.stat().st_size)


if __name__ == "__main__":
    main()
