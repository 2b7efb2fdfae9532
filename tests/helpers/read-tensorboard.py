"""What TensorBoard's own reader finds in a folder: the points of one tag, and all texts."""
import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

request = json.load(sys.stdin)
accumulator = EventAccumulator(request["folder"], size_guidance={"scalars": 0, "tensors": 0})
accumulator.Reload()
tensors = accumulator.Tags()["tensors"]
print(json.dumps({
    "scalars": [[event.step, event.value] for event in accumulator.Scalars(request["tag"])],
    "texts": [[event.step, tag] for tag in sorted(tensors) for event in accumulator.Tensors(tag)],
}))
