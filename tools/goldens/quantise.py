"""Golden bytes for tests/policy/files/quantise.test.ts: ggml's own Python package quantises.

    pip install gguf==0.19.0
    python tools/goldens/quantise.py > tests/golden/files/quantise.json
"""

import base64
import json

import gguf
import numpy as np


def b64(data):
    return base64.b64encode(data).decode()


draw = np.random.default_rng(5)
rows = [
    draw.standard_normal(32 * 40),
    draw.standard_normal(32 * 8) * 1e-3,
    draw.standard_normal(32 * 4) * 1e-7,  # the scale is a subnormal float16
    np.zeros(32),
    np.eye(1, 32, 7).ravel() * -3.5,  # one value, negative
    np.arange(-16, 16) / 16,
    np.full(32, 0.125),
]
values = np.concatenate(rows).astype(np.float32)
kinds = ["F16", "BF16", "Q8_0", "Q4_0"]
types = {name: b64(gguf.quants.quantize(values, gguf.GGMLQuantizationType[name]).tobytes()) for name in kinds}
print(json.dumps({"versions": {"gguf": "0.19.0", "numpy": np.__version__}, "f32": b64(values.tobytes()), "types": types}, indent=1))
