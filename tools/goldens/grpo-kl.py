"""Golden values of GRPO's loss with a KL term, with and without its bias correction, and of TRL's two-sided clip (`delta`,
which is dual clip), by TRL's GRPOTrainer on given logprobs.
Run: python tools/goldens/grpo-kl.py > tests/golden/grpo-kl.json   (torch, trl; float64)"""
import collections
import json
import sys
import types

import torch
import trl
from trl import GRPOTrainer

torch.set_default_dtype(torch.float64)
torch.manual_seed(5)
LENGTHS = [4, 2, 6, 3, 5, 1]
B, T = len(LENGTHS), max(LENGTHS)
MASK = torch.tensor([[float(t < n) for t in range(T)] for n in LENGTHS])
LOGPROBS = -3 * torch.rand(B, T)
# far enough that ratios pass both bounds of the clip, and a dual one of 1.5
OLD = LOGPROBS + 0.6 * torch.randn(B, T)
REFERENCE = LOGPROBS + 0.7 * torch.randn(B, T)
ADVANTAGES = torch.tensor([1.0, -1.5, 0.5, -0.7, 0.0, -2.0])


def case(loss_type, coef, corrected, delta, on_policy):
    per_token = LOGPROBS.clone().requires_grad_()
    same = lambda x, *_, **__: x
    trainer = types.SimpleNamespace(
        model=types.SimpleNamespace(training=True),
        accelerator=types.SimpleNamespace(gather=same, reduce=same, num_processes=1),
        args=types.SimpleNamespace(use_bias_correction_kl=corrected, delta=delta, steps_per_generation=1),
        _get_per_token_logps_and_entropies=lambda *_, **__: (per_token, torch.zeros(B, T), None),
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        importance_sampling_level="token",
        beta=coef,
        loss_type=loss_type,
        epsilon_low=0.2,
        epsilon_high=0.28,
        use_vllm=False,
        current_gradient_accumulation_steps=1,
        max_completion_length=8,
        _entropy_bonus_enabled=False,
        _metrics=collections.defaultdict(lambda: collections.defaultdict(list)),
    )
    ids = torch.zeros(B, T, dtype=torch.long)
    inputs = {
        "prompt_ids": ids[:, :1],
        "prompt_mask": torch.ones(B, 1),
        "completion_ids": ids,
        "completion_mask": MASK,
        "advantages": ADVANTAGES,
        "num_items_in_batch": MASK.sum(),
        "old_per_token_logps": None if on_policy else OLD,
        "ref_per_token_logps": REFERENCE,
    }
    loss = GRPOTrainer._compute_loss(trainer, None, inputs)
    loss.backward()
    return {
        "loss_type": loss_type,
        "coef": coef,
        "bias_correction": corrected,
        "dual": delta,
        "on_policy": on_policy,
        "loss": loss.item(),
        "gradient": per_token.grad[MASK.bool()].tolist(),
    }


cases = [
    case(loss_type, coef, corrected, delta, on_policy)
    for loss_type in ("dapo", "grpo", "dr_grpo")
    for coef, corrected in ((0.0, False), (0.04, False), (0.04, True), (0.5, True))
    for delta in (None, 1.5)
    for on_policy in (False, True)
]
kept = MASK.bool()
json.dump(
    {
        "made_by": "tools/goldens/grpo-kl.py",
        "versions": {"trl": trl.__version__, "torch": torch.__version__},
        "lengths": LENGTHS,
        "limit": 8,
        "logprobs": LOGPROBS[kept].tolist(),
        "old": OLD[kept].tolist(),
        "reference": REFERENCE[kept].tolist(),
        "row_advantages": ADVANTAGES.tolist(),
        "cases": cases,
    },
    sys.stdout,
)
print()
