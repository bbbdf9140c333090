from __future__ import annotations

import contextlib
import pickle
import random
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danet.errors import ModelFileError
from danet_network import restricted_pickle
from danet_network.checkpoint import load_checkpoint

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def refused(data: bytes, *parts: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        restricted_pickle.load(data)
    text = str(caught.value)
    assert "\n" not in text
    for part in parts:
        assert part in text


# What is refused: arrays


@pytest.mark.parametrize(
    "array",
    [
        np.array([{}, None], object),
        np.zeros(2, [("a", "f4"), ("b", "O")]),
        np.zeros(2, "U3"),
        np.zeros(2, "S3"),
        np.zeros(2, "V8"),
        np.zeros(2, "M8[s]"),
        np.zeros(2, np.complex64),
        np.zeros(2, bool),
        np.zeros(2, np.longdouble),
        np.zeros((0, 3)),
        np.ma.masked_array([1.0], [True]),
        np.zeros(2).view(np.recarray),
    ],
    ids=lambda array: str(array.dtype),
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_of_other_kinds(array: Any, protocol: int) -> None:
    refused(pickle.dumps({"a": array}, protocol))


def unbuilt(state: bytes) -> bytes:
    """An array whose state is built by the given opcodes."""
    return b"\x80\x03cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R" + state + b"b."


F4 = b"cnumpy\ndtype\nX\x02\x00\x00\x00f4K\x00K\x01\x87R"
F4 += b"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"


def test_the_hand_made_array_is_right() -> None:
    found = restricted_pickle.load(unbuilt(b"(K\x01K\x01\x85" + F4 + b"\x89C\x04\x00\x00\x80?t"))
    np.testing.assert_array_equal(found, np.float32([1]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "part"),
    [
        (b"N", "unknown kind of state"),
        (b")", "unknown kind of state"),
        (b"}", "unknown kind of state"),
        (b"(K\x02K\x01\x85" + F4 + b"\x89C\x04abcdt", "unknown kind of state"),
        (b"(K\x01K\x02\x85" + F4 + b"\x89C\x04abcdt", "shape (2,) and dtype float32 with 4 bytes"),
        (b"(K\x01J\xff\xff\xff\x7f\x85" + F4 + b"\x89C\x04abcdt", "with 4 bytes"),
        (b"(K\x01J\xff\xff\xff\xff\x85" + F4 + b"\x89C\x04abcdt", "sizes from 1"),
        (b"(K\x01\x88\x85" + F4 + b"\x89C\x04abcdt", "sizes from 1"),
        (b"(K\x01G?\xf0\x00\x00\x00\x00\x00\x00\x85" + F4 + b"\x89C\x04abcdt", "sizes from 1"),
        (b"(K\x01\x8a\x08" + b"\xff" * 7 + b"\x7f\x85" + F4 + b"\x89C\x04abcdt", "sizes from 1"),
        (b"(K\x01(" + b"K\x01" * 9 + b"t" + F4 + b"\x89C\x04abcdt", "up to 8 sizes"),
        (b"(K\x01K\x01" + F4 + b"\x89C\x04abcdt", "up to 8 sizes"),
        (b"(K\x01K\x01\x85" + F4 + b"\x89]t", "whose data is a list"),
        (b"(K\x01K\x01\x85X\x01\x00\x00\x00O\x89C\x04abcdt", "without a numeric dtype"),
        (b"(K\x01K\x01\x85cnumpy\nndarray\n\x89C\x04abcdt", "without a numeric dtype"),
    ],
)
def test_array_states(state: bytes, part: str) -> None:
    refused(unbuilt(state), part)


@pytest.mark.parametrize(
    ("state", "part"),
    [
        (b"N", "unknown kind of state"),
        (F4.replace(b"<", b"!")[F4.index(b"(") :], ""),
        (b"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ft", "with fields, metadata"),
        (b"(K\x03X\x01\x00\x00\x00<N]}J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t", "with fields, metadata"),
        (b"(K\x03X\x01\x00\x00\x00<NNNK\x40K\x01K\x00t", "with fields, metadata"),
        (b"(K\x04X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00}t", "with fields, metadata"),
        (b"(K\x03X\x01\x00\x00\x00!NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t", "byte order"),
    ],
)
def test_dtype_states(state: bytes, part: str) -> None:
    refused(b"cnumpy\ndtype\nX\x02\x00\x00\x00f4K\x00K\x01\x87R" + state + b"b.", part)


@pytest.mark.parametrize("code", ["O", "O8", "V4", "f16", "c8", "f4,f4", "(1000000000,)f4", "i", "x" * 5000])
def test_dtype_codes(code: str) -> None:
    encoded = code.encode()
    data = b"cnumpy\ndtype\nX" + struct.pack("<I", len(encoded)) + encoded + b"K\x00K\x01\x87R."
    refused(data, f"numpy.dtype '{code[:40]}'")


def test_an_array_that_is_built_in_its_own_state() -> None:
    """Any number of times, each in as many steps as the memo holds it."""
    state = b"(K\x01K\x01\x85" + F4 + b"%bC\x04\x00\x00\x80?t"
    array = unbuilt(b"").removesuffix(b"b.") + b"".join(b"q%c" % index for index in range(50))
    assert isinstance(restricted_pickle.load(array + state % b"\x89" + b"b."), np.ndarray)
    refused(array + state % (b"h\x00" + state % b"\x89" + b"b") + b"b.", "the state of one array or dtype is set twice")
    refused(array + state % b"]" + b"b.", "an array whose order is a list")


def test_other_classes_cannot_be_reconstructed() -> None:
    refused(
        b"\x80\x03cnumpy.core.multiarray\n_reconstruct\nccollections\nOrderedDict\nK\x00\x85C\x01b\x87R.",
        "_reconstruct",
    )


# Bombs and damage


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"x.",  # BYTEARRAY8
        b"\x80\x05\x96" + struct.pack("<Q", (1 << 64) - 1) + b"x.",
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"x.",  # BINBYTES8
        b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40) + b"x.",  # BINUNICODE8
        b"\x80\x02T" + struct.pack("<I", (1 << 31) - 1) + b"x.",  # BINSTRING
        b"\x80\x02\x8b" + struct.pack("<I", (1 << 31) - 1) + b"x.",  # LONG4
        b"L" + b"9" * 100_000 + b"L\n.",
        b"I" + b"9" * 5000 + b"\n.",
    ],
)
def test_counts_larger_than_the_file(data: bytes) -> None:
    refused(data)


