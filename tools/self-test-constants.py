"""Constants of src/backend/self-test.ts, in float64, by PyTorch's autograd: python3 tools/self-test-constants.py

One decoder block with odd sizes: V 11, H 12, 2 heads of 6, I 10, 2 rows of 5 tokens, tied logits.
RMS norm, rotary embedding in halves, causal attention, SwiGLU, mean negative log-likelihood of all positions.
Weight k, element i (row-major) is scale_k * sin((k + 1) * 0.37 * (i + 1)) + offset_k.
"""

import json

import numpy as np
import torch

V, H, HEADS, D, I, R, T = 11, 12, 2, 6, 10, 2, 5
SPECS = [  # name, shape, scale, offset
    ("embedding", (V, H), 0.6, 0.0),
    ("norm1", (H,), 0.3, 1.0),
    ("query", (H, HEADS * D), 0.5, 0.0),
    ("key", (H, HEADS * D), 0.5, 0.0),
    ("value", (H, HEADS * D), 0.5, 0.0),
    ("output", (HEADS * D, H), 0.4, 0.0),
    ("norm2", (H,), 0.3, 1.0),
    ("gate", (H, I), 0.5, 0.0),
    ("up", (H, I), 0.5, 0.0),
    ("down", (I, H), 0.4, 0.0),
    ("norm3", (H,), 0.3, 1.0),
]


def make(k, shape, scale, offset):
    n = int(np.prod(shape))
    values = scale * np.sin((k + 1) * 0.37 * np.arange(1, n + 1, dtype=np.float64)) + offset
    return torch.tensor(values.reshape(shape), dtype=torch.float64, requires_grad=True)


def rms(x, w):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-5) * w


def rope(x):  # [R, heads, T, D]
    inverse = 10000.0 ** (-torch.arange(0, D, 2, dtype=torch.float64) / D)
    angle = torch.arange(T, dtype=torch.float64)[:, None] * inverse[None, :]
    a, b = x[..., : D // 2], x[..., D // 2 :]
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


weights = {name: make(k, shape, scale, offset) for k, (name, shape, scale, offset) in enumerate(SPECS)}
tokens = torch.tensor([[(3 * i + 7 * r) % V for i in range(T)] for r in range(R)])
targets = torch.tensor([[(5 * i + 2 * r + 1) % V for i in range(T)] for r in range(R)])

w = weights
heads = lambda y: y.reshape(R, T, HEADS, D).transpose(1, 2)
x = w["embedding"][tokens]
h = rms(x, w["norm1"])
q, k, v = rope(heads(h @ w["query"])), rope(heads(h @ w["key"])), heads(h @ w["value"])
scores = q @ k.transpose(-1, -2) / D**0.5
scores = scores.masked_fill(torch.triu(torch.ones(T, T, dtype=torch.bool), 1), float("-inf"))
attended = (scores.softmax(-1) @ v).transpose(1, 2).reshape(R, T, HEADS * D)
x = x + attended @ w["output"]
h = rms(x, w["norm2"])
x = x + (torch.nn.functional.silu(h @ w["gate"]) * (h @ w["up"])) @ w["down"]
logits = rms(x, w["norm3"]) @ w["embedding"].T
flat = logits.reshape(-1, V)
loss = torch.nn.functional.cross_entropy(flat, targets.reshape(-1))
entropy = torch.distributions.Categorical(logits=flat.detach()).entropy().mean()
loss.backward()


def summary(tensor):
    """Euclidean norm, and the projection on cos(0), cos(1), ...: tells order and sign."""
    values = tensor.detach().reshape(-1)
    along = torch.cos(torch.arange(len(values), dtype=torch.float64))
    return [values.norm().item(), (values * along).sum().item()]


gradients = {name: summary(weight.grad) for name, weight in weights.items()}

# the third AdamW update of "query" from made-up moments
query = weights["query"].detach().clone().requires_grad_(True)
query.grad = weights["query"].grad.clone()
optimizer = torch.optim.AdamW([query], lr=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.2)
optimizer.state[query] = {
    "step": torch.tensor(2.0),
    "exp_avg": make(20, (H, HEADS * D), 0.01, 0.0).detach(),
    "exp_avg_sq": make(21, (H, HEADS * D), 0.001, 0.002).detach(),
}
optimizer.step()

print(
    json.dumps(
        {
            "torch": torch.__version__,
            "loss": loss.item(),
            "entropy": entropy.item(),
            "gradients": gradients,
            "adamw": summary(query - weights["query"]),
        },
        indent=1,
    )
)
