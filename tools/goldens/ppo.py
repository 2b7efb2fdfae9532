"""Golden values of PPO: GAE, whitening, clipped surrogate and value loss with every aggregation and token masks,
adaptive KL, by PyTorch autograd.
Run: python tools/goldens/ppo.py > tests/golden/ppo.json   (torch only, float64)"""
import json
import sys

import torch

torch.set_default_dtype(torch.float64)
torch.manual_seed(23)
lengths = [3, 6, 1, 4]
B, K, LIMIT = len(lengths), sum(lengths), 8
rows = torch.cat([torch.full((n,), i) for i, n in enumerate(lengths)])
first = torch.cat([torch.arange(n) for n in lengths]) == 0  # the decision token of each completion
logprobs = -torch.rand(K) * 3
old = logprobs + 0.3 * torch.randn(K)
ref = logprobs + 0.5 * torch.randn(K)
scores = torch.randn(B)
old_values = torch.randn(K) * 0.5
values = old_values + 0.3 * torch.randn(K)
coef = 0.07


def gae(rewards, states, gamma, lam):
    """The definition, as a double sum over the deltas."""
    T = len(rewards)
    after = torch.cat([states[1:], torch.zeros(1)])
    delta = rewards + gamma * after - states
    return torch.stack([sum((gamma * lam) ** (k - t) * delta[k] for k in range(t, T)) for t in range(T)])


def rewards_of(estimator):
    d = ref - old
    k = {"k1": -d, "k2": d**2 / 2, "k3": d.exp() - d - 1}[estimator]
    out = []
    for i in range(B):
        r = -coef * k[rows == i]
        r[-1] = r[-1] + scores[i].clamp(-0.5, 0.5)
        out.append(r)
    return out


def split(x):
    return [x[rows == i].tolist() for i in range(B)]


estimates = []
for estimator, gamma, lam in [("k1", 1.0, 0.95), ("k3", 1.0, 1.0), ("k2", 0.9, 0.5), ("k1", 1.0, 0.0)]:
    rewards = rewards_of(estimator)
    adv = torch.cat([gae(r, old_values[rows == i], gamma, lam) for i, r in enumerate(rewards)])
    white = (adv - adv.mean()) / adv.var(unbiased=False).clamp(min=1e-8).sqrt()
    estimates.append(dict(estimator=estimator, gamma=gamma, lam=lam, rewards=[r.tolist() for r in rewards],
                          advantages=split(adv), returns=split(adv + old_values), whitened=split(white)))

adv = torch.tensor([x for row in estimates[0]["whitened"] for x in row])
returns = torch.tensor([x for row in estimates[0]["returns"] for x in row])


def aggregate(per_token, how, keep, full):
    """keep: tokens with loss; full: the count that divides is that of all tokens."""
    kept = per_token * keep
    count = torch.ones(K) if full else keep
    if how == "token":
        return kept.sum() / count.sum()
    if how == "sequence":
        live = [i for i in range(B) if count[rows == i].sum() > 0]
        return torch.stack([kept[rows == i].sum() / count[rows == i].sum() for i in live]).mean()
    return kept.sum() / (sum(count[rows == i].sum() > 0 for i in range(B)) * LIMIT)


cases = []
for how in ["token", "sequence", "constant"]:
    for mask, full in [("none", False), ("decision", True), ("decision", False)]:
        for low, high, value_clip in [(0.2, 0.2, 0.2), (0.2, 0.28, None), (0.05, 0.05, 0.1)]:
            keep = torch.ones(K) if mask == "none" else (~first).double()
            lp = logprobs.clone().requires_grad_()
            v = values.clone().requires_grad_()
            ratio = (lp - old).exp()
            policy = aggregate(-torch.min(ratio * adv, ratio.clamp(1 - low, 1 + high) * adv), how, keep, full)
            policy.backward()
            bounded = v if value_clip is None else v.clamp(old_values - value_clip, old_values + value_clip)
            value = aggregate(0.5 * torch.max((v - returns) ** 2, (bounded - returns) ** 2), how, torch.ones(K), True)
            value.backward()
            clipped = ((bounded - returns) ** 2 > (v - returns) ** 2).sum().item()
            cases.append(dict(aggregation=how, mask=mask, full_count=full, low=low, high=high, value_clip=value_clip,
                              policy_loss=policy.item(), policy_gradient=lp.grad.tolist(),
                              value_loss=value.item(), value_gradient=v.grad.tolist(), value_clipped=clipped))

beta = torch.tensor(0.2)
adaptive = []
for kl in [6.0, 9.0, 6.6, 0.0, 5.7, 100.0]:
    error = torch.clamp(torch.tensor(kl) / 6.0 - 1, -0.2, 0.2)
    beta = beta * (1 + error * 128 / 10000)
    adaptive.append(dict(kl=kl, coef=beta.item()))

json.dump(
    dict(made_by="tools/goldens/ppo.py", torch=torch.__version__, python=sys.version.split()[0], lengths=lengths,
         limit=LIMIT, coef=coef, score_clip=0.5, scores=scores.tolist(), logprobs=logprobs.tolist(), old=old.tolist(),
         reference=ref.tolist(), values=values.tolist(), old_values=old_values.tolist(), estimates=estimates,
         cases=cases, adaptive=dict(start=0.2, target=6.0, horizon=10000, completions=128, steps=adaptive)),
    sys.stdout)
print()
