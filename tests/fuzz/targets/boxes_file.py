"""The boxes file of `danet infer --boxes`, up to boxes in a frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np

from danet.commands.pictures import boxes_for, read_boxes
from danet.frame import BoxFormat, as_boxes
from tests.fuzz.reading import as_file

WORDS = (b"[[0,0,9,9]]", b'"a.jpg"', b"[[", b"]]", b"1e400", b"NaN", b"null", b'"5"')


def seeds() -> dict[str, bytes]:
    """Boxes, and odd ones."""
    values: dict[str, Any] = {
        "list": [[1, 2, 30, 40], [5.5, 6, 70, 80]],
        "object": {"a.jpg": [[1, 2, 30, 40]]},
        "other-picture": {"x" * 200: []},
        "empty": [],
        "ragged": [[1, 2], [3]],
        "deep": [[[[1, 2, 3, 4]]]],
        "text": [["1", "2", "30", "40"]],
        "huge": [[0, 0, 10**400, 9]],
        "bool": [[False, False, True, True]],
        "null": [[None, 0, 1, 1]],
        "objects": [{"x": 1}],
        "tiny": [[0, 0, 1e-310, 1e-310]],
        "number": 5,
    }
    texts = {name: json.dumps(value).encode() for name, value in values.items()}
    return texts | {"nan": b"[[NaN, 0, Infinity, 1]]", "brackets": b"[" * 3000, "not-utf-8": b"\xff[]"}


def run(data: bytes) -> None:
    """Read, choose, bring to xyxy in each format."""
    content = read_boxes(str(as_file(data, ".json")))
    found = boxes_for(content, Path("pictures/a.jpg"))
    box_format: BoxFormat = get_args(BoxFormat)[len(data) % 3]
    edges = as_boxes(found, box_format, (480, 640))
    assert edges.shape[1:] == (4,)
    assert np.isfinite(edges).all()
