"""The handwritten digits of scikit-learn, for src/data/digits-data.ts and for its test.

    python tools/goldens/digits.py

Writes src/data/digits-data.ts (pixels 0..16 of all pictures, then their labels, deflated, base64) and tests/golden/pictures/digits.json: the hash of
the pixels and labels as scikit-learn gives them, and a few pictures as they are.
"""

import base64
import hashlib
import json
import pathlib
import zlib

import numpy
import sklearn
from sklearn.datasets import load_digits

root = pathlib.Path(__file__).parents[2]
digits = load_digits()
pixels = digits.data.astype(numpy.uint8)
labels = digits.target.astype(numpy.uint8)
assert pixels.shape == (1797, 64) and pixels.max() == 16

packed = base64.b64encode(zlib.compress(pixels.tobytes() + labels.tobytes(), 9)).decode()
(root / "src/data/digits-data.ts").write_text(
    f"""/**
 * The 1,797 handwritten digits, 8 x 8 with values 0..16, that scikit-learn {sklearn.__version__} carries: the test part of "Optical
 * Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, 1998, UCI Machine Learning Repository, doi:10.24432/C50P49),
 * licence CC BY 4.0. Pixels of all, then labels, deflated; written by tools/goldens/digits.py.
 */
export const digitsData =
  "{packed}";
"""
)
chosen = [0, 1, 999, 1000, 1299, 1300, 1796]
json.dump(
    {
        "versions": {"scikit-learn": sklearn.__version__, "numpy": numpy.__version__},
        "pixels_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
        "labels_sha256": hashlib.sha256(labels.tobytes()).hexdigest(),
        "pictures": [{"index": i, "label": int(labels[i]), "pixels": pixels[i].tolist()} for i in chosen],
    },
    open(root / "tests/golden/pictures/digits.json", "w"),
)
