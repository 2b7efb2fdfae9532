"""Token ids of texts by llama.cpp (prebuilt wheel xllamacpp): {model, texts} in, a list of ids for each text out."""

import json
import sys
import urllib.request

import xllamacpp

request = json.load(sys.stdin)
params = xllamacpp.CommonParams()
params.model.path = request["model"]
params.n_ctx = 64
params.n_parallel = 1
params.warmup = False
params.cpuparams.n_threads = 1
params.verbosity = 0
server = xllamacpp.Server(params)


def tokens(text):
    body = json.dumps({"content": text, "add_special": True, "parse_special": True}).encode()
    call = urllib.request.Request(f"{server.listening_address}/tokenize", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(call) as answer:
        return json.load(answer)["tokens"]


print(json.dumps([tokens(text) for text in request["texts"]]))
