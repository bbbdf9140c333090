"""A zoo checkpoint of the right form with wrong things in it: names, shapes, types and numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from danet_network.config import danet_config
from danet_network.weights import COUNTER, build, expected_shapes
from danet_network.zoo import _tensor_names, convert_zoo
from tests.fuzz.reading import Bytes

WORDS = ()
_CONFIG = danet_config("danet72", "zoo")
_SHAPES = {
    zoo: expected_shapes(_CONFIG)[name] for zoo, name in _tensor_names(_CONFIG).items() if not name.endswith(COUNTER)
}
_BASE = {name: np.zeros(shape, np.float32) for name, shape in _SHAPES.items()}
_NAMES = tuple(_BASE)
_VALUES: tuple[Any, ...] = (
    *(None, 5, "text", [1.0], {}, np.float32(1), np.zeros(()), np.zeros(0), np.zeros((2, 0)), np.zeros(3, ">f4")),
    *(
        np.zeros(3, "O"),
        np.zeros(2, "U3"),
        np.zeros(2, complex),
        np.zeros(2, bool),
        np.zeros(2, "u8"),
        np.zeros((1,) * 20),
    ),
)


def seeds() -> dict[str, bytes]:
    """The checkpoint as it is, one change of each kind, and many."""
    kinds = {f"change-{kind}": bytes([0, 0, 1, 0, 40, 0, kind, 0, 3, 0, 5, 0]) for kind in range(7)}
    return {"whole": b"", "wrapped": b"\1", "many": bytes(range(200)), **kinds}


def _change(entries: dict[Any, Any], read: Bytes) -> None:
    name, kind = _NAMES[read.integer(0, len(_NAMES) - 1)], read.integer(0, 6)
    array = entries.get(name)
    if kind == 0 or not isinstance(array, np.ndarray):
        entries.pop(name, None)
    elif kind == 1:
        entries[read.choice((name + "x", "", "\n" * 99, 5, None, "é", "\ud800", name.upper()))] = array
    elif kind == 2:
        entries[name] = read.choice(_VALUES)
    elif kind == 3:
        entries[name] = array.astype(read.choice(("f2", "f8", "i1", "i8", "u8", ">f4")))
    elif kind == 4:
        entries[name] = array.reshape(read.choice(((-1,), (1, -1), (-1, 1, 1), array.shape[::-1], (1, *array.shape))))
    elif kind == 5:
        entries[name] = np.full_like(array, np.float32(np.clip(read.number(), -3e38, 3e38)))
    else:
        entries[name] = array.reshape(-1)[: read.integer(0, 3)]


def run(data: bytes) -> None:
    """What is taken becomes a network whose tensors are finite."""
    read = Bytes(data)
    wrap = read.integer(0, 255) & 1
    entries: dict[Any, Any] = dict(_BASE)
    for _ in range(read.integer(0, 12)):
        _change(entries, read)
    tensors, config = convert_zoo({"state_dict": entries} if wrap else entries)
    network = build(tensors, config)
    assert all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values())
