"""The restricted unpickler, and what the zoo's reader makes of what it gives."""

from __future__ import annotations

import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from danet_network import restricted_pickle
from danet_network.zoo import convert_zoo
from tests.fuzz.targets import pickle_gadgets

WORDS = (
    *(code.code.encode("latin1") for code in pickletools.opcodes),
    *(
        pickle_gadgets.F4,
        pickle_gadgets.EMPTY,
        b"cnumpy\nndarray\n",
        b"c_codecs\nencode\n",
        b"ccollections\nOrderedDict\n",
    ),
    *(b"cnumpy._core.numeric\n_frombuffer\n", b"cnumpy.core.multiarray\nscalar\n", b"X\x06\x00\x00\x00latin1"),
)
_OWNED = Path("/tmp/danet-fuzz-owned")
_OWNED.unlink(missing_ok=True)  # what an earlier run found is no news
_PLAIN = (dict, list, tuple, str, bytes, bytearray, int, float, bool, type(None), np.ndarray, np.generic, np.dtype)


def seeds() -> dict[str, bytes]:
    """Gadgets, bombs and honest files."""
    return {**pickle_gadgets.takeovers(), **pickle_gadgets.bombs(), **pickle_gadgets.honest()}


def run(data: bytes) -> None:
    """Only plain values come out, arrays own their data and hold numbers, and nothing was run."""
    content = restricted_pickle.load(data)
    left: list[Any] = [content]
    seen: set[int] = set()
    while left and len(seen) < 2000:
        value = left.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        assert isinstance(value, _PLAIN) or type(value).__module__ == restricted_pickle.__name__
        if isinstance(value, np.ndarray):
            assert value.dtype.kind in "fiu"
            assert value.flags.owndata
        left += (
            [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list | tuple) else []
        )
    assert not _OWNED.exists()
    if isinstance(content, dict):
        convert_zoo(content)
