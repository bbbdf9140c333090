"""Reading boxes files and writing annotated pictures, for commands."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np
from numpy.typing import NDArray

from danet.errors import InputError
from danet.files import write_beside
from danet.utf8_name import utf8_name
from danet.video.opencv_capture import quiet_opencv

UTF8 = "utf-8-sig"
"""Windows tools begin files with a byte order mark."""
MAX_BOXES_CHARACTERS = 64 << 20
"""A million boxes; parsed JSON takes some ten times its text's memory."""
_PROBE_SIDE = 64
"""Pixels of the picture by which a format is tried: JPEG 2000 takes none below 32."""


def read_boxes(source: str) -> Any:
    """The JSON of a boxes file, or of stdin for "-".

    Raises:
        InputError: missing file, closed stdin, broken JSON, or more than `MAX_BOXES_CHARACTERS`.
    """
    name = "standard input" if source == "-" else source
    if source == "-" and sys.stdin is None:
        raise InputError("standard input is closed; name a file of boxes")
    try:
        with _standard_input() if source == "-" else Path(source).open(encoding=UTF8) as file:
            text = file.read(MAX_BOXES_CHARACTERS + 1)
        content = None if len(text) > MAX_BOXES_CHARACTERS else json.loads(text)
    except OSError as error:
        raise InputError(f"{source}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: not JSON ({error}); expected a list of boxes or an object of lists") from error
    if len(text) > MAX_BOXES_CHARACTERS:
        raise InputError(f"{name}: more than {MAX_BOXES_CHARACTERS} characters of boxes; give the pictures in parts")
    return content


def _standard_input() -> contextlib.AbstractContextManager[TextIO]:
    """Left open; its text is UTF-8 also where the system's is not."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding=UTF8)
    return contextlib.nullcontext(sys.stdin)


def boxes_for(content: Any, image: Path) -> Any:
    """The boxes of one picture out of a boxes file.

    The file is a list of boxes [[a, b, c, d], ...] for every picture, or an object from picture
    name (path as given, or file name) to such a list.

    Raises:
        InputError: neither of the two, or an object without this picture, or with null in the place of its boxes.
    """
    if isinstance(content, list):
        return content
    if not isinstance(content, dict):
        raise InputError(f"boxes: a JSON {type(content).__name__}, expected a list of boxes or an object of lists")
    for key in (str(image), *_spellings(image), image.name):
        if key in content:
            if content[key] is None:  # else the whole picture would be taken for one person
                raise InputError(f"boxes: null for {image}, expected a list; [] where nobody is in the picture")
            return content[key]
    names = ", ".join(name[:80] for name in list(content)[:5])
    raise InputError(f"boxes: no entry for {image}; the file has {names or 'none'}")


def _spellings(image: Path) -> Iterator[str]:
    """Other ways to write a path, which a Path has lost: ./a.jpg for a.jpg, and slashes on Windows."""
    text = image.as_posix()
    yield text
    if not image.is_absolute():
        yield f"./{text}"
        yield f".{os.sep}{image}"


def refuse_suffix(path: Path) -> None:
    """Refuse a name that no picture (H, W, 3) uint8 can be written to.

    Raises:
        InputError: its suffix is none of a picture of colours, or is no UTF-8.
    """
    if not is_writable(path):
        raise InputError(f"{path}: OpenCV cannot write pictures named {path.suffix!r}; use .png or .jpg")


def is_writable(path: Path) -> bool:
    """Whether OpenCV writes pictures (H, W, 3) uint8 in the format that a name's suffix is of.

    `cv2.haveImageWriter` does not tell: it raises for a format that is built in and switched off (.exr), and says yes
    to those of grey pictures alone (.pgm).

    Raises:
        InputError: the suffix is no UTF-8.
    """
    suffix = utf8_name(path.suffix, InputError, str(path))
    return _encoded(suffix, np.zeros((_PROBE_SIDE, _PROBE_SIDE, 3), np.uint8)) is not None


def _encoded(suffix: str, picture: NDArray[np.uint8]) -> bytes | None:
    """A picture (H, W, 3) uint8 BGR as a file of that suffix; None where OpenCV cannot make one."""
    try:
        with quiet_opencv():
            done, data = cv2.imencode(suffix, picture)
    except cv2.error:
        return None
    return data.tobytes() if done else None


def write_picture(picture: NDArray[np.uint8], path: Path) -> None:
    """Write a picture (H, W, 3) uint8 BGR in the format that its suffix names, whole or not at all.

    Raises:
        InputError: a suffix that OpenCV cannot write, or that is no UTF-8; or the picture is too large for its format.
    """
    refuse_suffix(path)
    data = _encoded(path.suffix, picture)
    if data is None:
        height, width = picture.shape[:2]
        raise InputError(f"{path}: the picture of {width} x {height} could not be encoded as {path.suffix}; use .png")
    with write_beside(path) as temporary:
        temporary.write_bytes(data)
