"""llama.cpp by its prebuilt wheel xllamacpp: {model, vocabulary, banned, requests: [{prompt, tokens}]} in, greedy completions out.

A prompt is text or ids. Each answer has `tokens`, `text`, and `first`: log-probabilities of the whole vocabulary before
the first token. Ids that are parts of a character must be banned: llama.cpp leaves them out of what it reports.
"""

import json
import sys

import xllamacpp

request = json.load(sys.stdin)
params = xllamacpp.CommonParams()
params.model.path = request["model"]
params.n_ctx = 512
params.n_parallel = 1
params.warmup = False
params.cpuparams.n_threads = 2
params.verbosity = 0
# keys and values as exact as ours
params.cache_type_k = xllamacpp.ggml_type.GGML_TYPE_F32
params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
server = xllamacpp.Server(params)


def complete(prompt, tokens, probabilities):
    answer = server.handle_completions(
        {
            "prompt": prompt,
            "n_predict": tokens,
            "temperature": 0,
            "n_probs": probabilities,
            "stream": False,
            "cache_prompt": False,
            "logit_bias": [[i, False] for i in request["banned"]],
        }
    )
    return answer["choices"][0], answer["usage"]["prompt_tokens"]


answers = []
for one in request["requests"]:
    choice, prompt_tokens = complete(one["prompt"], one["tokens"], 1)
    whole, _ = complete(one["prompt"], 1, request["vocabulary"])
    tops = whole["logprobs"]["content"][0]["top_logprobs"]
    first = {top["id"]: top["logprob"] for top in tops}
    answers.append(
        {
            "text": choice["text"],
            "tokens": [step["id"] for step in choice["logprobs"]["content"]],
            "first": [first.get(i) for i in range(request["vocabulary"])],
            "promptTokens": prompt_tokens,
        }
    )
print(json.dumps(answers))
