"""What a detector's network may give, through recognition, each head, suppression and the way back to the frame."""

from __future__ import annotations

import numpy as np

from danet.detectors.base import checked
from danet.detectors.letterbox import fitted
from danet.detectors.metadata import StatedFacts
from danet.detectors.recognition import HEADS, Probe, as_reading, recognised_head
from danet.detectors.suppression import Limits, best_boxes, in_frame, refuse_logits
from tests.fuzz.reading import ODD_NUMBERS, Bytes

WORDS = tuple(np.float32(one).tobytes() for one in np.clip(ODD_NUMBERS, -3.4e38, 3.4e38))
_CELLS = 189  # of strides 8, 16 and 32 on 96 x 96
_SHAPES: tuple[tuple[tuple[int, ...], ...], ...] = (
    ((1, _CELLS, 6),),
    ((1, _CELLS, 85),),
    ((1, 6, _CELLS),),
    ((1, 300, 6),),
    ((1, 20, 5), (1, 20)),
    ((1, 20, 4), (1, 20, 2)),
    ((1, 20, 4), (1, 20), (1, 20)),
    ((20, 4), (20,)),
    ((1, 1, 20, 7),),
    ((1, 0, 6),),
    ((1, 1, 0, 7),),
    ((0, 4), (0,)),
    ((),),
    ((1, _CELLS, 4),),
    ((1, 3 * _CELLS, 6),),
    ((1, 20, 5),),
    ((2, 20, 5), (2, 20)),
)
_TYPES = (np.float32, np.float32, np.float64, np.float16, np.int64, np.uint8)
_NAMES = (("dets", "labels", "c"), ("boxes", "scores", "labels"), ("outputs", "x", "y"), ("", "", ""))


def seeds() -> dict[str, bytes]:
    """Each shape with each head, told or recognised, of ordinary numbers and of odd ones."""
    made = {}
    row = np.float32([10, 12, 40, 50, 0.9, 0.0]).tobytes()
    for shape in range(len(_SHAPES)):
        for head in (0, shape % len(HEADS) + 1):
            made[f"shape-{shape}-head-{head}"] = bytes([shape, 0, 0, 0, head, 0, 23, 0]) + row
        made[f"odd-{shape}"] = bytes([shape, 0, 1, 0, 0, 0, 39, 0]) + b"".join(WORDS[shape : shape + 10])
    return made


def run(data: bytes) -> None:
    """Detections that are not refused lie in the frame, with scores in 0..1, and can be cropped."""
    read = Bytes(data)
    shapes, facts = read.choice(_SHAPES), read.choice((None, ("person", "car"), ("a", "b", "person")))
    names = read.choice(_NAMES)
    stated = StatedFacts(read.choice((None, "pose", "detect")), facts, None)
    told = read.choice((None, *HEADS.values()))
    outputs = [read.array(read.choice(_TYPES), shape) for shape in shapes]
    probe = Probe(outputs, names[: len(outputs)], (96, 96), stated, read.choice(("a", "rtmdet", "yolox")))
    head = told or recognised_head(probe)
    reading = as_reading(probe, head, read.choice((None, None, 0, 1, 79)))
    boxes, scores = head.read(outputs, reading)
    refuse_logits(scores)
    limits = Limits(read.choice((0.0, 0.3, 1.0)), read.choice((None, 0.0, 0.5, 1.0)), read.integer(1, 300))
    kept = best_boxes(boxes, scores, limits)
    size = read.choice(((96, 96), (480, 640), (1, 3000)))
    letterbox = fitted(size, (96, 96), head.preprocessing.fit)
    found = in_frame(letterbox.to_frame(boxes[kept]), scores[kept], size, limits.max_detections)
    assert found.boxes.shape == (len(found.scores), 4)
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert (found.boxes >= 0).all()
    assert (found.boxes[:, 2:] <= size[::-1]).all()
    assert len(checked(tuple(found), size).boxes) == len(found.boxes)
