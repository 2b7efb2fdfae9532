"""One task of `rlpt bench-peers` on PyTorch, transformers and TRL.

Argument: a file with the task (PeerTask in tools/peers/tasks.ts). Prints one line, a PeerResult in JSON.
"""

import json
import os
import resource
import sys
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def since_start():
    """Seconds since this process began."""
    if os.path.exists("/proc/self/stat"):
        fields = open("/proc/self/stat").read().rsplit(")", 1)[1].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return float(open("/proc/uptime").read().split()[0]) - started
    return time.time() - IMPORTED


IMPORTED = time.time()


def peak_bytes():
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024


def finish():
    """Waits for the GPU, so that a time is that of the work and not of handing it over."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.synchronize()


def device_bytes():
    """Most bytes of tensors on the GPU at a time; None where everything is on the CPU."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    return torch.cuda.max_memory_allocated()


def repeated(task, work):
    """One run to warm up, then the timed ones. `work` gives the number that both sides must agree on."""
    check = work()
    finish()
    first = since_start()
    whole = []
    for _ in range(task["runs"]):
        begin = time.perf_counter()
        check = work()
        finish()
        whole.append(time.perf_counter() - begin)
    return {"seconds": {"whole": whole}, "firstSeconds": first, "check": check}


def load(task):
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

    torch.set_num_threads(task["threads"])
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high" if task["precision"] == "tf32" else "highest")
    if task["model"] == "smolvlm":
        processor = AutoProcessor.from_pretrained(task["directory"])
        processor.tokenizer.padding_side = "left"
        model = AutoModelForImageTextToText.from_pretrained(task["directory"], dtype=torch.float32)
        return torch, model.to(device(torch)), processor
    tokenizer = AutoTokenizer.from_pretrained(task["directory"], padding_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    # without gradients nobody keeps float32 weights on a GPU
    halves = task["precision"] == "bf16" and task["kind"] in ("logprobs", "generation") and device(torch) == "cuda"
    dtype = torch.bfloat16 if halves else torch.float32
    model = AutoModelForCausalLM.from_pretrained(task["directory"], dtype=dtype).to(device(torch))
    return torch, model, tokenizer


def device(torch):
    return "cuda" if torch.cuda.is_available() else "cpu"


def rounding(torch, task):
    return torch.autocast(device(torch), torch.bfloat16, enabled=task["precision"] == "bf16")


def token_rows(torch, task, tokenizer, first=0):
    rows = [tokenizer(text)["input_ids"] for text in task["texts"][first : first + task["prompts"]]]
    return torch.tensor(rows, device=device(torch))


def sample(torch, task, model, tokenizer, ids):
    """Completions of forced length. [B, S] to [B, S + T]"""
    count = task["newTokens"]
    with torch.inference_mode(), rounding(torch, task):
        return model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            min_new_tokens=count,
            max_new_tokens=count,
            pad_token_id=tokenizer.pad_token_id,
        )


def target_logprobs(torch, model, ids):
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
    chosen = logits.gather(-1, ids[:, 1:, None])[..., 0]
    return chosen - logits.logsumexp(-1)


def product(task):
    """C = A B of the matrices of productOperands in tools/peers/tasks.ts."""
    import torch

    torch.set_num_threads(task["threads"])
    torch.set_float32_matmul_precision("high" if task["precision"] == "tf32" else "highest")
    side = task["side"]
    i = torch.arange(side)

    def matrix(row, column):
        return (((i[:, None] * row + i * column) % 13 - 6) / 8).to(device(torch), torch.float32)

    a, b = matrix(31, 17), matrix(7, 29)

    def work():
        with torch.inference_mode(), rounding(torch, task):
            return (a @ b)[5, 7].item()

    return {**repeated(task, work), "promptTokens": 0}


def forward_backward(task):
    torch, model, tokenizer = load(task)
    ids = token_rows(torch, task, tokenizer)
    model.train()

    def work():
        model.zero_grad(set_to_none=True)
        with rounding(torch, task):
            logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())
        loss.backward()
        return loss.item()

    return {**repeated(task, work), "promptTokens": ids.shape[1]}


