"""What PyTorch's weights-only reader admits and takes gigabytes or hours from a file of a kilobyte."""

from __future__ import annotations

import argparse
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from danet.errors import ModelFileError
from danet_network import torch_file
from danet_network.checkpoint import load_checkpoint

HUGE = b"J\xff\xff\xff\x7f"  # 2**31 - 1


def called(module: str, name: str, argument: bytes = HUGE) -> bytes:
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + argument + b"\x85R."


def archived(*entries: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in (*entries, ("archive/version", b"3\n"), ("archive/byteorder", b"little")):
            archive.writestr(zipfile.ZipInfo(name), data)
    return file.getvalue()


def assert_refused(path: Path, data: bytes, told: str) -> None:
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match=told):
        load_checkpoint(path)


@pytest.mark.parametrize("entry", ["archive/data.pkl", "archive/DATA.PKL"])
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "bytearray"),
        ("__builtin__", "bytearray"),
        ("builtins", "set"),
        ("collections", "Counter"),
        ("torch", "ByteTensor"),
        ("torch", "Tensor"),
        ("torch.storage", "UntypedStorage"),
    ],
)
def test_a_call_of_one_is_refused(tmp_path: Path, entry: str, module: str, name: str) -> None:
    assert_refused(
        tmp_path / "a.pt", archived((entry, called(module, name))), rf"holds {module}\.{name}, refused.*state_dict\(\)"
    )


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["archive/data.pkl", "archive/DATA.pkl"])
def test_of_two_entries_of_one_name_readers_take_different_ones(tmp_path: Path, second: str) -> None:
    data = archived(("archive/data.pkl", called("builtins", "bytearray")), (second, b"\x80\x02}."))
    assert_refused(tmp_path / "a.pt", data, "two entries of one name")


def test_of_two_directories_readers_take_different_ones(tmp_path: Path) -> None:
    """Python's looks before the end of the archive, PyTorch's where the end says that the directory is."""
    small = called("builtins", "bytearray", b"K\x07")
    hidden = archived(("archive/data.pkl", small))
    shown = archived(("archive/data.pkl", b"\x80\x02}.".ljust(len(small), b".")))
    assert torch.load(io.BytesIO(hidden + shown), weights_only=True) == bytearray(7)  # not what zipfile shows
    assert_refused(tmp_path / "a.pt", hidden + shown, "holds a dict, expected a dict of tensors by name")


def tower(floors: int) -> bytes:
    """A tuple that holds the one below twice, and so on: 2^floors steps for whoever hashes or prints it."""
    return b"K\x01\x85q\x00" + b"".join(b"h%c\x86q%c" % (below, below + 1) for below in range(floors))


def filled_later(floors: int) -> bytes:
    """The same of lists that are empty when they are put into each other."""
    made = b"".join(b"]q%c" % number for number in range(floors + 1))
    return made + b"".join(b"h%c(h%ch%ce" % (floor, floor - 1, floor - 1) for floor in range(floors, 0, -1))


HOLDS_ITSELF = b"]q\x00h\x00a"


@pytest.mark.parametrize("value", [tower(100), filled_later(100), HOLDS_ITSELF], ids=["tuples", "lists", "itself"])
def test_values_that_hold_each_other_many_times(tmp_path: Path, value: bytes) -> None:
    data = archived(("archive/data.pkl", b"\x80\x02}" + value + b"K\x01s."))
    assert_refused(tmp_path / "a.pt", data, "hold each other many times over")


def test_a_tensor_in_several_places_is_no_offence(tmp_path: Path) -> None:
    shared = [torch.zeros(1)] * 50
    torch.save({"state_dict": {"a": shared[0]}, "more": [shared] * 50}, path := tmp_path / "a.pt")
    assert_refused(path, path.read_bytes(), "holds no DANet")  # it was read


def test_too_many_opcodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_file, "MAX_OPCODES", 1000)
    data = archived(("archive/data.pkl", b"\x80\x02" + b"]" * 1000 + b"."))
    assert_refused(tmp_path / "a.pt", data, "more than 1000 opcodes")


def test_another_protocol_is_named(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, path := tmp_path / "a.pt", pickle_protocol=4)
    assert_refused(path, path.read_bytes(), "opcode FRAME, refused.*pickle_protocol is 2")


@pytest.mark.parametrize("value", [argparse.Namespace(lr=1), Path("a"), {1, 2}], ids=["namespace", "path", "set"])
def test_whole_files_of_other_things_are_not_called_damaged(tmp_path: Path, value: Any) -> None:
    torch.save({"state_dict": {"a": torch.zeros(1)}, "args": value}, path := tmp_path / "a.pt")
    assert_refused(path, path.read_bytes(), r"holds [\w.]+, refused: expected tensors.*save \{'model'")
