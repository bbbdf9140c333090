"""A kept tuning, as `danet tune --save` writes it beside a model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from danet.tuning.record import LoadFigure, PrecisionFigure, Tuning
from danet.tuning.saved import beside, find_tuning
from danet.tuning.settings import Settings
from danet.tuning.situation import read_situation
from tests.fuzz.reading import as_file

_TUNING = Tuning(
    read_situation("null"),
    "0" * 64,
    Settings("fp32", 2, 4, 2, 8),
    "fp32",
    (PrecisionFigure("fp32", 1.0, 0.0, True),),
    (LoadFigure("infer", 2, 30.5, 20.25),),
    "2026-11-25T00:00:00Z",
)
WORDS = tuple(f'"{name}"'.encode() for name in (*json.loads(_TUNING.to_json()), "threads", "streams", "batch_size"))
_MODEL = as_file(b"model", ".null")


def seeds() -> dict[str, bytes]:
    """A tuning, one for all defaults, and odd ones."""
    plain = _TUNING.to_json()
    texts = {
        "plain": plain,
        "defaults": replace(_TUNING, settings=Settings()).to_json(),
        "streams": plain.replace('"streams": 2', '"streams": 1000000000'),
        "threads": plain.replace('"threads": 2', '"threads": ' + "9" * 4400),
        "infinite": plain.replace("30.5", "Infinity"),
        "key-twice": plain.replace('"streams": 2', '"streams": 2, "streams": 3'),
        "deep": "[" * 5000,
        "empty": "",
    }
    return {name: text.encode() for name, text in texts.items()} | {"not-utf-8": b"\xff\xfe{}"}


def run(data: bytes) -> None:
    """Through the search beside a model, which never raises, and through the reader."""
    Path(beside(_MODEL)).write_bytes(data)
    found = find_tuning(_MODEL, "null")
    assert "\n" not in found.note
    tuning = Tuning.from_json(data.decode("utf-8", "surrogateescape"))
    assert Tuning.from_json(tuning.to_json()) == tuning
    assert str(tuning.settings)
