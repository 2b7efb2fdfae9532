"""Golden values of the policy losses beside PPO's clip, by verl's registered functions and by TRL's GRPOTrainer on given logprobs.
Run: python tools/goldens/policy-losses.py > tests/golden/policy-losses.json   (torch, verl, trl; float64)"""
import collections
import importlib.metadata
import json
import sys
import types

import torch
import verl
from trl import GRPOTrainer
from verl.trainer.ppo import core_algos
from verl.workers.config import ActorConfig
from verl.workers.config.actor import PolicyLossConfig

torch.set_default_dtype(torch.float64)
torch.manual_seed(11)
LENGTHS = [4, 2, 6, 3, 5, 1]
B, T = len(LENGTHS), max(LENGTHS)
MASK = torch.tensor([[float(t < n) for t in range(T)] for n in LENGTHS])
LOGPROBS = -3 * torch.rand(B, T)
# far enough that tokens pass the bounds of each loss, and whole completions those of GSPO
OLD = torch.minimum(LOGPROBS + 0.6 * torch.randn(B, T), torch.tensor(-0.01))
ADVANTAGES = torch.tensor([1.0, -1.5, 0.5, -0.7, 1.2, -2.0])
VERL_MEANS = {"token": "token-mean", "sequence": "seq-mean-token-mean"}

# rlpt's kind and options; verl's name and what its config says in their place
VERL = [
    ({"kind": "gspo", "low": 0.05, "high": 0.08}, "gspo", {"clip_ratio_low": 0.05, "clip_ratio_high": 0.08}, ["sequence"]),
    ({"kind": "gspo"}, "gspo", {"clip_ratio_low": 3e-4, "clip_ratio_high": 4e-4}, ["sequence"]),
    ({"kind": "cispo", "low": 0.2, "high": 0.28}, "cispo", {"clip_ratio_low": 0.2, "clip_ratio_high": 0.28}, ["token", "sequence"]),
    ({"kind": "sapo"}, "sapo", {"tau_pos": 1.0, "tau_neg": 1.05}, ["sequence"]),
    ({"kind": "sapo", "positive": 2, "negative": 3}, "sapo", {"tau_pos": 2.0, "tau_neg": 3.0}, ["sequence"]),
    ({"kind": "dppo"}, "dppo_tv", {"clip_ratio_low": 0.15, "clip_ratio_high": 0.15, "clip_ratio_c": 20.0}, ["token", "sequence"]),
    ({"kind": "dppo", "low": 0.05, "high": 0.02, "max_ratio": 1.1}, "dppo_tv", {"clip_ratio_low": 0.05, "clip_ratio_high": 0.02, "clip_ratio_c": 1.1}, ["token"]),
    ({"kind": "dppo", "divergence": "kl"}, "dppo_kl", {"clip_ratio_low": 0.05, "clip_ratio_high": 0.05, "clip_ratio_c": 20.0}, ["token", "sequence"]),
    ({"kind": "gmpo"}, "geo_mean", {"clip_ratio_low": 0.4, "clip_ratio_high": 0.4}, ["sequence"]),
    ({"kind": "kl-cov", "share": 0.3, "coef": 1}, "kl_cov", {"kl_cov_ratio": 0.3, "ppo_kl_coef": 1.0}, ["token", "sequence"]),
    # the share is above what lies between the bounds, so that the draw has nothing to choose
    ({"kind": "clip-cov", "share": 1, "above": 0.3, "below": 5}, "clip_cov", {"clip_ratio_low": 0.2, "clip_ratio_high": 0.2, "clip_cov_ratio": 1.0, "clip_cov_lb": 0.3, "clip_cov_ub": 5.0}, ["token", "sequence"]),
]


def row(x):
    return [float(v) for v, m in zip(x.flatten(), MASK.flatten()) if m > 0]


