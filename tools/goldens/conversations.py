"""Rendered conversations and masks of what the assistant wrote, by transformers' apply_chat_template
(return_assistant_tokens_mask), for tests/rollouts/conversation.test.ts.

    python -m venv venv && venv/bin/pip install transformers==5.24.0 jinja2==3.1.6
    venv/bin/python tools/goldens/conversations.py tests/golden/conversations.json
"""

import json
import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

texts = ["The quick brown fox\n\n\njumps over the lazy dog. What is 1 + 2? It is 3.\n", "user assistant system tool\n  ünï 🎉"] * 20
raw = Tokenizer(models.BPE())
raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
raw.decoder = decoders.ByteLevel()
raw.train_from_iterator(texts, trainers.BpeTrainer(
    vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    special_tokens=["<|im_start|>", "<|im_end|>", "<|end|>"], show_progress=False))
fast = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|im_end|>", pad_token="<|end|>")

chatml = """{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- '<|im_start|>assistant\\n' }}{% generation %}{{ message.content }}{{ '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}
{%- else %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"""

# tags that take the white space around them
spaced = """{% for message in messages %}
    {% if message['role'] == 'assistant' %}
<|im_start|>assistant
        {%- generation -%}
  {{ message['content'] }}<|im_end|>
        {%- endgeneration %}

    {% else %}
<|im_start|>{{ message['role'] }}
{{ message['content'] }}<|im_end|>
    {% endif %}
{% endfor %}
{% if add_generation_prompt %}
<|im_start|>assistant
{% endif %}"""

tooled = """{%- if tools %}{{- '<|im_start|>system\\nTools: ' }}{%- for tool in tools %}{{- tool | tojson }}{%- endfor %}{{- '<|im_end|>\\n' }}{%- endif %}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- '<|im_start|>assistant\\n' }}
{%- generation %}
{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- if message.content %}{{- message.content }}{%- endif %}
{%- if message.tool_calls %}{%- for call in message.tool_calls %}{{- '<call>' + call.function.name + ' ' + (call.function.arguments | tojson) + '</call>' }}{%- endfor %}{%- endif %}
{{- '<|im_end|>' }}
{%- endgeneration %}
{{- '\\n' }}
{%- else %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}"""

plain = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is 1 + 2?"},
    {"role": "assistant", "content": "It is 3."},
    {"role": "user", "content": "And 2 + 2? 🎉"},
    {"role": "assistant", "content": "4\n\nünï"},
]
bare = """{% for message in messages %}{% if message.role == 'assistant' %}A: {% generation %}{{ message.content }}{% endgeneration %}{{ '\n\n' }}{% else %}{{ message.role + ': ' + message.content + '\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}A: {% endif %}"""
open_ended = [dict(message, content=message["content"] + "\n") if message["role"] == "assistant" else message for message in plain]
# a line end at the border joins the template's own
crossing = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "\n\nThe fox"},
            {"role": "user", "content": ""}, {"role": "assistant", "content": ""}]
call = {"type": "function", "function": {"name": "add", "arguments": {"a": 1, "b": [2, "ü"]}}}
calls = [
    {"role": "user", "content": "What is 1 + 2?"},
    {"role": "assistant", "content": "", "tool_calls": [call]},
    {"role": "tool", "content": "3", "name": "add"},
    {"role": "assistant", "content": "It is 3."},
]
tools = [{"type": "function", "function": {"name": "add", "description": "Adds <numbers>.", "parameters": {"type": "object", "properties": {"a": {"type": "number"}}}}}]

cases = []
for name, template, messages, given, kwargs in [
    ("ChatML", chatml, plain, None, {}),
    ("a turn that begins with a line end", chatml, crossing, None, {}),
    ("tags with white space control", spaced, plain, None, {}),
    ("tools and calls", tooled, calls, tools, {}),
    ("without thinking", tooled, plain, None, {"enable_thinking": False}),
    ("no token at the end", bare, open_ended, None, {}),
    ("with thinking", tooled, plain, None, {"enable_thinking": True}),
]:
    out = fast.apply_chat_template(messages, chat_template=template, tools=given, tokenize=True, return_dict=True,
                                   return_assistant_tokens_mask=True, **kwargs)
    prompt = fast.apply_chat_template(messages[:1] if messages[0]["role"] == "user" else messages[:2], chat_template=template,
                                      tools=given, tokenize=False, add_generation_prompt=True, **kwargs)
    cases.append(dict(name=name, template=template, messages=messages, tools=given, kwargs=kwargs,
                      text=fast.apply_chat_template(messages, chat_template=template, tools=given, tokenize=False, **kwargs),
                      ids=out["input_ids"], mask=out["assistant_masks"], prompt=prompt))

json.dump(dict(tokenizer=json.loads(raw.to_str()), cases=cases), open(sys.argv[1], "w"), ensure_ascii=False, indent=1)
open(sys.argv[1], "a").write("\n")
