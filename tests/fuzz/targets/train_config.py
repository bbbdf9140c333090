"""The TOML file of a training run."""

from __future__ import annotations

import re
from pathlib import Path

from danet_training.config import load_config
from tests.fuzz.reading import as_file

_PLAIN = """\
network = "danet72"
preset = "paper"
learning_rate = 3e-4
optimizer = "muon"
coarse_sigmas = [10.4, 8, 6.8]

[[sources]]
kind = "coco"
folder = "data/coco"
weight = 2.5

[[phases]]
input_size = [256, 192]
samples = 1000
batch = 8
micro_batch = 4

[augmentation]
rotation = 30
scale = [0.5, 1.5]

[teacher]
model = "danet102.xml"

[validation]
kind = "rendered"
persons = 10
"""
WORDS = tuple(name.encode() for name in re.findall(r"[a-z_]{4,}", Path(load_config.__code__.co_filename).read_text()))


def seeds() -> dict[str, bytes]:
    """A run, and odd ones."""
    texts = {
        "plain": _PLAIN,
        "digits": _PLAIN.replace("1000", "9" * 5000),
        "huge": _PLAIN.replace("2.5", "1" + "0" * 400),
        "nan": _PLAIN.replace("3e-4", "nan"),
        "infinite": _PLAIN.replace("3e-4", "inf"),
        "deep": "a = " + "[" * 3000 + "]" * 3000,
        "dotted": "a" + ".a" * 3000 + " = 1",
        "date": _PLAIN.replace("3e-4", "1979-05-27T07:32:00Z"),
        "zero": _PLAIN.replace("micro_batch = 4", "micro_batch = 0").replace("batch = 8", "batch = 0"),
        "empty": "",
    }
    return {name: text.encode() for name, text in texts.items()} | {"not-utf-8": b"\xff\xfe"}


def run(data: bytes) -> None:
    """Read; the numbers are those of a run that ends."""
    config = load_config(as_file(data, ".toml"))
    assert config.total_samples > 0
