"""Golden values of losses, KL estimators, aggregations, gradient clipping and AdamW, by PyTorch autograd.
Run: python tools/goldens/losses.py > tests/golden/losses.json   (torch only, float64)"""
import json
import sys

import torch

torch.set_default_dtype(torch.float64)
torch.manual_seed(11)
lengths = [3, 5, 2, 4]
B, K, LIMIT = len(lengths), sum(lengths), 8
logprobs = -torch.rand(K) * 3
old = logprobs + 0.3 * torch.randn(K)
ref = logprobs + 0.5 * torch.randn(K)
row_adv = torch.randn(B)
adv = torch.cat([row_adv[i].expand(n) for i, n in enumerate(lengths)])
rows = torch.cat([torch.full((n,), i) for i, n in enumerate(lengths)])


def aggregate(per_token, how):
    if how == "token":
        return per_token.mean()
    if how == "sequence":
        return torch.stack([per_token[rows == i].mean() for i in range(B)]).mean()
    return per_token.sum() / (B * LIMIT)


def kl(lp, how):
    d = ref - lp
    return {"k1": -d, "k2": d**2 / 2, "k3": d.exp() - d - 1}[how]


cases = []
for agg in ["token", "sequence", "constant"]:
    for low, high in [(0.2, 0.2), (0.2, 0.28), (0.05, 0.05)]:
        for coef, est in [(0.0, "k3"), (0.04, "k1"), (0.04, "k2"), (0.04, "k3")]:
            lp = logprobs.clone().requires_grad_()
            ratio = (lp - old).exp()
            surrogate = torch.min(ratio * adv, ratio.clamp(1 - low, 1 + high) * adv)
            loss = aggregate(-surrogate + coef * kl(lp, est), agg)
            loss.backward()
            clip_low = ((ratio < 1 - low) & (adv < 0)).sum().item()
            clip_high = ((ratio > 1 + high) & (adv > 0)).sum().item()
            cases.append(
                dict(aggregation=agg, low=low, high=high, coef=coef, estimator=est, loss=loss.item(),
                     gradient=lp.grad.tolist(), clipped_low=clip_low, clipped_high=clip_high,
                     approx_kl=((ratio - 1) - ratio.log()).mean().item(),
                     reference_kl=kl(logprobs, est).mean().item()))

# AdamW with clipping: two parameters, the norm-like one (1-D) without decay, as rlpt does
w = torch.randn(3, 2).requires_grad_()
b = torch.randn(3).requires_grad_()
start = [w.tolist(), b.tolist()]
lr, betas, eps, decay, clip = 0.05, (0.9, 0.95), 1e-8, 0.1, 0.7
optimizer = torch.optim.AdamW([dict(params=[w], weight_decay=decay), dict(params=[b], weight_decay=0.0)],
                              lr=lr, betas=betas, eps=eps)
steps = []
for t in range(4):
    gw, gb = torch.randn(3, 2) * (1 + t), torch.randn(3)
    w.grad, b.grad = gw.clone(), gb.clone()
    norm = torch.nn.utils.clip_grad_norm_([w, b], clip)
    optimizer.step()
    steps.append(dict(gradients=[gw.tolist(), gb.tolist()], norm=norm.item(), weights=[w.tolist(), b.tolist()]))

json.dump(
    dict(made_by="tools/goldens/losses.py", torch=torch.__version__, python=sys.version.split()[0],
         lengths=lengths, limit=LIMIT, logprobs=logprobs.tolist(), old=old.tolist(), reference=ref.tolist(),
         row_advantages=row_adv.tolist(), cases=cases,
         adamw=dict(lr=lr, beta1=betas[0], beta2=betas[1], epsilon=eps, weight_decay=decay, clip_norm=clip,
                    start=start, steps=steps)), sys.stdout)
print()
