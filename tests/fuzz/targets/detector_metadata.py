"""What a detector's file says of its classes, input and task, and the input that is made of it."""

from __future__ import annotations

import numpy as np

from danet.detectors.metadata import stated_facts, stated_person_class
from danet.detectors.network import NetworkFacts, TensorFacts
from danet.detectors.picture_input import picture_input
from tests.fuzz.reading import Bytes

WORDS = (b"{0: 'person'}", b"['person']", b"[640, 640]", b"(", b")*", b"'", b"0: ", b"detect", b"-1", b"1e999", b"\0")
_SHAPES = (
    (1, 3, None, None),
    (1, 3, 64, 64),
    (None, 64, 64, 3),
    None,
    (1, 3, 0, 4),
    (1, 3, -1, 9),
    (1, 2),
    (3, 3, 3, 3),
)
_ASKED = (None, None, 64, (64, 32), 0, -1, 10**9, (1,), "640", 6.4)


def seeds() -> dict[str, bytes]:
    """Metadata of Ultralytics' and OpenVINO's exports, and odd ones; the parts are divided by a null."""
    parts = {
        "ultralytics": (b"\0\0", b"detect", b"{0: 'person', 1: 'bicycle'}", b"[640, 640]", b""),
        "openvino": (b"\1\0", b"", b"", b"", b"person bicycle"),
        "list": (b"\2\2", b"pose", b"['person']", b"(320, 640)", b""),
        "call": (b"\0\1", b"detect", b"__import__('os').system('id')", b"[640]*10**9", b""),
        "power": (b"\0\1", b"detect", b"{0: 9**9**9}", b"9**9**9", b""),
        "deep": (b"\0\0", b"detect", b"[" * 1500, b"(" * 1500, b""),
        "unary": (b"\0\0", b"detect", b"-" * 3000 + b"1", b"-" * 3000 + b"1", b""),
        "set": (b"\0\0", b"detect", b"{[1]: 2}", b"{1, 2}", b""),
        "digits": (b"\0\0", b"detect", b"{0: " + b"9" * 5000 + b"}", b"9" * 5000, b""),
        "mixed": (b"\0\0", b"detect", b"{0: 'a', None: 'b', 1.0: 'c'}", b"[True, False]", b""),
        "huge-side": (b"\0\0", b"detect", b"{}", b"[1000000000, 1000000000]", b""),
        "task": (b"\0\0", b"x" * 1000, b"", b"", b""),
    }
    return {name: head + b"\0".join(rest) for name, (head, *rest) in parts.items()}


def run(data: bytes) -> None:
    """Read; the input that is made of it is small enough to be allocated."""
    read = Bytes(data)
    shape, asked = read.choice(_SHAPES), read.choice(_ASKED)
    texts = read.rest().decode("utf-8", "surrogateescape").split("\0")
    metadata = dict(zip(("task", "names", "imgsz", "labels"), texts, strict=False))
    stated = stated_facts({key: value for key, value in metadata.items() if value})
    stated_person_class(stated.names)
    facts = NetworkFacts((TensorFacts("images", shape, np.dtype(np.float32)),), (), metadata)
    given = picture_input(facts, asked, stated)  # type: ignore[arg-type]
    assert all(1 <= side <= 8192 for side in given.size)
