"""One task of `rlpt bench-peers` on PyTorch, transformers and TRL.

Argument: a file with the task (PeerTask in src/cli/peers/tasks.ts). Prints one line, a PeerResult in JSON.
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


def repeated(task, work):
    """One run to warm up, then the timed ones. `work` gives the number that both sides must agree on."""
    check = work()
    first = since_start()
    whole = []
    for _ in range(task["runs"]):
        begin = time.perf_counter()
        check = work()
        whole.append(time.perf_counter() - begin)
    return {"seconds": {"whole": whole}, "firstSeconds": first, "check": check}


def load(task):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(task["threads"])
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(task["directory"], padding_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(task["directory"], dtype=torch.float32)
    return torch, model, tokenizer


def rounding(torch, task):
    return torch.autocast("cpu", torch.bfloat16, enabled=task["precision"] == "bf16")


def token_rows(torch, task, tokenizer):
    rows = [tokenizer(text)["input_ids"] for text in task["texts"][: task["prompts"]]]
    return torch.tensor(rows)


def target_logprobs(torch, model, ids):
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
    chosen = logits.gather(-1, ids[:, 1:, None])[..., 0]
    return chosen - logits.logsumexp(-1)


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
    count = task["newTokens"]

    def work():
        with torch.inference_mode(), rounding(torch, task):
            out = model.generate(
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
        return (out.shape[1] - ids.shape[1]) * out.shape[0]

    return {**repeated(task, work), "promptTokens": ids.shape[1]}


def grpo_step(task):
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
    if task["lora"]:
        from peft import LoraConfig

        linear = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
        adapter = LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=linear, task_type="CAUSAL_LM")
    steps = task["runs"] + 1
    marks, rollouts = [], []

    class Clock(TrainerCallback):
        first = 0.0

        def on_step_begin(self, *_, **__):
            marks.append(time.perf_counter())

        def on_step_end(self, *_, **__):
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
            use_cpu=True,
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
            train_dataset=Dataset.from_list([{"prompt": text} for text in task["texts"]]),
            processing_class=tokenizer,
            peft_config=adapter,
            callbacks=[Clock()],
        )
        inner = trainer._generate_and_score_completions

        def timed(*args, **kwargs):
            begin = time.perf_counter()
            result = inner(*args, **kwargs)
            rollouts.append(time.perf_counter() - begin)
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
        "promptTokens": len(tokenizer(task["texts"][0])["input_ids"]),
        "check": None,
    }


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
        "grpo-step": ["trl", "peft", "transformers", "torch"],
        "lim": ["numpy"],
        "grade": ["math-verify", "sympy"],
    }.get(kind, ["transformers", "torch"])
    return ", ".join(f"{name} {version(name)}" for name in names)


KINDS = {
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
        **result,
    }
    print("\n" + json.dumps(answer))


if __name__ == "__main__":
    main()
