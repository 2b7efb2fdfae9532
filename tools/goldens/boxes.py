"""Average precision of one picture by pycocotools, as VLM-R1's detection reward asks for it: all scores 1.

    python tools/goldens/boxes.py

Writes tests/golden/pictures/boxes.json: found and gold boxes with the mean over IoU .50 to .95, and the value at .50.
"""

import contextlib
import importlib.metadata
import io
import json
import pathlib
import random

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

LABELS = ["cat", "dog", "bird"]
rng = random.Random(7)


def average_precision(found, golds):
    labels = list(dict.fromkeys(one["label"] for one in golds))
    def xywh(box):
        return [box[0], box[1], box[2] - box[0], box[3] - box[1]]
    def area(box):
        return (box[2] - box[0]) * (box[3] - box[1])
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": 0, "width": 2048, "height": 2048}],
            "categories": [{"id": i, "name": name} for i, name in enumerate(labels)],
            "annotations": [
                {
                    "id": i + 1,
                    "image_id": 0,
                    "category_id": labels.index(one["label"]),
                    "bbox": xywh(one["box"]),
                    "area": area(one["box"]),
                    "iscrowd": 0,
                }
                for i, one in enumerate(golds)
            ],
            "info": {},
        }
        coco.createIndex()
        known = [
            {
                "image_id": 0,
                "category_id": labels.index(one["label"]),
                "bbox": xywh(one["box"]),
                "score": 1.0,
                "area": area(one["box"]),
            }
            for one in found
            if one["label"] in labels
        ]
        if not known:
            return 0.0, 0.0
        evaluation = COCOeval(coco, coco.loadRes(known), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


def any_box():
    x, y = rng.randrange(200), rng.randrange(200)
    return [x, y, x + rng.randrange(4, 60), y + rng.randrange(4, 60)]


def near(box):
    spread = rng.choice([0, 1, 3, 8])
    moved = [place + rng.randint(-spread, spread) for place in box]
    return [moved[0], moved[1], max(moved[2], moved[0] + 1), max(moved[3], moved[1] + 1)]


cases = []
for case in range(120):
    golds = [{"box": any_box(), "label": rng.choice(LABELS[: 1 + case % 3])} for _ in range(rng.randint(1, 8))]
    found = [{"box": near(one["box"]), "label": one["label"]} for one in golds if rng.random() < 0.8]
    # again, of another label, or anywhere
    found += [{"box": near(one["box"]), "label": rng.choice(LABELS)} for one in golds if rng.random() < 0.3]
    found += [{"box": any_box(), "label": rng.choice(LABELS)} for _ in range(rng.randrange(4))]
    rng.shuffle(found)
    if case == 0:  # more than are looked at
        found = [{"box": any_box(), "label": "cat"} for _ in range(130)] + [dict(golds[0])]
    ap, ap50 = average_precision(found, golds)
    cases.append({"found": found, "golds": golds, "map": ap, "ap50": ap50})

root = pathlib.Path(__file__).parents[2]
json.dump(
    {"versions": {"pycocotools": importlib.metadata.version("pycocotools")}, "cases": cases},
    open(root / "tests/golden/pictures/boxes.json", "w"),
)