def logprobs(task):
    torch, model, tokenizer = load(task)
    ids = token_rows(torch, task, tokenizer)
    model.eval()

    def work():
        with torch.inference_mode(), rounding(torch, task):
            return target_logprobs(torch, model, ids).mean().item()

    return {**repeated(task, work), "promptTokens": ids.shape[1]}


def generation(task):
    torch, model, tokenizer = load(task)
    ids = token_rows(torch, task, tokenizer).repeat_interleave(task["groupSize"], 0)
    model.eval()

    def work():
        out = sample(torch, task, model, tokenizer, ids)
        return (out.shape[1] - ids.shape[1]) * out.shape[0]

    return {**repeated(task, work), "promptTokens": ids.shape[1]}


LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def grpo_step(task):
    return trl_step(task) if installed("trl", "datasets") else plain_step(task)


def installed(*names):
    from importlib.util import find_spec

    return all(find_spec(name) is not None for name in names)


def plain_step(task):
    """The same step written out in PyTorch and transformers: what a person without TRL has."""
    torch, model, tokenizer = load(task)
    if task["lora"]:
        if not installed("peft"):
            sys.exit("peft is not installed")
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(
            model,
            LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=LINEAR, task_type="CAUSAL_LM"),
        )
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-4, weight_decay=0.0, fused=device(torch) == "cuda")
    group, count = task["groupSize"], task["newTokens"]
    rows = task["prompts"] * group
    micro = task["microBatchRows"] or rows
    rewards = torch.arange(group, dtype=torch.float32, device=device(torch))
    advantages = ((rewards - rewards.mean()) / (rewards.std() + 1e-4)).repeat(task["prompts"])
    times = {"whole": [], "generation": [], "update": []}
    first = 0.0
    for step in range(task["runs"] + 1):
        begin = time.perf_counter()
        ids = token_rows(torch, task, tokenizer, step * task["prompts"]).repeat_interleave(group, 0)
        model.eval()
        # out of inference mode, so that it can be used in a backward pass
        tokens = sample(torch, task, model, tokenizer, ids).clone()
        assert tokens.shape[1] == ids.shape[1] + count, tokens.shape
        finish()
        sampled = time.perf_counter()
        model.train()
        optimizer.zero_grad(set_to_none=True)
        for at in range(0, rows, micro):
            part = tokens[at : at + micro]
            with rounding(torch, task):
                logits = model(input_ids=part, use_cache=False, logits_to_keep=count + 1).logits[:, :-1].float()
            chosen = logits.gather(-1, part[:, -count:, None])[..., 0] - logits.logsumexp(-1)
            ratio = (chosen - chosen.detach()).exp()
            loss = -(ratio * advantages[at : at + micro, None]).sum() / (rows * count)
            loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        finish()
        end = time.perf_counter()
        if step == 0:
            first = since_start()
            continue
        for name, seconds in [("whole", end - begin), ("generation", sampled - begin), ("update", end - sampled)]:
            times[name].append(seconds)
    return {
        "engine": "pytorch",
        "description": f"a plain loop on {versions('plain')}",
        "seconds": times,
        "firstSeconds": first,
        "promptTokens": ids.shape[1],
        "check": None,
    }


