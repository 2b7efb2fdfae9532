"""Logits of models/lab-pictures by transformers, pictures through its own processor.

    python tools/goldens/lab-pictures.py   # writes tests/golden/lab-pictures.json

Needs torch, torchvision, transformers, pillow and numpy; the versions used are in the file. Pictures follow from a formula that
tests/policy/lab-pictures.test.ts computes as well: value (31 x + 17 y + 97 c + 53 n) mod 256.
"""

import json
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageTextToText

ROOT = Path(__file__).resolve().parents[2]
SIDES = [(32, 32), (48, 40), (20, 30)]
# <bos>, the picture's seven tokens, |, two names, [direct]
IDS = [1, 4, 5, 3, 3, 3, 3, 4, 11, 16, 24, 18, 27, 13]


def picture(n, width, height):
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    return Image.fromarray(((31 * x + 17 * y + 97 * c + 53 * n) % 256).astype(np.uint8))


folder = ROOT / "models" / "lab-pictures"
model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
# the Pillow backend; torchvision resizes otherwise
processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
cases = []
for n, (width, height) in enumerate(SIDES):
    pixels = processor(images=[[picture(n, width, height)]], return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([IDS]), pixel_values=pixels).logits[0, -1]
    cases.append(dict(width=width, height=height, logits=[float(f"{v:.8g}") for v in logits.tolist()]))
versions = dict(torch=torch.__version__, transformers=transformers.__version__)
path = ROOT / "tests" / "golden" / "lab-pictures.json"
path.write_text(json.dumps(dict(versions=versions, ids=IDS, cases=cases)) + "\n")
