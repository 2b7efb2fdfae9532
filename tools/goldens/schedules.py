"""Learning rates of transformers' get_scheduler, one before each optimizer step, as its Trainer steps them.
Run: python tools/goldens/schedules.py > tests/golden/schedules.json   (transformers 5.x, torch)"""
import json
import sys

import torch
import transformers
from transformers import get_scheduler

LR = 1e-3


def rates(name, warmup, total, extra=None):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler = get_scheduler(
        name, optimizer, num_warmup_steps=warmup, num_training_steps=total, scheduler_specific_kwargs=extra
    )
    found = [optimizer.param_groups[0]["lr"]]
    for _ in range(total - 1):
        optimizer.step()
        scheduler.step()
        found.append(optimizer.param_groups[0]["lr"])
    return found


cases = []
for warmup, total in [(0, 1), (0, 2), (0, 30), (1, 30), (7, 30), (29, 30), (30, 30), (13, 101)]:
    plain = "constant" if warmup == 0 else "constant_with_warmup"
    rows = [(plain, "constant", 0, None), ("linear", "linear", 0, None), ("cosine", "cosine", 0, None)]
    for share in (0.1, 0.5):
        rows.append(("polynomial", "linear", share, {"lr_end": LR * share, "power": 1.0}))
        rows.append(("cosine_with_min_lr", "cosine", share, {"min_lr": LR * share}))
    for name, schedule, share, extra in rows:
        cases.append(
            {
                "transformers": name,
                "schedule": schedule,
                "warmup_steps": warmup,
                "final_lr_share": share,
                "rates": rates(name, warmup, total, extra),
            }
        )

versions = {"transformers": transformers.__version__, "torch": torch.__version__}
json.dump({"made_by": "tools/goldens/schedules.py", "versions": versions, "lr": LR, "cases": cases}, sys.stdout)
print()
