"""Several frames as callers give them: pairs of a frame and its boxes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from danet.errors import InputError

FrameAndBoxes = tuple[Any, Any]


def iterated(frames: Any) -> Iterator[Any]:
    """What `infer_batch` and `stream` are given, one after the other.

    Raises:
        InputError: no iterable, and no sequence by index either.
    """
    try:
        return iter(frames)
    except TypeError as error:
        raise InputError(f"frames of type {type(frames).__name__}, expected pairs (frame, boxes)") from error


def frame_and_boxes(given: Any) -> FrameAndBoxes:
    """What `infer_batch` and `stream` are given for one frame.

    Raises:
        InputError: no pair.
    """
    if isinstance(given, tuple | list) and len(given) == 2:
        return given[0], given[1]
    what = f"shape {given.shape}" if isinstance(given, np.ndarray) else f"type {type(given).__name__}"
    raise InputError(f"a frame of {what} without boxes, expected pairs (frame, boxes); boxes of None: the whole frame")


def kept(given: Any) -> Any:
    """What stays as it is when the caller writes the next frame into the same array, buffer or list."""
    if given is None or hasattr(given, "getbands"):  # a picture of Pillow is refused in its turn
        return given
    with suppress(Exception):  # so is what no array can be made of
        return np.asarray(given).copy()  # PyTorch's __array__ knows no `copy`, of which np.array warns
    return given
