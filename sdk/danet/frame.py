"""Frames and boxes as callers give them, brought to the one form that the pipeline uses."""

from __future__ import annotations

import os
from numbers import Real
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from danet.errors import InputError
from danet.picture_file import decode_file

BoxFormat = Literal["xyxy", "xywh", "cxcywh"]
MAX_COORDINATE = 1_000_000.0
"""Beyond this cv2.warpAffine's fixed-point source coordinates overflow."""
MIN_SIDE = 0.001
"""Pixels; a box this small is a mistake, and far smaller ones overflow the crop's scale."""
MAX_BOXES = 10_000
"""To a frame: its crops would take gigabytes. Pictures of crowds have hundreds of persons."""


def as_bgr(frame: Any) -> NDArray[np.uint8]:
    """A frame as contiguous (H, W, 3) uint8 BGR.

    Accepts (H, W, 3) BGR, (H, W, 4) BGRA, (H, W) and (H, W, 1) grey, of uint8, in any memory layout.

    Raises:
        InputError: anything else. Float and 16-bit frames are refused since their range is a guess, Pillow's
            pictures since they are RGB, and paths since a frame is read once, by the caller.
    """
    if frame is None:
        raise InputError("frame of None, expected (H, W, 3) uint8; cv2.imread gives None for what it cannot read")
    if hasattr(frame, "getbands"):
        raise InputError(
            f"frame of type {type(frame).__name__}, a picture of Pillow, expected (H, W, 3) uint8 BGR; "
            'pass np.asarray(picture.convert("RGB"))[..., ::-1]'
        )
    if isinstance(frame, bytes | bytearray) or (isinstance(frame, memoryview) and frame.ndim == 1):
        raise InputError(
            f"frame of {type(frame).__name__}, a file's content, expected the picture, (H, W, 3) uint8 BGR; pass "
            "cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR)"
        )
    if isinstance(frame, cv2.UMat):
        raise InputError("frame of type UMat, expected (H, W, 3) uint8 BGR; pass frame.get()")
    try:
        array = np.asarray(frame)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"frame of type {type(frame).__name__} is no (H, W, 3) array of uint8 ({error})") from error
    if (path := _path(array)) is not None:
        raise InputError(
            f"frame of {path!r:.200}, a path, expected the picture itself, (H, W, 3) uint8 BGR; pass "
            "cv2.imread(path), or danet.frame.read_picture(path), which tells why a file cannot be read"
        )
    if array.dtype != np.uint8:
        raise InputError(
            f"frame of dtype {array.dtype}, expected uint8 in 0..255; convert it, "
            "for instance (frame * 255).round().astype(np.uint8) for a float frame in 0..1"
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise InputError(f"frame of shape {array.shape}, expected (H, W, 3) BGR, (H, W, 4) BGRA or (H, W) grey")
    if 0 in array.shape:
        raise InputError(f"frame of shape {array.shape} has no pixels")
    if array.ndim == 2:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(array), cv2.COLOR_GRAY2BGR), np.uint8)
    return np.ascontiguousarray(array[:, :, :3])


def _path(array: NDArray[Any]) -> str | None:
    """The path that an array without axes holds (`stream` makes an array of all it is given), None where it is none."""
    if array.ndim or array.dtype.kind not in "OU":
        return None
    try:
        item = array.item()
    except SystemError:  # NumPy's text of numbers that are no characters, as memory read with a wrong dtype has
        return None
    return str(item) if isinstance(item, str | os.PathLike) else None


