"""Reading boxes files and writing annotated pictures, for commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from danet.errors import InputError
from danet.files import write_beside


def read_boxes(source: str) -> Any:
    """The JSON of a boxes file, or of stdin for "-".

    Raises:
        InputError: missing file or broken JSON.
    """
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise InputError(f"{source}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        name = "standard input" if source == "-" else source
        raise InputError(f"{name}: not JSON ({error}); expected a list of boxes or an object of lists") from error


def boxes_for(content: Any, image: Path) -> Any:
    """The boxes of one picture out of a boxes file.

    The file is a list of boxes [[a, b, c, d], ...] for every picture, or an object from picture
    name (path as given, or file name) to such a list.

    Raises:
        InputError: neither of the two, or an object without this picture.
    """
    if isinstance(content, list):
        return content
    if not isinstance(content, dict):
        raise InputError(f"boxes: a JSON {type(content).__name__}, expected a list of boxes or an object of lists")
    for key in (str(image), image.name):
        if key in content:
            return content[key]
    raise InputError(f"boxes: no entry for {image}; the file has {', '.join(map(str, list(content)[:5])) or 'none'}")


def write_picture(picture: NDArray[np.uint8], path: Path) -> None:
    """Write a picture (H, W, 3) uint8 BGR in the format that its suffix names, whole or not at all.

    Raises:
        InputError: a suffix that OpenCV cannot write.
    """
    try:
        written, data = cv2.imencode(path.suffix, picture)
    except cv2.error as error:
        raise InputError(f"{path}: OpenCV cannot write pictures named {path.suffix!r}; use .png or .jpg") from error
    if not written:
        raise InputError(f"{path}: the picture could not be encoded as {path.suffix}")
    with write_beside(path) as temporary:
        temporary.write_bytes(data.tobytes())
