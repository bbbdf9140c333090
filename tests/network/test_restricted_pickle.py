from __future__ import annotations

import builtins
import copyreg
import functools
import importlib
import operator
import os
import pickle
import struct
import subprocess
from collections import OrderedDict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danet.errors import ModelFileError
from danet_network import restricted_pickle
from danet_network.checkpoint import load_checkpoint

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> Any:
        return self.reduced


def refused(data: bytes, *parts: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        restricted_pickle.load(data)
    text = str(caught.value)
    assert "\n" not in text
    for part in parts:
        assert part in text


# What is admitted


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_containers(protocol: int) -> None:
    value = {
        "a": [1, -2, 2**40, -(2**63), 2**64 - 1, 0.5, None, True, False, "text \u00e9", b"\x00\xff"],
        "b": OrderedDict(x=(), y=(1,), z=(1, 2, 3, 4), w=((1, 2), (1, 2, 3))),
        3: {"shared": ["x"] * 3, "empty": [{}, []]},
        "many": list(range(3000)),
    }
    value["again"] = value["b"]
    loaded = restricted_pickle.load(pickle.dumps(value, protocol))
    assert loaded == value
    assert isinstance(loaded, dict)
    assert type(loaded["b"]) is OrderedDict
    assert loaded["again"] is loaded["b"]


ARRAYS = {
    "float16": np.arange(3, dtype=np.float16),
    "float32": np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 4),
    "float64 of one": np.float64([[7.5]]),
    "scalar array": np.array(3.5, np.float32),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(12.0)[::2],
    "big endian": np.arange(5, dtype=">f4"),
    "read only": np.frombuffer(b"\x00\x00\x80?", np.float32),
    **{kind: np.arange(4).astype(kind) for kind in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64")},
    "uint64": np.array([2**64 - 1], np.uint64),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays(name: str, protocol: int) -> None:
    array = ARRAYS[name]
    loaded = restricted_pickle.load(pickle.dumps({"a": array, "b": [array]}, protocol))
    assert isinstance(loaded, dict)
    found = loaded["a"]
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype.newbyteorder("=")
    assert found.flags.owndata
    assert found.flags.c_contiguous
    assert found.flags.writeable
    assert loaded["b"][0] is found


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_scalars(protocol: int) -> None:
    loaded = restricted_pickle.load(pickle.dumps([np.float32(1.5), np.int64(-3)], protocol))
    assert loaded == [1.5, -3]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_module_names_of_numpy_1(protocol: int) -> None:
    data = pickle.dumps({"a": np.arange(3.0), "s": np.float64(2)}, protocol, fix_imports=False)
    if protocol < 4:
        data = data.replace(b"numpy._core.", b"numpy.core.")
    else:  # text with its length, in a frame with its length
        for module in (b"multiarray", b"numeric"):
            new, old = b"numpy._core." + module, b"numpy.core." + module
            data = data.replace(bytes([len(new)]) + new, bytes([len(old)]) + old)
        data = data[:3] + struct.pack("<Q", len(data) - 11) + data[11:]
    assert b"numpy._core" not in data
    loaded = restricted_pickle.load(data)
    assert isinstance(loaded, dict)
    np.testing.assert_array_equal(loaded["a"], np.arange(3.0))


# What is refused: calls


def gadgets(sentinel: Path) -> dict[str, Call]:
    """Calls that would create the sentinel or are steps on the way, by the name that must be in the message."""
    command = f"touch {sentinel}"
    code = f"__import__('os').mkdir({str(sentinel)!r})"
    return {
        f"{os.system.__module__}.system": Call(os.system, command),
        "subprocess.Popen": Call(subprocess.Popen, ["touch", str(sentinel)]),
        "subprocess.check_output": Call(subprocess.check_output, ["touch", str(sentinel)]),
        "eval": Call(builtins.eval, code),
        "exec": Call(builtins.exec, code),
        "getattr": Call(builtins.getattr, Path, "touch"),
        "open": Call(open, str(sentinel), "w"),
        "__import__": Call(builtins.__import__, "os"),
        "importlib.import_module": Call(importlib.import_module, "os"),
        "attrgetter": Call(operator.attrgetter, "system"),
        "methodcaller": Call(operator.methodcaller, "touch"),
        "functools.partial": Call(functools.partial, os.system, command),
        "_reconstructor": Call(copyreg._reconstructor, Path, object, None),  # type: ignore[attr-defined]
        "numpy.load": Call(np.load, str(sentinel), None, True),
        "memmap": Call(np.memmap, str(sentinel), "u1", "w+", 0, (4,)),
        "fromfile": Call(np.fromfile, str(sentinel)),
        "numpy.save": Call(np.save, str(sentinel), 1),
        f"{os.mkdir.__module__}.mkdir": Call(os.mkdir, str(sentinel)),
        "runstring": Call(np.testing.runstring, code, {}),
        "ndarray": Call(np.ndarray, (1 << 40,)),
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_gadgets(tmp_path: Path, protocol: int) -> None:
    sentinel = tmp_path / "sentinel"
    for name, gadget in gadgets(sentinel).items():
        for value in (gadget, {"fp.head.0.weight": gadget}, [np.zeros(2), (gadget,)]):
            refused(pickle.dumps(value, protocol, fix_imports=False), name)
            assert not sentinel.exists(), name


def test_the_gadgets_work_where_they_are_let(tmp_path: Path) -> None:
    for name in (f"{os.system.__module__}.system", "subprocess.check_output", "exec", "memmap", "runstring"):
        sentinel = tmp_path / f"{name}.npy"
        pickle.loads(pickle.dumps(gadgets(sentinel)[name]))
        assert sentinel.exists(), name


def test_a_gadget_in_a_checkpoint_file(tmp_path: Path) -> None:
    sentinel = tmp_path / "sentinel"
    path = tmp_path / "danet72_256x192_69_8.pkl"
    path.write_bytes(pickle.dumps({"state_dict": Call(os.system, f"touch {sentinel}")}))
    with pytest.raises(ModelFileError, match=r"danet72_256x192_69_8\.pkl: pickle refused: it asks for '\w+\.system'"):
        load_checkpoint(path)
    assert not sentinel.exists()


NAMES = [
    ("os", "system"),
    ("nt", "system"),
    ("builtins", "eval"),
    ("__builtin__", "apply"),
    ("numpy", "ndarray.__setstate__"),
    ("numpy", "load"),
    ("numpy", "core.multiarray._reconstruct"),
    ("numpy.core", "multiarray._reconstruct"),
    ("numpy.core.multiarray", "_reconstruct.__globals__"),
    ("numpy.core.multiarray", "os.system"),
    ("numpy._core.multiarray", "fromfile"),
    ("numpy.testing._private.utils", "runstring"),
    ("numpy.f2py.crackfortran", "myeval"),
    ("numpy.lib.npyio", "load"),
    ("numpy.ma.core", "_mareconstruct"),
    ("collections", "OrderedDict.__reduce__"),
    ("collections", "namedtuple"),
    ("_codecs", "decode"),
    ("codecs", "encode"),
    ("copyreg", "_reconstructor"),
    ("copyreg", "__newobj__"),
    ("torch", "load"),
    ("torch.storage", "_load_from_bytes"),
    ("danet_network.restricted_pickle", "load"),
    ("pickle", "loads"),
    ("", ""),
]


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_names_in_every_way_of_asking(module: str, name: str) -> None:
    def text(value: str) -> bytes:
        return b"\x8c" + bytes([len(value)]) + value.encode()

    asked = f"{module}.{name}"
    line = f"{module}\n{name}\n".encode()
    refused(b"c" + line + b"(Vx\ntR.", asked)  # GLOBAL
    refused(b"\x80\x04" + text(module) + text(name) + b"\x93.", asked)  # STACK_GLOBAL
    refused(b"\x80\x04" + text(name) + b"\x94" + text(module) + b"h\x00\x93.", asked)  # through the memo
    refused(b"(Vx\ni" + line + b".", asked)  # INST
    refused(b"(c" + line + b"Vx\no.", asked)  # OBJ
    refused(b"\x80\x02c" + line + b")\x81.", asked)  # NEWOBJ


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"\x82\x01.", "EXT1"),
        (b"\x83\x01\x00.", "EXT2"),
        (b"\x84\x01\x00\x00\x00.", "EXT4"),
        (b"Pobject\n.", "PERSID"),
        (b"Vobject\nQ.", "BINPERSID"),
        (b"inumpy\nndarray\n.", "numpy.ndarray"),
        (b"(cnumpy\nndarray\no.", "OBJ"),
        (b"\x80\x02cnumpy\nndarray\n)\x81.", "NEWOBJ"),
        (b"\x80\x04cnumpy\nndarray\n)}\x92.", "NEWOBJ_EX"),
        (b"\x80\x05\x97.", "NEXT_BUFFER"),
        (b"}}b.", "a state set on a dict"),
        (b"ccollections\nOrderedDict\n)R}b.", "a state set on a OrderedDict"),
        (b"ccollections\nOrderedDict\n}b.", "a state set on a _Callable"),
        (b"Vx\n)R.", "a call of a str"),
        (b"Vx\n)\x93.", "a name that is not text"),
        (b"ccollections\nOrderedDict\n(](V\ntR.", ""),
        (b"ccollections\nOrderedDict\n(Nt R.", ""),
        (b"c_codecs\nencode\n(Vx\nVrot13\ntR.", "_codecs.encode"),
        (b"(((ttK\x01d.", "a dict with a tuple for a key"),
        (b"S'python 2'\n.", "STRING"),
        (b"\x8a\x09" + b"\xff" * 8 + b"\x7f.", "an integer beyond 64 bits"),
    ],
)
def test_opcodes(data: bytes, part: str) -> None:
    refused(data, part)


def test_persistent_ids() -> None:
    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return "an id" if isinstance(obj, Path) else None

    Pickler(file := BytesIO(), 2).dump({"a": Path()})
    refused(file.getvalue(), "BINPERSID")
