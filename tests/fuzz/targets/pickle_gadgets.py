"""Pickles that take over, or exhaust, a process that unpickles them: the known kinds, written by hand."""

from __future__ import annotations

import pickle
import struct
from collections import Counter, OrderedDict
from typing import Any

import numpy as np

_ID = b"echo owned > /tmp/danet-fuzz-owned"
F4 = b"cnumpy\ndtype\nX\x02\x00\x00\x00f4K\x00K\x01\x87R"
F4 += b"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
"""numpy.dtype("float32")."""
EMPTY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
"""An array that waits for its state."""


def _text(value: bytes) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value


def _called(module: bytes, name: bytes, argument: bytes = b"U" + bytes([len(_ID)]) + _ID) -> bytes:
    return b"c" + module + b"\n" + name + b"\n" + argument + b"\x85R."


class _Reduced:
    """Pickles as whatever it was given."""

    def __init__(self, *parts: Any) -> None:
        self._parts = parts

    def __reduce__(self) -> Any:
        return self._parts


def takeovers() -> dict[str, bytes]:
    """Each would run something of the file's choosing in `pickle.loads`, or in a guard with a hole."""
    names = (
        *(b"os.system", b"posix.system", b"nt.system", b"builtins.eval", b"builtins.exec", b"__builtin__.eval"),
        *(
            b"builtins.getattr",
            b"builtins.__import__",
            b"builtins.open",
            b"subprocess.Popen",
            b"subprocess.check_output",
        ),
        *(b"runpy.run_path", b"webbrowser.open", b"importlib.import_module", b"pickle.loads", b"shutil.rmtree"),
        *(b"operator.attrgetter", b"functools.partial", b"timeit.main", b"pdb.run", b"code.interact", b"ctypes.CDLL"),
        *(
            b"numpy.load",
            b"numpy.testing._private.utils.runstring",
            b"numpy.f2py.crackfortran.myeval",
            b"numpy.fromfile",
        ),
        *(b"torch.load", b"torch.hub.load", b"torch.storage._load_from_bytes", b"pty.spawn", b"bdb.Bdb.run"),
        *(b"numpy.core.multiarray._reconstruct.__globals__", b"collections.OrderedDict.fromkeys", b"_codecs.lookup"),
    )
    made = {f"global-{name.decode()}": _called(*name.rsplit(b".", 1)) for name in names}
    made["stack-global-os-system"] = b"\x80\x04" + _text(b"os") + _text(b"system") + b"\x93" + _text(_ID) + b"\x85R."
    made["stack-global-dotted"] = b"\x80\x04" + _text(b"numpy") + _text(b"ndarray.__reduce__") + b"\x93)R."
    made["stack-global-of-numbers"] = b"\x80\x04K\x01K\x02\x93."
    made["inst"] = b"(S'" + _ID + b"'\nios\nsystem\n."
    made["obj"] = b"(cos\nsystem\nS'" + _ID + b"'\no."
    made["newobj"] = b"\x80\x02cbuiltins\nobject\n)\x81."
    made["newobj-ex"] = b"\x80\x04cnumpy\nndarray\n)}\x92."
    made["ext1"], made["ext2"], made["ext4"] = (
        b"\x80\x02\x82\x01.",
        b"\x80\x02\x83\x01\x00.",
        b"\x80\x02\x84\x01\x00\x00\x00.",
    )
    made["persistent-id"], made["bin-persistent-id"] = b"Pstorage\n.", b"\x8c\x01a\x51."
    made["buffers"] = b"\x80\x05\x97\x98."
    made["build-on-dict"] = b"}}\x8c\x09__class__N\x73b."
    made["reduce-chain"] = pickle.dumps(_Reduced(eval, ("__import__('os')." + "system('id')",)), 2)
    made["reduce-with-state"] = pickle.dumps(_Reduced(Counter, (), {"a": 1}), 4)
    made["reduce-of-a-list"] = b"]cos\nsystem\na0]R."
    made["reconstruct-of-others"] = EMPTY.replace(b"numpy\nndarray", b"subprocess\nPopen") + b"."
    made["reconstruct-shape"] = EMPTY.replace(b"K\x00\x85", b"J\xff\xff\xff\x7f\x85") + b"."
    made["objects"] = pickle.dumps(np.array([_Reduced(print, ("x",))], object), 4)
    made["dtype-of-objects"] = F4.replace(b"f4", b"O8") + b"."
    return made


def bombs() -> dict[str, bytes]:
    """Each would take memory, time or the C stack out of all proportion to its size."""
    big = struct.pack("<Q", 1 << 62)
    tower = b"]\x94" + b"".join(b"](h" + bytes([one]) + b"h" + bytes([one]) + b"e\x94" for one in range(60)) + b"."
    return {
        "tower-of-lists": b"\x80\x04" + tower,
        "binput": b"K\x07r\xff\xff\xff\xff.",
        "put": b"K\x07p" + b"9" * 40 + b"\n.",
        "long4": b"\x8b\xff\xff\xff\x7fx.",
        "long4-negative": b"\x8b\xff\xff\xff\xffx.",
        "long-text": b"L" + b"9" * 5000 + b"L\n.",
        "binbytes8": b"\x80\x04\x8e" + big + b"x.",
        "binunicode8": b"\x80\x04\x8d" + big + b"x.",
        "bytearray8": b"\x80\x05\x96" + big + b"x.",
        "frame": b"\x80\x04\x95" + big + b"K\x01.",
        "binstring": b"T\xff\xff\xff\x7fx.",
        "nested-tuples": b")" + b"\x85" * 4000 + b".",
        "nested-key": b"}" + b")" + b"\x85" * 4000 + b"K\x01s.",
        "marks": b"(" * 4000 + b".",
        "self": b"]\x94h\x00a.",
        "shape": EMPTY + b"(K\x01(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ft" + F4 + b"\x89C\x04abcdtb.",
        "scalar": b"cnumpy.core.multiarray\nscalar\n" + F4 + b"C\x04\x00\x00\xc0\x7f\x86R.",
        "same-data": b"\x80\x04C\xff" + bytes(255) + b"\x94" + b"h\x00" * 900 + b".",
        "encode": b"c_codecs\nencode\nV" + b"\\u0100" * 50 + b"\nVlatin1\n\x86R.",
        "memo-of-others": b"h\x05.",
        "protocol-99": b"\x80\x63N.",
        "int-of-text": b"I" + b"9" * 4400 + b"\n.",
    }


def honest() -> dict[str, bytes]:
    """What a zoo file consists of, in every protocol."""
    arrays = {"a.weight": np.arange(6, dtype=np.float32).reshape(1, 2, 3), "b": np.float16([1]), "c": np.int64([3])}
    content = {"state_dict": OrderedDict(arrays), "epoch": 3, "name": ["x", 0.5, None, True, np.float32(2)]}
    made = {f"protocol-{one}": pickle.dumps(content, one) for one in range(6)}
    return made | {"fortran": pickle.dumps({"f": np.asfortranarray(np.ones((2, 3), ">f4"))}, 3)}