def as_boxes(boxes: Any, box_format: BoxFormat, frame_size: tuple[int, int]) -> NDArray[np.float64]:
    """Boxes as (N, 4) float64 xyxy, frame pixels, edges.

    Args:
        boxes: anything that numpy makes (N, 4) of; None is the whole frame as one box; an empty
            sequence is no box. Text and booleans are no numbers.
        box_format: what the four numbers are.
        frame_size: (height, width), for None.

    Raises:
        InputError: another shape, NaN or infinity, a width or height under a thousandth of a pixel,
            coordinates beyond a million pixels, or more than `MAX_BOXES` boxes.
    """
    if boxes is None:
        return np.array([[0, 0, frame_size[1], frame_size[0]]], np.float64)
    if hasattr(boxes, "boxes") and hasattr(boxes, "scores"):
        raise InputError(f"boxes of type {type(boxes).__name__}, expected (N, 4) {box_format}; pass its .boxes")
    array = as_numbers(boxes)
    if array.ndim and len(array) == 0:
        return np.empty((0, 4), np.float64)
    if array.ndim != 2 or array.shape[1] != 4:
        detections = array.ndim == 2 and array.shape[1] in (5, 6)
        fix = "of detections with scores take boxes[:, :4]" if detections else "one box is [[...]]"
        raise InputError(f"boxes of shape {array.shape}, expected (N, 4) {box_format}; {fix}")
    if len(array) > MAX_BOXES:
        raise InputError(f"{len(array)} boxes, expected at most {MAX_BOXES} to a frame; give them in parts")
    edges = _edges(array, box_format)
    _refuse(~np.isfinite(edges).all(1), array, "finite numbers")
    _refuse((edges[:, 2:] <= edges[:, :2]).any(1), array, f"a width and height above 0 in {box_format}")
    _refuse((np.abs(edges) > MAX_COORDINATE).any(1), array, f"coordinates within {MAX_COORDINATE:.0f} pixels")
    _refuse((edges[:, 2:] - edges[:, :2] < MIN_SIDE).any(1), array, f"a width and height of at least {MIN_SIDE} pixels")
    return edges


def as_numbers(boxes: Any) -> NDArray[np.float64]:
    """Boxes as float64, of whatever shape.

    Raises:
        InputError: text, booleans, or what no array can be made of.
    """
    try:
        array = np.asarray(boxes)
        if array.dtype.kind not in "iufO":
            raise TypeError(f"they are of dtype {array.dtype}")
        if array.dtype.kind == "O":
            for number in array.flat:  # None becomes NaN, of which the caller names the box
                if number is not None and (not isinstance(number, Real) or isinstance(number, bool | np.bool_)):
                    raise TypeError(f"{number!r:.40} is of type {type(number).__name__}")
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise InputError(f"boxes are not an (N, 4) array of numbers ({error})") from error


def _edges(boxes: NDArray[np.float64], box_format: BoxFormat) -> NDArray[np.float64]:
    first, second = boxes[:, :2], boxes[:, 2:]
    if box_format == "xyxy":
        return boxes
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused by the caller
        if box_format == "xywh":
            return np.concatenate((first, first + second), axis=1)
        if box_format == "cxcywh":
            return np.concatenate((first - second / 2, first + second / 2), axis=1)
    raise InputError(f"box_format {box_format!r}, expected one of {', '.join(get_args(BoxFormat))}")


def _refuse(bad: NDArray[np.bool_] | np.bool_, boxes: NDArray[np.float64], expected: str) -> None:
    if bad.any():
        index = int(bad.argmax())
        raise InputError(f"box {index} is {boxes[index].tolist()}, expected {expected}")


def outside(boxes: NDArray[np.float64], frame_size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which boxes (N, 4) xyxy share no pixel with a frame of (height, width): (N,) bool."""
    height, width = frame_size
    return (boxes[:, 0] >= width) | (boxes[:, 1] >= height) | (boxes[:, 2] <= 0) | (boxes[:, 3] <= 0)


def read_picture(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """A picture file as (H, W, 3) uint8 BGR, turned upright by its EXIF tag as viewers show it.

    Not so AVIF, whose orientation OpenCV leaves alone (4.9 that of WebP too): turn it before (Pillow's
    `ImageOps.exif_transpose`), or save the pictures as JPEG.

    Raises:
        InputError: missing, unreadable, too large or of a format that is refused (see `danet.picture_file`), or no
            picture that OpenCV can decode.
    """
    return decode_file(Path(path), cv2.IMREAD_COLOR)
