"""Reading what torch.save wrote, from an untrusted source.

PyTorch's weights-only reader runs nothing of the file's choosing, but it admits calls and shapes of data that take
gigabytes or hours from a file of a kilobyte. So the pickle is looked at first, and PyTorch gets an archive that is
written anew of what was looked at: of two entries of one name, or of two directories, zip readers take different ones.
"""

from __future__ import annotations

import io
import math
import pickletools
import zipfile
from typing import Any

import torch

from danet.errors import ModelFileError

MAX_OPCODES = 2_000_000
"""A training state of danet72 takes 160,000."""
_STORAGES = ("BFloat16", "Bool", "Byte", "Char", "ComplexDouble", "ComplexFloat", "Double", "Float", "Half", "Int")
_GLOBALS = {
    "collections OrderedDict",
    "torch Size",
    "torch device",
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_tensor_v2",
    *(f"torch {kind}Storage" for kind in (*_STORAGES, "Long", "Short")),
    *(str(value).replace(".", " ") for value in vars(torch).values() if isinstance(value, torch.dtype)),
}
"""What dicts of tensors, numbers and text name. All that PyTorch admits besides, its tensor classes for instance, can
be called with arguments of the file's."""
_PUTS = ("BINPUT", "LONG_BINPUT")
_GETS = ("BINGET", "LONG_BINGET")
_PLAIN = ("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE")
_GIVES = (*_PLAIN, "SHORT_BINSTRING", "EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE", "GLOBAL")
_TAKES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "REDUCE": 2, "BINPERSID": 1, "APPEND": 1, "SETITEM": 2, "BUILD": 1}
_TAKES_TO_MARK = ("TUPLE", "APPENDS", "SETITEMS")
_FILLS = ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "BUILD")
"""Of those that take values: they put them into the one below; the others make one that holds them."""
_OPCODES = {*_PUTS, *_GETS, *_GIVES, *_TAKES, *_TAKES_TO_MARK, "MARK", "PROTO", "STOP"}


EXTRACT = "if you trust its maker, take the weights out with torch: docs/conversion.md, Files that are refused"


class _Holder(list["_Holder"]):
    """Stands for a value of the pickle: those that it holds."""

    __slots__ = ()


def load(data: bytes) -> object:
    """What a file of torch.save holds: dicts, lists, tuples, numbers, text and tensors on the CPU.

    Raises:
        ModelFileError: it holds something else, or values that hold each other many times over.
        Exception: of many kinds, by zipfile and PyTorch: it is damaged.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        unpacked = sum(entry.file_size for entry in entries)
        if unpacked > len(data):  # torch.save does not compress, so this would be a zip bomb
            raise ModelFileError(f"a PyTorch file of {len(data)} bytes that unpacks to {unpacked}, refused")
        if len({entry.filename.lower() for entry in entries}) < len(entries):  # PyTorch's reader takes capitals as well
            raise ModelFileError("a PyTorch file with two entries of one name, refused; save it again with torch.save")
        checked = io.BytesIO()
        with zipfile.ZipFile(checked, "w") as copy:
            for entry in entries:
                content = archive.read(entry)  # looks at its checksum, as torch.load does not
                if entry.filename.lower().endswith("data.pkl"):
                    _refuse_multipliers(content)
                copy.writestr(zipfile.ZipInfo(entry.filename), content)
    checked.seek(0)
    return torch.load(checked, map_location="cpu", weights_only=True)


def _refuse_multipliers(pickled: bytes) -> None:
    """Refuse what takes more time or memory than a file of tensors of this size would."""
    if _walk_length(_outline(pickled)) > MAX_OPCODES:
        raise ModelFileError("a PyTorch file whose values hold each other many times over, refused; save tensors only")


def _outline(pickled: bytes) -> _Holder:
    """Which value of a pickle holds which, as PyTorch's unpickler would build them."""
    stack, marks, memo = _Holder(), list[int](), dict[Any, _Holder]()
    for count, (opcode, argument, _) in enumerate(pickletools.genops(pickled)):
        name = opcode.name
        _refuse_foreign(count, name, argument)
        if name in _GIVES:
            stack.append(_Holder())
        elif name in _TAKES or name in _TAKES_TO_MARK:
            start = len(stack) - _TAKES[name] if name in _TAKES else marks.pop()
            taken = _Holder(stack[start:])
            del stack[start:]
            if name in _FILLS:
                stack[-1].extend(taken)
            else:
                stack.append(taken)
        elif name in _PUTS:
            memo[argument] = stack[-1]
        elif name in _GETS:
            stack.append(memo[argument])
        elif name == "MARK":
            marks.append(len(stack))
    return stack


def _refuse_foreign(count: int, opcode: str, argument: Any) -> None:
    if count >= MAX_OPCODES:
        raise ModelFileError(f"a PyTorch file of more than {MAX_OPCODES} opcodes, refused; save tensors only")
    if opcode not in _OPCODES:
        raise ModelFileError(
            f"a PyTorch file whose pickle holds the opcode {opcode}, refused; save it again with torch.save, whose "
            f"pickle_protocol is 2; {EXTRACT}"
        )
    if opcode == "GLOBAL" and argument not in _GLOBALS:
        raise ModelFileError(
            f"a PyTorch file that holds {argument.replace(' ', '.')[:200]}, refused: expected tensors, numbers, text, "
            f"dicts and lists only; save {{'model': net.state_dict()}}; {EXTRACT}"
        )


def _walk_length(root: _Holder) -> float:
    """How many values a walk through `root` meets, each as often as it is held; infinite if one holds itself."""
    lengths: dict[int, float] = {}
    begun: set[int] = set()
    todo = [root]
    while todo:
        value = todo[-1]
        waiting = [] if id(value) in lengths else [held for held in value if id(held) not in lengths]
        if not waiting:
            todo.pop()
            if id(value) not in lengths:
                lengths[id(value)] = 1.0 + sum(lengths[id(held)] for held in value)
        elif id(value) in begun:
            return math.inf
        else:
            begun.add(id(value))
            todo.extend(waiting)
    return lengths[id(root)]
