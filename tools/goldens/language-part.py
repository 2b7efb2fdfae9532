"""Names and logits of a tiny model that sees pictures, computed by transformers from text alone.

    python tools/goldens/language-part.py   # writes tests/golden/language-part.json

Needs torch, transformers and torchvision; weights follow from their names in the file, as in decoder.py.
"""

import json
import platform
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors import safe_open
from safetensors.numpy import save_file
from transformers import AutoModelForCausalLM, Qwen3_5Config, Qwen3_5ForConditionalGeneration

from decoder import IDS, QWEN35, closed_form, rounded

OUT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "language-part.json"
# keys that published files have and the class does not read stand beside those that it does
TEXT = {
    **QWEN35, "vocab_size": 97, "hidden_size": 32, "intermediate_size": 56, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128, "num_hidden_layers": 2, "hidden_act": "silu",
    "layer_types": ["linear_attention", "full_attention"], "tie_word_embeddings": True, "attn_output_gate": True,
    "full_attention_interval": 4, "mtp_num_hidden_layers": 1, "mtp_use_dedicated_embeddings": False,
    "mamba_ssm_dtype": "float32", "attention_bias": False, "eos_token_id": 2, "dtype": "float32",
    "rope_parameters": {"mrope_interleaved": True, "mrope_section": [1, 1, 0], "rope_type": "default",
                        "rope_theta": 1e6, "partial_rotary_factor": 0.25},
}
VISION = {"model_type": "qwen3_5", "depth": 1, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2,
          "out_hidden_size": 32, "num_position_embeddings": 16, "patch_size": 4, "in_channels": 3}
WHOLE = {"architectures": ["Qwen3_5ForConditionalGeneration"], "model_type": "qwen3_5", "text_config": TEXT,
         "vision_config": VISION, "image_token_id": 90, "video_token_id": 91, "vision_start_token_id": 92,
         "vision_end_token_id": 93, "tie_word_embeddings": True, "transformers_version": "4.57.0.dev0"}


def main():
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        Qwen3_5ForConditionalGeneration(Qwen3_5Config(**json.loads(json.dumps(WHOLE)))).save_pretrained(folder / "names")
        with safe_open(folder / "names" / "model.safetensors", "pt") as saved:
            shapes = {k: list(saved.get_slice(k).get_shape()) for k in saved.keys()}
        # the part that predicts further tokens is in published files and in no class
        shapes["mtp.fc.weight"] = [32, 64]
        save_file({k: closed_form(k, s) for k, s in shapes.items()}, folder / "model.safetensors", {"format": "pt"})
        (folder / "config.json").write_text(json.dumps(WHOLE))
        ids = torch.tensor([IDS])
        whole = Qwen3_5ForConditionalGeneration.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
        logits = whole.eval()(ids, use_cache=False).logits[0]
        text = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
        assert type(text).__name__ == "Qwen3_5ForCausalLM", type(text)
        assert np.array_equal(text(ids, use_cache=False).logits[0].detach(), logits.detach())
        versions = dict(python=platform.python_version(), torch=torch.__version__, transformers=transformers.__version__)
        OUT.write_text(json.dumps(dict(versions=versions, config=WHOLE, shapes=shapes, ids=IDS, logits=rounded(logits)),
                                  separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
