"""Golden ids, decodings and rendered chat templates for tests/policy/files.

Small byte-level BPE tokenizers in the styles of GPT-2, Llama 3, Qwen and SmolLM2 are trained on the text below with
the reference library, then encode and decode strings that are easy to get wrong. The chat templates are written for
this file and rendered by transformers' own Jinja environment, the date pinned to 2024-07-26.

    pip install tokenizers==0.23.3 transformers==5.23.0
    python tools/goldens/files-tokenizers.py > tests/golden/files/tokenizers.json
"""

import datetime
import json
import random

import tokenizers
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers.utils import chat_template_utils

LLAMA = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN = LLAMA.replace(r"\p{N}{1,3}", r"\p{N}")
TEXT = [
    "I'll think about the answer, step by step. The answer is 42, and 12345 is not.",
    "Let x be the number of apples; then 3x + 5 = 20, so x = 5.\n\nThe answer is 5.",
    "Don't we've they're I'LL pay $12345.67 for  it\n\n  ok?? été naïve 中文字符",
    "²² ½½ ٣٤ .\ufeff.\ufeff \x85\x85 « « « « « « « « «",
    "def f(x):\n    return x ** 2\n\nprint(f(12))\n",
] * 4


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), behavior="isolated", invert=False)


def byte_level(use_regex):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def build(name):
    tokenizer = Tokenizer(models.BPE())
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    if name == "gpt2":
        tokenizer.pre_tokenizer = byte_level(True)
    elif name == "llama3":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split(LLAMA), byte_level(False)])
    elif name == "qwen":
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split(QWEN), byte_level(False)])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(True)])
        # a vocabulary without the bytes 04 1d 93 f1, as SmolLM2's lacks some
        alphabet = [symbol for symbol in alphabet if symbol not in "\u0104\u011d\u0135\u00f1"]
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=len(alphabet) + 90, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    special = [AddedToken(t, special=True, normalized=False) for t in ("<|im_start|>", "<|im_end|>", "<a>", "<a><b>")]
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in ("<think>", "</think>")])
    if name == "llama3":
        bos = tokenizer.token_to_id("<|im_start|>")
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|im_start|> $A", pair="<|im_start|> $A $B", special_tokens=[("<|im_start|>", bos)]
        )
        data = json.loads(tokenizer.to_str())
        data["model"]["ignore_merges"] = True
        tokenizer = Tokenizer.from_str(json.dumps(data))
    return tokenizer


def strings():
    draw = random.Random(7)
    ranges = [(32, 127), (0x400, 0x460), (0x4E00, 0x4E80), (0x1F300, 0x1F380)]
    return [
        "", " ", "   ", "\r\n", "a\r\nb\r\n\r\n", "\t\tx\t", "12345.67", "1 22 333 4444",
        "I'LL pay $12345.67 for  it\n\n  ok?? été", "I'll we've don't DON'T", "中文字符 日本語 한국어",
        "👍🏽 👨‍👩‍👧‍👦 🇩🇪", "e\u0301 ñ n\u0303 \u1e9b\u0323", "a\0b", "x²y٣٤Ⅷ½ 12", "\ufeffbom", "a\u00a0b\u2003c\u3000",
        "a\x85b\x1cc\x1d", "<|im_start|>user\nHi<|im_end|>\n", "<|im_end|><|im_start|>", "<|im_end", "x<a>y<a><b>z",
        "<think> hmm </think>", "   lead", "trail   ", "\n\n\n a", "return return", "²² ½½ ٣٤ ²½", "x ² ½", "a.\ufeff.\ufeff", "2 *\x04* 3", "a\x04b", "The\x04 answer",
        "".join(chr(draw.randrange(256)) for _ in range(300)),
        "".join(chr(draw.randrange(*draw.choice(ranges))) for _ in range(200)),
    ]  # fmt: skip


TEMPLATES = {
    "plain": "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + eos_token + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "thinking": """
{%- set ns = namespace(last=-1) %}
{%- for m in messages[::-1] %}
  {%- if ns.last < 0 and m.role == "user" %}{% set ns.last = messages | length - 1 - loop.index0 %}{% endif %}
{%- endfor %}
{%- for m in messages %}
  {%- set text = m.content %}
  {%- if m.role == "assistant" and "</think>" in text %}
    {%- set thought = text.split("</think>")[0].rstrip("\\n").split("<think>")[-1].lstrip("\\n") %}
    {%- set text = text.split("</think>")[-1].lstrip("\\n") %}
    {%- if loop.index0 > ns.last %}{{ "<think>\\n" + thought.strip("\\n") + "\\n</think>\\n\\n" }}{% endif %}
  {%- endif %}
  {{- m.role ~ ": " ~ text ~ eos_token }}
{% endfor %}
{%- if add_generation_prompt %}assistant:{% if enable_thinking is defined and enable_thinking is false %} <think>

</think>
{% endif %}{% endif %}""",
    "dated": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system = messages[0]['content'] | trim %}
{% else %}{% set rest = messages %}{% set system = "" %}{% endif %}
Today: {{ strftime_now("%d %b %Y") }} ({{ strftime_now("%A, %B %d %Y") }})
{{ system }}
{%- macro turn(m) %}[{{ m.role | upper }}]{{ m.content | tojson }}{% endmacro %}
{%- for m in rest %}{% if loop.first and m.role != "user" %}{{ raise_exception("starts with " + m.role) }}{% endif %}{{ turn(m) }}{% if not loop.last %}, {% endif %}{% endfor %}""",
}
CHATS = [
    [{"role": "user", "content": "Hi"}],
    [{"role": "system", "content": "  Be brief. "}, {"role": "user", "content": "2+2=? “ü” \"q\" <b>&"}],
    [
        {"role": "user", "content": "\n  one "},
        {"role": "assistant", "content": "<think>\n  deep\n\n</think>\n\n  uno"},
        {"role": "user", "content": "two"},
        {"role": "assistant", "content": "<think>\n\n more \n</think>\n\n  dos"},
    ],
]


class PinnedDate(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


def render(template, messages, **variables):
    pinned, chat_template_utils.datetime = chat_template_utils.datetime, PinnedDate
    try:
        compiled = chat_template_utils._compile_jinja_template(template)
        return compiled.render(messages=messages, bos_token="<s>", eos_token="<|im_end|>", **variables)
    finally:
        chat_template_utils.datetime = pinned


def main():
    out = {"made_by": "tools/goldens/files-tokenizers.py", "tokenizers_version": tokenizers.__version__,
           "transformers_version": transformers.__version__, "tokenizers": {}, "templates": []}  # fmt: skip
    for name in ("gpt2", "llama3", "qwen", "smollm"):
        tokenizer = build(name)
        cases = []
        for text in strings():
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            cases.append({
                "text": text, "ids": ids, "with_special": tokenizer.encode(text).ids[: len(ids) + 1],
                "decoded": tokenizer.decode(ids, skip_special_tokens=False), "skipped": tokenizer.decode(ids),
            })  # fmt: skip
        out["tokenizers"][name] = {"tokenizer_json": json.loads(tokenizer.to_str()), "cases": cases}
    for name, template in TEMPLATES.items():
        for messages in CHATS:
            for variables in ({"add_generation_prompt": True}, {"add_generation_prompt": False},
                              {"add_generation_prompt": True, "enable_thinking": False}):  # fmt: skip
                out["templates"].append({
                    "name": name, "template": template, "messages": messages, "variables": variables,
                    "text": render(template, messages, **variables),
                })  # fmt: skip
    print(json.dumps(out, ensure_ascii=True, separators=(",", ":")))


main()