@pytest.mark.parametrize("put", [b"r" + struct.pack("<I", (1 << 32) - 1), b"p" + b"9" * 30 + b"\n"])
def test_a_huge_memo_index_takes_no_memory(put: bytes) -> None:
    assert restricted_pickle.load(b"K\x07" + put + b".") == 7


def test_one_string_for_many_arrays() -> None:
    """A megabyte of remembered data behind thousands of arrays would be gigabytes."""
    size = 1 << 20
    data = b"\x80\x05\x8e" + struct.pack("<Q", size) + bytes(size) + b"\x94" + F4.replace(b"f4", b"i1") + b"\x940("
    array = b"cnumpy._core.numeric\n_frombuffer\n(h\x00h\x01J" + struct.pack("<i", size) + b"\x85X\x01\x00\x00\x00CtR"
    refused(data.replace(b"\x940(", b"\x94(") + array * 3000 + b"l.", "its arrays together are larger than the file")


def test_a_tower_of_shared_lists() -> None:
    """Two to the power of a hundred items, were it ever walked."""
    tower = b"]\x94" + b"".join(b"](" + b"h" + bytes([i]) + b"h" + bytes([i]) + b"e\x94" for i in range(100)) + b"."
    assert isinstance(restricted_pickle.load(b"\x80\x04" + tower), list)


@pytest.mark.parametrize("nest", [b"(" * 200_000 + b"l" * 200_000, b")" + b"\x85" * 200_000, b"}Va\n" * 100_000])
def test_deep_nesting(tmp_path: Path, nest: bytes) -> None:
    closing = b"s" * (nest.count(b"}") - 1)
    (path := tmp_path / "deep.pkl").write_bytes(nest + (b"N" + b"s" + closing if closing else b"") + b".")
    with pytest.raises(ModelFileError):
        load_checkpoint(path)


def test_deep_nesting_inside_the_state(tmp_path: Path) -> None:
    data = b"}Vx\n" + b")" + b"\x85" * 200_000 + b"s."
    (path := tmp_path / "deep.pkl").write_bytes(data)
    with pytest.raises(ModelFileError, match="1 entries are not arrays by parameter name: x"):
        load_checkpoint(path)


def test_a_list_that_holds_itself() -> None:
    loaded = restricted_pickle.load(b"]\x94h\x00a.")
    assert isinstance(loaded, list)
    assert loaded[0] is loaded


def test_too_many_opcodes() -> None:
    refused(b"N" * restricted_pickle.MAX_OPCODES + b".", "more than 1000000 opcodes")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"text\n",
        b"\x00" * 100,
        b"\x80\x05",
        b"\x80\x63N.",
        b"(.",
        b"e.",
        b"h\x05.",
        b"NK\x01a.",
    ],
)
def test_what_is_no_pickle(data: bytes) -> None:
    refused(data)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_cut_anywhere(protocol: int) -> None:
    data = pickle.dumps({"a": np.arange(3.0), "b": [1, "x", 0.5, np.float32(1)]}, protocol)
    for length in range(len(data)):
        refused(data[:length])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_random_damage(protocol: int) -> None:
    whole = pickle.dumps({"a": np.arange(3.0), "b": OrderedDict(x=[1, (2, "x"), 0.5, np.float32(1)])}, protocol)
    generator = random.Random(protocol)
    for _ in range(600):
        data = bytearray(whole)
        for _ in range(generator.randint(1, 4)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        with contextlib.suppress(ModelFileError):  # and nothing else
            restricted_pickle.load(bytes(data))
