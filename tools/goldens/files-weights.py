"""Golden bytes for tests/policy/files: safetensors, 16-bit rounding, GGUF blocks, a PEFT adapter.

    pip install torch==2.15.0 transformers==5.23.0 safetensors==0.8.0 peft==0.21.2 gguf==0.19.0
    python tools/goldens/files-weights.py > tests/golden/files/weights.json
"""

import base64
import json
import os
import sys
import tempfile

import gguf
import numpy as np
import peft
import safetensors
import safetensors.torch
import torch
import transformers

QUANTISED = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]


def b64(data):
    return base64.b64encode(data).decode()


def safetensors_file():
    torch.manual_seed(1)
    values = torch.tensor([0.0, -0.0, 1.5, -2.25, 3e-5, 1e-7, 1000.0, float("inf")])
    tensors = {
        "f64": values.double(), "f32": values.reshape(2, 4), "f16": values.half(), "bf16": values.bfloat16().reshape(2, 2, 2),
        "i64": torch.tensor([-(2**40), 7]), "i32": torch.tensor([-5, 2**20], dtype=torch.int32),
        "i16": torch.tensor([-300, 300], dtype=torch.int16), "i8": torch.tensor([-128, 127, 1], dtype=torch.int8),
        "u8": torch.tensor([0, 255], dtype=torch.uint8), "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(3.5), "empty": torch.zeros(0, 3),
    }  # fmt: skip
    expected = {
        name: {"shape": list(tensor.shape), "f32": b64(tensor.float().numpy().tobytes())} for name, tensor in tensors.items()
    }
    return {"file": b64(safetensors.torch.save(tensors, {"format": "pt"})), "tensors": expected}


def rounding():
    """Random bit patterns, every exponent, and the neighbourhood of ties."""
    draw = np.random.default_rng(3)
    bits = draw.integers(0, 2**32, 1500, dtype=np.uint64).astype(np.uint32)
    ties = (draw.integers(0x3300, 0x4790, 300).astype(np.uint32) << 16) | draw.choice([0x8000, 0x7FFF, 0x8001], 300).astype(np.uint32)
    half = (draw.integers(0x33000, 0x47800, 300).astype(np.uint32) << 12) + draw.choice([0, 1, 0xFFF], 300).astype(np.uint32)
    values = np.concatenate([bits, ties.astype(np.uint32), half.astype(np.uint32)]).view(np.float32)
    values = values[~np.isnan(values)]
    tensor = torch.from_numpy(values.copy())
    return {
        "f32": b64(values.tobytes()),
        "bf16": b64(tensor.bfloat16().view(torch.int16).numpy().tobytes()),
        "f16": b64(tensor.half().view(torch.int16).numpy().tobytes()),
    }


def blocks():
    draw = np.random.default_rng(5)
    out = {}
    for name in QUANTISED:
        kind = gguf.GGMLQuantizationType[name]
        block, size = gguf.GGML_QUANT_SIZES[kind]
        data = draw.integers(0, 256, 3 * size, dtype=np.uint8).reshape(3, size)
        # scales must be finite: clear the top exponent bit of every float16 in the block
        for at in {"Q6_K": [208], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q4_1": [0, 2], "Q5_1": [0, 2]}.get(name, [0]):
            data[:, at + 1] &= 0xBF
        values = gguf.dequantize(data, kind).astype(np.float32)
        out[name] = {"bytes": b64(data.tobytes()), "f32": b64(values.tobytes())}
    return out


def adapter():
    torch.manual_seed(2)
    config = transformers.LlamaConfig(
        vocab_size=16, hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1
    )
    model = transformers.LlamaForCausalLM(config)
    lora = peft.LoraConfig(
        r=2, lora_alpha=6, use_rslora=True, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM",
        rank_pattern={"layers.1.mlp.down_proj": 3}, alpha_pattern={"down_proj": 4}, init_lora_weights=False,
    )  # fmt: skip
    model = peft.get_peft_model(model, lora)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        files = {name: b64(open(os.path.join(folder, name), "rb").read()) for name in ("adapter_config.json", "adapter_model.safetensors")}
    scalings = {
        name.removeprefix("base_model.model."): module.scaling["default"]
        for name, module in model.named_modules() if hasattr(module, "scaling") and isinstance(module.scaling, dict)
    }  # fmt: skip
    return {"files": files, "scalings": scalings}


def main():
    versions = {m.__name__: m.__version__ for m in (torch, transformers, safetensors, peft)}
    out = {"made_by": "tools/goldens/files-weights.py", "versions": versions | {"gguf": "0.19.0", "python": sys.version.split()[0]},
           "safetensors": safetensors_file(), "rounding": rounding(), "blocks": blocks(), "adapter": adapter()}  # fmt: skip
    print(json.dumps(out, separators=(",", ":")))


main()
