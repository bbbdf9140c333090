"""Picture files: the size that is read from their header, and OpenCV's decoders behind it."""

from __future__ import annotations

import cv2
import numpy as np

from danet.errors import InputError
from danet.frame import read_picture
from danet.picture_file import MAX_PICTURE_PIXELS, stated_size
from tests.fuzz.reading import as_file

WORDS = (
    b"\xff\xd8\xff\xe0",
    b"\xff\xc0",
    b"\xff\xc2",
    b"\xff\xda",
    b"IHDR",
    b"IDAT",
    b"IEND",
    b"PLTE",
    b"VP8X",
    b"VP8L",
    b"VP8 ",
)
_SUFFIXES = (".png", ".jpg", ".webp", ".bmp", ".tiff", ".gif", ".ppm", ".pgm", ".jp2", ".hdr", ".ras", ".exr")
_LARGE = 1 << 22
"""Pixels beyond which a picture is not decoded here: it would only cost time."""


def seeds() -> dict[str, bytes]:
    """A small picture in each format, and headers that promise a huge one."""
    picture = np.random.default_rng(0).integers(0, 255, (9, 13, 3), np.uint8)
    made = {}
    for suffix in _SUFFIXES:
        try:
            written, data = cv2.imencode(suffix, picture)
        except cv2.error:
            continue
        if written:
            made[f"picture{suffix.replace('.', '-')}"] = data.tobytes()
    png = made["picture-png"]
    return made | {
        "bomb-png": png[:16] + b"\x00\x10\x00\x00\x00\x10\x00\x00" + png[24:],
        "minus-png": png[:16] + b"\xff" * 8 + png[24:],
        "cut-jpg": made["picture-jpg"][:-40],
        "empty": b"",
        "text": b"P6 99999 99999 255\n",
    }


def run(data: bytes) -> None:
    """A picture that is decoded is no larger than its header says."""
    path = as_file(data, ".picture")
    size = stated_size(data)
    if size is not None and _LARGE < size[0] * size[1] <= MAX_PICTURE_PIXELS:
        raise InputError("left out: it would only cost time")
    picture = read_picture(path)
    assert picture.dtype == np.uint8
    assert picture.shape[2:] == (3,)
    assert size is None or picture.size <= 3 * size[0] * size[1]