def trl_step(task):
    torch, model, tokenizer = load(task)
    import itertools
    import tempfile

    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    rows = task["prompts"] * task["groupSize"]
    micro = task["microBatchRows"] or rows
    numbers = itertools.count()

    def reward(completions, **_):
        return [float(next(numbers) % task["groupSize"]) for _ in completions]

    adapter = None
    sees = task["model"] == "smolvlm"
    if task["lora"]:
        from peft import LoraConfig

        # the tower's layers have names of the decoder's
        targets = rf".*text_model.*\.({'|'.join(LINEAR)})" if sees else LINEAR
        adapter = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=targets, task_type="CAUSAL_LM")
    steps = task["runs"] + 1
    marks, rollouts, counted = [], [], []

    class Clock(TrainerCallback):
        first = 0.0

        def on_step_begin(self, *_, **__):
            finish()
            marks.append(time.perf_counter())

        def on_step_end(self, *_, **__):
            finish()
            marks.append(time.perf_counter())
            Clock.first = Clock.first or since_start()

    with tempfile.TemporaryDirectory() as folder:
        args = GRPOConfig(
            output_dir=folder,
            per_device_train_batch_size=micro,
            gradient_accumulation_steps=rows // micro,
            num_generations=task["groupSize"],
            max_completion_length=task["newTokens"],
            learning_rate=1e-4,
            max_grad_norm=1.0,
            use_cpu=device(torch) == "cpu",
            max_steps=steps,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            beta=0.0,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            gradient_checkpointing=False,
            bf16=task["precision"] == "bf16",
            disable_tqdm=True,
            generation_kwargs={"min_new_tokens": task["newTokens"]},
            dataloader_pin_memory=False,
        )
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=reward,
            args=args,
            train_dataset=Dataset.from_list(shown_rows(task) if sees else [{"prompt": text} for text in task["texts"]]),
            processing_class=tokenizer,
            peft_config=adapter,
            callbacks=[Clock()],
        )
        inner = trainer._generate_and_score_completions

        def timed(*args, **kwargs):
            begin = time.perf_counter()
            result = inner(*args, **kwargs)
            finish()
            rollouts.append(time.perf_counter() - begin)
            counted.append(int(result["prompt_mask"].sum(1)[0]))
            completions = result["completion_mask"].sum(1)
            assert (completions == task["newTokens"]).all(), f"completions of {completions.tolist()} tokens"
            return result

        trainer._generate_and_score_completions = timed
        trainer.train()
    whole = [end - begin for begin, end in zip(marks[::2], marks[1::2])]
    assert len(whole) == len(rollouts) == steps, (len(whole), len(rollouts))
    return {
        "seconds": {
            "whole": whole[1:],
            "generation": rollouts[1:],
            "update": [a - b for a, b in zip(whole[1:], rollouts[1:])],
        },
        "firstSeconds": Clock.first,
        "promptTokens": counted[0] if sees else len(tokenizer(task["texts"][0])["input_ids"]),
        "check": None,
    }


def shown_rows(task):
    """A picture of its own for each prompt: noise, since only its size matters."""
    import numpy
    from PIL import Image

    draws = numpy.random.default_rng(8)

    def row(text):
        picture = Image.fromarray(draws.integers(0, 256, (512, 512, 3), dtype=numpy.uint8))
        return {"prompt": [{"role": "user", "content": text}], "images": [picture]}

    return [row(text) for text in task["texts"]]


def lim(task):
    """1 - sum (r - mean)^2 / sum (1 - mean)^2 for every row, in numpy."""
    import numpy

    curves = numpy.array(task["curves"])

    def work():
        mean = curves.mean(0)
        scores = 1 - ((curves - mean) ** 2).sum(1) / ((1 - mean) ** 2).sum()
        return float(scores.mean())

    return {**repeated(task, work), "promptTokens": 0}


def grade(task):
    from math_verify import parse, verify

    def work():
        right = 0
        for gold, given in task["pairs"]:
            right += verify(parse(f"\\boxed{{{gold}}}"), parse(f"\\boxed{{{given}}}"))
        return right

    return {**repeated(task, work), "promptTokens": 0}


def versions(kind):
    from importlib.metadata import version

    names = {
        "plain": ["torch", "transformers"],
        "grpo-step": ["trl", "peft", "transformers", "torch"],
        "lim": ["numpy"],
        "product": ["torch"],
        "grade": ["math-verify", "sympy"],
    }.get(kind, ["transformers", "torch"])
    return ", ".join(f"{name} {version(name)}" for name in names if installed(name.replace("-", "_")))


KINDS = {
    "product": (product, "pytorch"),
    "grpo-step": (grpo_step, "trl"),
    "pass": (forward_backward, "pytorch"),
    "logprobs": (logprobs, "pytorch"),
    "generation": (generation, "transformers"),
    "lim": (lim, "numpy"),
    "grade": (grade, "math-verify"),
}


def main():
    with open(sys.argv[1]) as file:
        task = json.load(file)
    run, engine = KINDS[task["kind"]]
    result = run(task)
    answer = {
        "engine": engine,
        "description": f"{versions(task['kind'])}, Python {sys.version.split()[0]}",
        "compileSeconds": 0,
        "peakBytes": peak_bytes(),
        "deviceBytes": device_bytes(),
        **result,
    }
    print("\n" + json.dumps(answer))


if __name__ == "__main__":
    main()
