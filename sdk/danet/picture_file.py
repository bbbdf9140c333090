"""Reading picture files of unknown origin: their size is known before a decoder unpacks anything.

A PNG of a few kilobytes may unpack to gigabytes, and OpenCV's own limit is 2**30 pixels. So the size
is read out of the header first, for the formats that cameras and browsers write. Formats that OpenCV cannot
decode in memory are refused.
"""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from danet.bounded_file import read_at_most
from danet.errors import InputError

MAX_PICTURE_BYTES = 1 << 29
MAX_PICTURE_PIXELS = 1 << 28
"""The largest phone cameras give 200 million. Formats whose size is not looked up here (all but JPEG, PNG,
WebP, BMP, GIF and TIFF) fall under OpenCV's limit, 2**30."""
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_BY_FILE = {
    b"#?RADIANCE": "Radiance HDR",
    b"#?RGBE": "Radiance HDR",
    b"v/1\x01": "OpenEXR",
    b"PF\n": "PFM",
    b"Pf\n": "PFM",
    b"\x59\xa6\x6a\x95": "Sun raster",
}
"""Formats that OpenCV decodes out of a copy in the folder for temporary files (4.14 no longer PFM and Sun raster).
Where the header states too large a size the copy stays: a server that reads pictures of others would fill its disk."""
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG's frame headers: SOF0 to SOF15 without DHT, JPG and DAC, which lie between them."""


def decode_file(path: Path, flags: int) -> NDArray[np.uint8]:
    """A picture file as (H, W, 3) uint8 BGR; `flags` as of cv2.imdecode.

    Raises:
        InputError: missing, larger than `MAX_PICTURE_BYTES` or `MAX_PICTURE_PIXELS`, of a format in `_BY_FILE`, or
            no picture that OpenCV can decode.
    """
    try:
        data = read_at_most(path, MAX_PICTURE_BYTES)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:  # a path with a null character
        raise InputError(f"{str(path)!r}: {error}") from error
    _refuse_large(data, path)
    _refuse_by_file(data, path)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error as error:
        raise InputError(f"{path}: OpenCV refuses the picture ({error.err})") from error
    if image is None:
        raise InputError(f"{path}: not a picture that OpenCV can decode ({len(data)} bytes)")
    return np.asarray(image, np.uint8)


def _refuse_large(data: bytes, path: Path) -> None:
    if len(data) > MAX_PICTURE_BYTES:
        raise InputError(f"{path}: more than {MAX_PICTURE_BYTES} bytes, no picture that is read here")
    size = stated_size(data)
    if size is not None and size[0] * size[1] > MAX_PICTURE_PIXELS:
        raise InputError(
            f"{path}: {size[0]} x {size[1]} pixels, expected at most {MAX_PICTURE_PIXELS}; make it smaller first"
        )


def _refuse_by_file(data: bytes, path: Path) -> None:
    for signature, name in _BY_FILE.items():
        if data.startswith(signature):
            raise InputError(f"{path}: a picture in {name}, which is not read here; convert it to JPEG or PNG")


def stated_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that the header of a picture states; None for other formats and broken headers."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return _pair(">II", data, 16)
        if data.startswith(b"GIF8"):
            return _pair("<HH", data, 6)
        if data.startswith(b"BM"):
            return _bmp(data)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _webp(data)
        if data.startswith(b"\xff\xd8"):
            return _jpeg(data)
        if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _tiff(data)
    except (struct.error, OverflowError):  # the second from BigTIFF's places of 64 bits
        pass
    return None


def _pair(form: str, data: bytes, place: int) -> tuple[int, int]:
    first, second = struct.unpack_from(form, data, place)
    return int(first), int(second)


def _bmp(data: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", data, 14)[0] == 12:  # OS/2's header
        return _pair("<HH", data, 18)
    width, height = _pair("<ii", data, 18)
    return abs(width), abs(height)  # negative: the rows go down


def _webp(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = _pair("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    """The largest of the frame headers: a decoder may skip the first."""
    place, found = 2, None
    while (place := data.find(b"\xff", place)) >= 0 and place + 9 <= len(data):
        marker = data[place + 1]
        if marker in (0x00, 0xFF) or 0xD0 <= marker <= 0xD9:  # fill bytes, and markers without a length
            place += 1 if marker == 0xFF else 2
            continue
        if marker in _JPEG_SIZES:
            height, width = _pair(">HH", data, place + 5)
            found = max(found or (0, 0), (width, height), key=lambda size: size[0] * size[1])
        if marker == 0xDA:  # the coded picture itself
            break
        place += 2 + int(struct.unpack_from(">H", data, place + 2)[0])
    return found


def _tiff(data: bytes) -> tuple[int, int] | None:
    """The first directory's size; BigTIFF (version 43) as well."""
    order = "<" if data.startswith(b"I") else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    start = int(struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0])
    count = int(struct.unpack_from(order + ("Q" if big else "H"), data, start)[0])
    first, length = start + (8 if big else 2), 20 if big else 12
    sides: dict[int, int] = {}
    for entry in range(first, first + min(count, 4096) * length, length):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag in (_TIFF_WIDTH, _TIFF_HEIGHT):
            value = entry + (12 if big else 8)
            sides[tag] = int(struct.unpack_from(order + {3: "H", 16: "Q"}.get(kind, "I"), data, value)[0])
    return (sides[_TIFF_WIDTH], sides[_TIFF_HEIGHT]) if len(sides) == 2 else None
