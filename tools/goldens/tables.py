"""Parquet and Zstandard files of pyarrow's, with the rows that pyarrow reads from them, for tests/data/tables.test.ts.

    python -m venv venv && venv/bin/pip install pyarrow==26.0.1
    venv/bin/python tools/goldens/tables.py tests/golden/data
"""

import base64
import datetime
import decimal
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)

flat = pa.table({
    "prompt": ["Was ist 2+2? ünï 🎉", "line\u2028separator\nand break", "", "same", "same", None],
    "answer": pa.array(["4", "x", "y", "z", "z", None]),
    "level": pa.array([1, 2, None, 4, -5, 6], pa.int32()),
    "big": pa.array([1, 2**53 + 1, -(2**63), 2**63 - 1, None, 0], pa.int64()),
    "unsigned": pa.array([1, 2**64 - 1, 0, 3, None, 2**32], pa.uint64()),
    "score": pa.array([0.5, -1.25, None, 1e300, 3.0, float("nan")], pa.float64()),
    "half": pa.array([0.5, 0.1, None, 2.0, 3.0, 4.0], pa.float32()),
    "right": [True, False, None, True, True, False],
    "day": pa.array([datetime.date(2024, 2, 29), datetime.date(1969, 12, 31), None] * 2),
    "time": pa.array([datetime.datetime(2024, 2, 29, 1, 2, 3, 456789), datetime.datetime(1969, 12, 31, 23, 59, 59, 1), None] * 2),
    "price": pa.array([decimal.Decimal("1.10"), decimal.Decimal("-0.05"), None] * 2, pa.decimal128(10, 2)),
    "bytes": pa.array([b"\xff\x00\xfe", b"text", None] * 2, pa.binary()),
    "nothing": pa.nulls(6),
})

turn = pa.struct([("role", pa.string()), ("content", pa.string())])
nested = pa.table({
    "messages": pa.array([
        [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello\n"}],
        [],
        None,
        [{"role": "system", "content": None}, {"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}],
    ], pa.list_(turn)),
    "meta": pa.array([{"level": 3, "tags": ["a", "b"]}, {"level": None, "tags": []}, None, {"level": 1, "tags": None}],
                     pa.struct([("level", pa.int64()), ("tags", pa.list_(pa.string()))])),
    "matrix": pa.array([[[1, 2], [3]], [[]], None, [None, [4]]], pa.list_(pa.list_(pa.int16()))),
})

many = pa.table({
    "id": list(range(1000)),
    "topic": [f"topic {i % 7}" for i in range(1000)],
    "prompt": [f"What is {i} + {i * i}? " + "pad " * (i % 5) for i in range(1000)],
    "answer": [str(i + i * i) for i in range(1000)],
})


def value(x):
    """As the project holds it: what JSON cannot say has a stated form."""
    if isinstance(x, dict):
        return {k: value(v) for k, v in x.items()}
    if isinstance(x, list):
        return [value(v) for v in x]
    if isinstance(x, bool) or x is None or isinstance(x, str):
        return x
    if isinstance(x, int):
        return x if abs(x) <= 2**53 - 1 else str(x)
    if isinstance(x, float):
        return x if x == x else None
    if isinstance(x, decimal.Decimal):
        return float(x)
    if isinstance(x, datetime.datetime):
        return x.isoformat().rstrip("0") if x.microsecond else x.isoformat()
    if isinstance(x, datetime.date):
        return x.isoformat()
    if isinstance(x, bytes):
        try:
            return x.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(x).decode()}
    raise TypeError(type(x))


files = {
    "flat-plain": (flat, dict(compression="none", use_dictionary=False)),
    "flat-snappy": (flat, dict(compression="snappy")),
    "flat-pages-v2": (flat, dict(compression="zstd", data_page_version="2.0", version="2.6")),
    "flat-delta": (flat, dict(compression="gzip", use_dictionary=False, column_encoding={
        "prompt": "DELTA_BYTE_ARRAY", "answer": "DELTA_LENGTH_BYTE_ARRAY", "level": "DELTA_BINARY_PACKED",
        "score": "BYTE_STREAM_SPLIT"})),
    "nested-snappy": (nested, dict(compression="snappy")),
    "nested-zstd": (nested, dict(compression="zstd", row_group_size=2)),
    "many-dictionary-zstd": (many, dict(compression="zstd", row_group_size=128, use_dictionary=["topic"])),
    "many-lz4": (many, dict(compression="lz4", row_group_size=300)),
    "many-brotli": (many, dict(compression="brotli", row_group_size=1000)),
}
rows = {}
for name, (table, options) in files.items():
    pq.write_table(table, out / f"{name}.parquet", **options)
    back = [value(row) for row in pq.read_table(out / f"{name}.parquet").to_pylist()]
    assert rows.setdefault(name.split("-")[0], back) == back, name
# the 1,000 rows of `many` are said by their formula in the test
for name in ("flat", "nested"):
    (out / f"{name}.json").write_text(json.dumps(rows[name], ensure_ascii=False, indent=1) + "\n")

# sums for the laboratory's tokens, in two files that a pattern names
for part in (0, 1):
    sums = [{"q": f"{a}+{b}", "a": str((a + b) % 10), "level": str(1 + a % 2)} for a in range(10) for b in range(3 * part, 3 * part + 3)]
    pq.write_table(pa.Table.from_pylist(sums), out / f"sums-{part}.parquet", compression="zstd", row_group_size=8)

lines = "".join(json.dumps(row) + "\n" for row in many.to_pylist()).encode()
(out / "many.jsonl.zst").write_bytes(pa.Codec("zstd").compress(lines, asbytes=True))
