"""Golden values of advantage estimators by verl's registered functions on given rewards; GDPO by the equations of TRL's
multi_objective_aggregation="normalize_then_sum" and MaxRL by those of its authors' code (tajwarfahim/maxrl, 7db6bb9,
compute_p_normalization_outcome_advantage).
Run: python tools/goldens/advantages.py > tests/golden/advantages.json   (torch, verl; float64)"""
import importlib.metadata
import json
import sys
import types

import numpy as np
import torch
from verl.trainer.ppo import core_algos

torch.set_default_dtype(torch.float64)
torch.manual_seed(3)
P, G, T = 3, 4, 6
LENGTHS = torch.randint(1, T + 1, (P * G,))
MASK = (torch.arange(T) < LENGTHS.unsqueeze(1)).double()
REWARDS = torch.rand(P * G).round(decimals=2)
REWARDS[2 * G :] = torch.tensor([1.0, 0.0, 0.0, 0.0])
PARTS = torch.stack([REWARDS, 5 * torch.rand(P * G).round(decimals=2)], dim=1)
INDEX = np.repeat(np.arange(P), G)
# an outcome reward stands at the last token
TOKEN_REWARDS = torch.zeros(P * G, T)
TOKEN_REWARDS[torch.arange(P * G), LENGTHS - 1] = REWARDS


def verl(name, **extra):
    call = core_algos.get_adv_estimator_fn(name)
    given = {"token_level_rewards": TOKEN_REWARDS.clone(), "response_mask": MASK, **extra}
    return call(**given)[0][:, 0].tolist()


def grouped(x):
    return x.view(P, G, -1)


def gdpo(weights):
    each = grouped(PARTS)
    scaled = (each - each.mean(1, keepdim=True)) / (each.std(1, keepdim=True) + 1e-4)
    total = (scaled * torch.tensor(weights)).sum(-1).flatten()
    return ((total - total.mean()) / (total.std() + 1e-4)).tolist()


def maxrl():
    each = grouped(REWARDS)[..., 0]
    mean = each.mean(1, keepdim=True)
    return ((each - mean) / (mean + 1e-6)).flatten().tolist()


index = {"index": INDEX}
discount = types.SimpleNamespace(gamma=1.0)
cases = [
    {"name": "verl grpo", "options": {"epsilon": 1e-6}, "advantages": verl("grpo", **index)},
    {"name": "verl rloo", "options": {"baseline": "leave_one_out", "scale": "none"}, "advantages": verl("rloo", **index)},
    {"name": "verl opo", "options": {"baseline": "length_weighted", "scale": "none"}, "advantages": verl("opo", **index)},
    {"name": "verl reinforce_plus_plus", "options": {"baseline": "none", "scale": "none", "whiten": True}, "advantages": verl("reinforce_plus_plus", config=discount)},
    {"name": "verl reinforce_plus_plus_baseline", "options": {"baseline": "group_mean", "scale": "none", "whiten": True}, "advantages": verl("reinforce_plus_plus_baseline", **index)},
    {"name": "MaxRL", "options": {"scale": "group_mean", "epsilon": 1e-6}, "advantages": maxrl()},
    {"name": "TRL normalize_then_sum", "options": {"parts": "decoupled"}, "weights": [1.0, 0.5], "advantages": gdpo([1.0, 0.5])},
]
json.dump(
    {
        "made_by": f"tools/goldens/advantages.py, torch {torch.__version__}, verl {importlib.metadata.version('verl')}, float64",
        "group": G, "lengths": LENGTHS.tolist(), "rewards": REWARDS.tolist(), "parts": PARTS.T.tolist(), "cases": cases,
    },
    sys.stdout,
)
