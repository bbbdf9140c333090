"""What a caller may give for a frame, of any type, shape and memory layout."""

from __future__ import annotations

from typing import Any

import numpy as np

from danet.frame import as_bgr
from tests.fuzz.reading import Bytes

WORDS = ()
_TYPES = ("u1", "u1", "u1", "i1", "f4", "f8", "u2", ">u2", "?", "c8", "S3", "U2", "V4", "O", "M8[s]", "u1,u1")
_SIDES = (0, 1, 2, 3, 4, 5, 3, 4, 17)


def seeds() -> dict[str, bytes]:
    """Frames of each kind, by the choices that `run` reads."""
    return {
        f"kind-{kind}-{dtype}": bytes([kind, 0, dtype, 0, 0, 5, 8, 3, 9, 0, 1, 2, 3])
        for kind in range(7)
        for dtype in (0, 4, 13)
    }


def _laid_out(read: Bytes, array: Any) -> Any:
    """The array in another memory layout: turned, mirrored, thinned, one row for all, not writeable."""
    kind = read.integer(0, 6)
    if kind == 1:
        return array.T
    if kind == 2 and array.ndim:
        return array[::-1]
    if kind == 3 and array.ndim:
        return array[..., ::-2]
    if kind == 4 and array.ndim and len(array):
        return np.broadcast_to(array[:1], (read.integer(1, 64), *array.shape[1:]))
    if kind == 5:
        return np.asfortranarray(array)
    if kind == 6:
        array.flags.writeable = False
    return array


def run(data: bytes) -> None:
    """What comes out is contiguous BGR of the same height and width."""
    read = Bytes(data)
    kind = read.integer(0, 6)
    if kind == 1:
        given: Any = read.choice(
            (None, "frame", b"frame", 5, 1.5, object(), [], [[]], {}, [[1, 2], [3]], memoryview(b"ab"))
        )
    else:
        dtype = np.dtype(_TYPES[read.integer(0, len(_TYPES) - 1)] if kind != 2 else "u1")
        shape = tuple(read.choice(_SIDES) for _ in range(read.choice((3, 3, 3, 2, 2, 0, 1, 4, 5))))
        small = np.zeros(shape, dtype) if dtype.hasobject else read.array(dtype, shape).copy()
        given = _laid_out(read, small)
        given = given.tolist() if kind == 3 and dtype.kind != "U" else given
        given = memoryview(given) if kind == 4 and isinstance(given, np.ndarray) and dtype.kind in "uif" else given
    frame = as_bgr(given)
    assert frame.dtype == np.uint8
    assert frame.ndim == 3
    assert frame.shape[2] == 3
    assert frame.flags.c_contiguous
    assert frame.shape[:2] == np.shape(given)[:2]
