"""Callables that PyTorch's weights-only reader admits and that make gigabytes of a file of a kilobyte."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from danet.errors import ModelFileError
from danet_network.checkpoint import load_checkpoint

HUGE = b"J\xff\xff\xff\x7f"  # 2**31 - 1


@pytest.mark.parametrize("entry", ["archive/data.pkl", "archive/DATA.PKL"])
@pytest.mark.parametrize(
    ("module", "name"),
    [("builtins", "bytearray"), ("__builtin__", "bytearray"), ("builtins", "set"), ("collections", "Counter")],
)
def test_a_call_of_one_is_refused(tmp_path: Path, entry: str, module: str, name: str) -> None:
    pickled = b"\x80\x02c" + f"{module}\n{name}\n".encode() + HUGE + b"\x85R."
    with zipfile.ZipFile(path := tmp_path / "a.pt", "w") as archive:
        for part, data in ((entry, pickled), ("archive/version", b"3\n"), ("archive/byteorder", b"little")):
            archive.writestr(part, data)
    with pytest.raises(ModelFileError, match=rf"calls {module}\.{name}, refused"):
        load_checkpoint(path)
