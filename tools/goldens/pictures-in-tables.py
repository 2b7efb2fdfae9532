"""Tables with pictures as datasets and pyarrow write them, for tests/data/pictures.test.ts.

    python -m venv venv && venv/bin/pip install pyarrow==26.0.1 datasets==5.2.0 pillow==13.0.0
    venv/bin/python tools/goldens/pictures-in-tables.py tests/golden/data
"""

import base64
import hashlib
import io
import json
import sys
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)


def picture(colour, form):
    stream = io.BytesIO()
    Image.new("RGB", (3, 2), colour).save(stream, form)
    return stream.getvalue()


red, green, blue = picture("red", "PNG"), picture("green", "JPEG"), picture("blue", "GIF")
# a GIF of ASCII bytes alone: a reader that takes UTF-8 for text must not lose it
ascii_gif = b"GIF89a\x01\x00\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

rows = {"question": ["red?", "green?", "blue?"], "answer": ["a", "b", "c"]}
# the struct {bytes, path} of the feature Image
datasets.Dataset.from_dict(
    {**rows, "image": [{"bytes": red, "path": "red.png"}, {"bytes": green, "path": None}, {"bytes": ascii_gif, "path": None}]},
    features=datasets.Features(
        {"question": datasets.Value("string"), "answer": datasets.Value("string"), "image": datasets.Image()}
    ),
).to_parquet(out / "pictures-struct.parquet")
# several pictures a row
datasets.Dataset.from_dict(
    {**rows, "images": [[{"bytes": red, "path": None}, {"bytes": green, "path": None}], [{"bytes": blue, "path": None}], [{"bytes": red, "path": None}]]},
    features=datasets.Features(
        {"question": datasets.Value("string"), "answer": datasets.Value("string"), "images": datasets.List(datasets.Image())}
    ),
).to_parquet(out / "pictures-lists.parquet")
# a plain binary column
pq.write_table(
    pa.table({**rows, "image": pa.array([red, green, ascii_gif], pa.binary())}), out / "pictures-binary.parquet"
)
# columns of other types, and a binary one that holds text
pq.write_table(
    pa.table({
        **rows,
        "number": [1, 2, 3],
        "text": pa.array([b"no picture", b"nor this", b"nor that"], pa.binary()),
        "empty": pa.array([b"", None, b""], pa.binary()),
        "numbers": [[1.5], [2.5], [3.5]],
    }),
    out / "pictures-none.parquet",
)
sha = {name: hashlib.sha256(each).hexdigest() for name, each in
       {"red": red, "green": green, "blue": blue, "ascii_gif": ascii_gif}.items()}
versions = {"pyarrow": pa.__version__, "datasets": datasets.__version__}
encoded = {"red": base64.b64encode(red).decode()}
(out / "pictures.json").write_text(json.dumps({"versions": versions, "sha256": sha, "base64": encoded}, indent=1) + "\n")