def verl_case(options, name, settings, mean, on_policy):
    fields = PolicyLossConfig.__dataclass_fields__
    policy = PolicyLossConfig(**{k: v for k, v in settings.items() if k in fields})
    config = ActorConfig(
        strategy="fsdp", rollout_n=1, use_dynamic_bsz=True, policy_loss=policy,
        **{k: v for k, v in settings.items() if k not in fields},
    )
    logprobs = LOGPROBS.clone().requires_grad_()
    advantages = ADVANTAGES.unsqueeze(1).expand(B, T).clone()
    old = LOGPROBS.clone() if on_policy else OLD
    loss, metrics = core_algos.get_policy_loss_fn(name)(
        old_log_prob=old, log_prob=logprobs, advantages=advantages, response_mask=MASK,
        loss_agg_mode=VERL_MEANS[mean], config=config,
    )
    loss.backward()
    share = metrics.get("actor/pg_clipfrac")
    return {
        "source": f"verl {name}", "options": options, "aggregation": mean, "on_policy": on_policy,
        "loss": loss.item(), "gradient": row(logprobs.grad), "clip_share": share,
    }


def trl_case(options, loss_type, level, settings, on_policy):
    per_token = LOGPROBS.clone().requires_grad_()
    same = lambda x, *_, **__: x
    trainer = types.SimpleNamespace(
        model=types.SimpleNamespace(training=True),
        accelerator=types.SimpleNamespace(gather=same, reduce=same, num_processes=1),
        args=types.SimpleNamespace(
            use_bias_correction_kl=False, delta=None, steps_per_generation=1,
            sapo_temperature_pos=settings.get("pos"), sapo_temperature_neg=settings.get("neg"),
        ),
        _get_per_token_logps_and_entropies=lambda *_, **__: (per_token, torch.zeros(B, T), None),
        aux_loss_enabled=False, top_entropy_quantile=1.0, off_policy_mask_threshold=None,
        importance_sampling_level=level, beta=0.0, loss_type=loss_type,
        epsilon_low=settings.get("low"), epsilon_high=settings.get("high"),
        use_vllm=False, current_gradient_accumulation_steps=1, max_completion_length=8,
        _entropy_bonus_enabled=False, _metrics=collections.defaultdict(lambda: collections.defaultdict(list)),
    )
    ids = torch.zeros(B, T, dtype=torch.long)
    inputs = {
        "prompt_ids": ids[:, :1], "prompt_mask": torch.ones(B, 1), "completion_ids": ids, "completion_mask": MASK,
        "advantages": ADVANTAGES, "num_items_in_batch": MASK.sum(),
        "old_per_token_logps": None if on_policy else OLD,
    }
    loss = GRPOTrainer._compute_loss(trainer, None, inputs)
    loss.backward()
    mean = "token" if loss_type == "cispo" else "sequence"
    return {
        "source": f"TRL {loss_type}, {level}", "options": options, "aggregation": mean, "on_policy": on_policy,
        "loss": loss.item(), "gradient": row(per_token.grad), "clip_share": None,
    }


cases = [
    verl_case(options, name, settings, mean, on_policy)
    for options, name, settings, means in VERL
    for mean in means
    for on_policy in (False, True)
]
for on_policy in (False, True):
    cases += [
        trl_case({"kind": "gspo", "low": 0.05, "high": 0.08}, "grpo", "sequence", {"low": 0.05, "high": 0.08}, on_policy),
        trl_case({"kind": "cispo", "high": 0.28}, "cispo", "token", {"high": 1.28}, on_policy),
        trl_case({"kind": "sapo"}, "sapo", "token", {"pos": 1.0, "neg": 1.05}, on_policy),
    ]
json.dump(
    {
        "made_by": f"tools/goldens/policy-losses.py, torch {torch.__version__}, verl {importlib.metadata.version('verl')}, trl {importlib.metadata.version('trl')}, float64",
        "lengths": LENGTHS, "logprobs": row(LOGPROBS), "old": row(OLD), "row_advantages": ADVANTAGES.tolist(), "cases": cases,
    },
    sys.stdout,
)
