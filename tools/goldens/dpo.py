"""Golden values of the DPO loss and its gradient, by TRL's DPOTrainer on given logprobs.
Run: python tools/goldens/dpo.py > tests/golden/dpo.json   (torch, trl; float64)"""
import collections
import json
import types

import torch
import trl
from trl import DPOTrainer

torch.set_default_dtype(torch.float64)
torch.manual_seed(7)
PAIRS, TOKENS = 5, 6


class Outputs:
    """What a model returns: logprobs of the completions' tokens; figures that only metrics look at are 0."""

    def __init__(self, log_probs):
        self.log_probs = log_probs

    def __getattr__(self, name):
        zeros = torch.zeros(self.log_probs.shape)
        return zeros.bool() if name.startswith("is_") else zeros


def case(beta):
    mask = torch.ones(2 * PAIRS, TOKENS + 1)
    mask[:, 0] = 0  # the prompt
    per_token = (-3 * torch.rand(2 * PAIRS, TOKENS)).requires_grad_()
    reference = per_token.detach().sum(1) + 2 * torch.randn(2 * PAIRS)
    same = lambda x, *_: x
    trainer = types.SimpleNamespace(
        model=types.SimpleNamespace(training=True),
        accelerator=types.SimpleNamespace(device="cpu", gather=same, gather_for_metrics=same),
        aux_loss_enabled=False,
        ld_alpha=None,
        precompute_ref_logps=True,
        f_divergence_type="reverse_kl",
        loss_types=["sigmoid"],
        loss_weights=[1.0],
        use_weighting=False,
        beta=beta,
        label_smoothing=0.0,
        state=types.SimpleNamespace(num_input_tokens_seen=0),
        _total_train_tokens=0,
        _tp_size=1,
        _metrics=collections.defaultdict(lambda: collections.defaultdict(list)),
    )
    inputs = {
        "input_ids": torch.zeros(2 * PAIRS, TOKENS + 1, dtype=torch.long),
        "attention_mask": torch.ones(2 * PAIRS, TOKENS + 1, dtype=torch.long),
        "completion_mask": mask,
        "ref_chosen_logps": reference[:PAIRS],
        "ref_rejected_logps": reference[PAIRS:],
    }
    loss = DPOTrainer._compute_loss(trainer, lambda **_: Outputs(per_token), inputs, False)
    loss.backward()
    metrics = trainer._metrics["train"]
    # ours: chosen and rejected in turn; TRL: all chosen, then all rejected
    turn = [i for p in range(PAIRS) for i in (p, PAIRS + p)]
    sums, gradient = per_token.detach().sum(1), per_token.grad[:, 0]
    return {
        "beta": beta,
        "policy": [sums[i].item() for i in turn],
        "reference": [reference[i].item() for i in turn],
        "loss": loss.item(),
        "gradient": [gradient[i].item() for i in turn],
        "accuracy": metrics["rewards/accuracies"][0],
        "chosen": metrics["rewards/chosen"][0],
        "rejected": metrics["rewards/rejected"][0],
    }


print(
    json.dumps(
        {"versions": {"trl": trl.__version__, "torch": torch.__version__}, "cases": [case(b) for b in (0.1, 0.5, 2.0)]},
        indent=1,
    )
)
