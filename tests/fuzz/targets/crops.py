"""Boxes of any numbers, through the crop and back, and what is drawn of them."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np

from danet.crop import crop_affines, crop_persons, to_crop, to_frame
from danet.frame import BoxFormat, as_boxes, outside
from danet.model_spec import ModelSpec
from danet.poses import Poses
from tests.fuzz.reading import Bytes

WORDS = ()
_SPECS = (
    ModelSpec("a", input_size=(64, 48)),
    ModelSpec("b", input_size=(32, 64), box_padding=10.0),
    ModelSpec("c", box_padding=0.1),
)
_FRAMES = ((64, 48), (1, 1), (3, 300), (1, 40_000), (40_000, 2), (33, 32_767))
_TYPES = ("f8", "f8", "f8", "f4", "f2", "i8", "u8", "O", "?", "U8", "c16", "M8[s]")


def seeds() -> dict[str, bytes]:
    """Boxes of ordinary and of odd numbers, in each frame."""
    inside = b"\1\0\xd8\7\1\0\xd9\7\1\0\x60\x08\1\0\x70\x08"
    made = {f"inside-{frame}": bytes([frame, 0, 0, 0, 0, 0, 0, 1, 0]) + inside for frame in range(len(_FRAMES))}
    odd = {
        f"odd-{one}": bytes([0, 1, 1, 0, one % 12, 2, 0]) + bytes([0, 0, one, 0, 0, one + 1]) * 4 for one in range(20)
    }
    return made | odd


def _given(read: Bytes) -> Any:
    dtype = read.choice(_TYPES)
    shape = ((read.integer(0, 4), 4), (4,), (2, 2, 4), (3, 5), (0,), ())[read.choice((0, 0, 0, 0, 1, 2, 3, 4, 5))]
    with np.errstate(all="ignore"):
        values = read.numbers(*shape)
        if dtype in ("i8", "u8", "M8[s]"):
            values = np.nan_to_num(values, nan=0, posinf=9e18, neginf=-9e18).clip(-9e18, 9e18).astype("i8")
        return values.astype(dtype) if read.integer(0, 3) else values.astype(dtype).tolist()


def run(data: bytes) -> None:
    """Boxes that are not refused give finite matrices that can be inverted, crops and drawings."""
    read = Bytes(data)
    height, width = read.choice(_FRAMES)
    spec, box_format = read.choice(_SPECS), read.choice(get_args(BoxFormat))
    frame = np.resize(np.frombuffer(data or b"\0", np.uint8), (height, width, 3))
    boxes = as_boxes(None if read.integer(0, 15) == 15 else _given(read), box_format, (height, width))
    assert boxes.dtype == np.float64
    assert boxes.shape[1:] == (4,)
    outside(boxes, (height, width))
    affines = crop_affines(boxes, spec)
    assert np.isfinite(affines).all()
    crops = crop_persons(frame, affines, spec)
    assert crops.shape == (len(boxes), *spec.input_size, 3)
    points = np.array([[[0.0, 0.0], spec.input_size[::-1]]]).repeat(len(boxes), axis=0)
    back = to_frame(points, affines)
    assert np.isfinite(back).all()
    np.testing.assert_allclose(to_crop(back, affines), points, atol=1e-3 * max(1.0, np.abs(affines).max(initial=0)))
    keypoints = back[:, [0, 1] * 8 + [0]].astype(np.float32)
    poses = Poses(keypoints, np.full(keypoints.shape[:2], 0.5, np.float32), boxes.astype(np.float32))
    assert poses.draw(frame, boxes=True).shape == frame.shape
    poses.to_json()
