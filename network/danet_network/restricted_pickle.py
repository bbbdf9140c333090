"""Reading a pickle of numpy arrays from an untrusted source, without running what it names.

A guarded `pickle.Unpickler` would still call numpy's `__setstate__` methods with arguments of the
file's choosing, and allocate what the file asks for. This is an interpreter of its own for the part
of the pickle language (CPython's `pickletools` describes it) that dicts of arrays need: nothing is
imported, no attribute is looked up, no method of a loaded object is called. The few callables that
numpy's pickles name are looked up in a literal table and stand for functions of this file.
"""

from __future__ import annotations

import math
import pickletools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from danet.errors import ModelFileError

MAX_PICKLE_BYTES = 1 << 28
"""The largest zoo file takes about 25 MB."""
MAX_OPCODES = 1_000_000
"""The largest zoo file takes about 60,000; a container costs some 64 bytes of memory for its opcode's one."""
_COPIES = 4
"""Bytes that may be copied out of the file, in file sizes. An honest file needs two (text to bytes, bytes
to array); a file that builds many arrays from one remembered string is stopped here."""
_NEWEST_PROTOCOL = 5
_DTYPES = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"})


def _refuse(what: str) -> NoReturn:
    raise ModelFileError(
        f"pickle refused: {what}; a checkpoint of the zoo holds numeric numpy arrays, dicts, lists and numbers only"
    )


def _damaged(what: str) -> NoReturn:
    raise ModelFileError(f"pickle damaged: {what}; download the file again")


@dataclass(frozen=True)
class _Callable:
    """Stands for a callable that a pickle may name."""

    make: Callable[[_Machine, tuple[Any, ...]], object]


@dataclass(eq=False)
class _Unbuilt:
    """What REDUCE leaves of an array or dtype until BUILD brings its content, once."""

    build: Callable[[_Machine, Any], object]
    memo: list[int] = field(default_factory=list)
    """Where the memo holds it."""
    built: bool = False


class _Machine:
    """Stack, marks and memo of the pickle language."""

    def __init__(self, file_size: int) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.copies_left = _COPIES * file_size

    def top(self) -> Any:
        """The value on top, which must lie above the last mark."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            _damaged("an opcode finds no value on the stack")
        return self.stack[-1]

    def pop(self) -> Any:
        """Take the value on top."""
        self.top()
        return self.stack.pop()

    def pop_many(self, count: int) -> list[Any]:
        """Take the `count` values on top, lowest first."""
        return [self.pop() for _ in range(count)][::-1]

    def pop_to_mark(self) -> list[Any]:
        """Take the values above the last mark, and the mark."""
        if not self.marks:
            _damaged("an opcode finds no mark on the stack")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def remember(self, index: int) -> None:
        """Put the value on top into the memo."""
        value = self.top()
        self.memo[index] = value
        if isinstance(value, _Unbuilt):
            value.memo.append(index)

    def recall(self, index: int) -> None:
        """Push a value of the memo."""
        if index not in self.memo:
            _damaged(f"memo entry {index} is used before it is set")
        self.stack.append(self.memo[index])

    def charge(self, size: int) -> None:
        """Account for bytes that are about to be copied."""
        self.copies_left -= size
        if self.copies_left < 0:
            _refuse("its arrays together are larger than the file")


def _array(machine: _Machine, data: object, dtype: object, shape: object, order: object) -> NDArray[np.generic]:
    """An array that owns its data, C order, native byte order; every argument comes from the file."""
    if not isinstance(dtype, np.dtype):
        _refuse("an array without a numeric dtype")
    if type(data) not in (bytes, bytearray):
        _refuse(f"an array whose data is a {type(data).__name__}, not bytes")
    if not isinstance(shape, tuple) or len(shape) > 8:
        _refuse("an array whose shape is no tuple of up to 8 sizes")
    if not all(type(side) is int and 1 <= side < 1 << 31 for side in shape):
        _refuse("an array whose shape holds something other than sizes from 1 to 2**31")
    assert isinstance(data, bytes | bytearray)
    if math.prod(shape) * dtype.itemsize != len(data):
        _damaged(f"an array of shape {shape} and dtype {dtype} with {len(data)} bytes of data")
    if not isinstance(order, str) or order not in ("C", "F"):
        _refuse("an array in neither C nor Fortran order")
    machine.charge(len(data))
    values = np.frombuffer(data, dtype).reshape(shape, order="F" if order == "F" else "C")
    return np.array(values, dtype.newbyteorder("="), order="C")


def _reconstruct(machine: _Machine, arguments: tuple[Any, ...]) -> object:
    """`numpy._core.multiarray._reconstruct(numpy.ndarray, (0,), b"b")`: the array that BUILD fills."""
    del machine
    if len(arguments) != 3 or arguments[0] is not _NDARRAY or arguments[1:] != ((0,), b"b"):
        _refuse("_reconstruct of something other than an empty numpy.ndarray")
    return _Unbuilt(_array_state)


def _array_state(machine: _Machine, state: Any) -> object:
    if type(state) is not tuple or len(state) != 5 or type(state[0]) is not int or state[0] != 1:
        _refuse("a numpy.ndarray with an unknown kind of state")
    _, shape, dtype, fortran, data = state
    if type(fortran) not in (bool, int):  # comparing an array with a number takes a step for each of its values
        _refuse(f"an array whose order is a {type(fortran).__name__}")
    return _array(machine, data, dtype, shape, "F" if fortran == 1 else "C")


def _dtype(machine: _Machine, arguments: tuple[Any, ...]) -> object:
    """`numpy.dtype("f4", False, True)`; BUILD brings the byte order."""
    del machine
    if len(arguments) != 3 or not isinstance(arguments[0], str) or arguments[0] not in _DTYPES:
        code = arguments[0] if arguments and isinstance(arguments[0], str) else "?"
        _refuse(f"numpy.dtype {code[:40]!a}, which is not one of {', '.join(sorted(_DTYPES))}")
    code = arguments[0]
    return _Unbuilt(lambda _, state: _dtype_state(code, state))


def _dtype_state(code: str, state: Any) -> object:
    plain = (None, None, None, -1, -1, 0)  # no subarray, names, fields, size or alignment of its own, no flags
    if type(state) is not tuple or len(state) != 8 or state[0] != 3 or state[2:] != plain:
        _refuse(f"numpy.dtype {code} with fields, metadata or an unknown kind of state")
    if not isinstance(state[1], str) or state[1] not in ("<", ">", "|", "="):
        _refuse(f"numpy.dtype {code} with an unknown byte order")
    return np.dtype(code).newbyteorder(state[1])  # type: ignore[arg-type]


def _scalar(machine: _Machine, arguments: tuple[Any, ...]) -> object:
    """`numpy._core.multiarray.scalar(dtype, data)`."""
    if len(arguments) != 2:
        _refuse("a numpy scalar without data")
    return _array(machine, arguments[1], arguments[0], (), "C")[()]


def _frombuffer(machine: _Machine, arguments: tuple[Any, ...]) -> object:
    """`numpy._core.numeric._frombuffer(data, dtype, shape, order)`, as protocol 5 writes arrays."""
    if len(arguments) != 4:
        _refuse("_frombuffer with other arguments than data, dtype, shape and order")
    data, dtype, shape, order = arguments
    return _array(machine, data, dtype, shape, order)


def _encode(machine: _Machine, arguments: tuple[Any, ...]) -> object:
    """`_codecs.encode(text, "latin1")`: how protocols 0 to 2 write bytes."""
    if len(arguments) != 2 or not isinstance(arguments[0], str) or arguments[1:] != ("latin1",):
        _refuse("_codecs.encode of something other than text to latin1")
    machine.charge(len(arguments[0]))
    return arguments[0].encode("latin1")


def _ordered_dict(machine: _Machine, arguments: tuple[Any, ...]) -> object:
    del machine
    if arguments:
        _refuse("collections.OrderedDict with arguments")
    return OrderedDict()


def _type_only(machine: _Machine, arguments: tuple[Any, ...]) -> object:
    del machine, arguments
    _refuse("numpy.ndarray is called directly")


_NDARRAY = _Callable(_type_only)
_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): _Callable(_reconstruct),
    ("numpy._core.multiarray", "_reconstruct"): _Callable(_reconstruct),
    ("numpy.core.multiarray", "scalar"): _Callable(_scalar),
    ("numpy._core.multiarray", "scalar"): _Callable(_scalar),
    ("numpy.core.numeric", "_frombuffer"): _Callable(_frombuffer),
    ("numpy._core.numeric", "_frombuffer"): _Callable(_frombuffer),
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Callable(_dtype),
    ("collections", "OrderedDict"): _Callable(_ordered_dict),
    ("_codecs", "encode"): _Callable(_encode),
}


def _push(machine: _Machine, value: Any) -> None:
    machine.stack.append(value)


def _push_integer(machine: _Machine, value: int) -> None:
    if not -(1 << 63) <= value < 1 << 64:
        _refuse("an integer beyond 64 bits")
    machine.stack.append(value)


def _protocol(machine: _Machine, version: int) -> None:
    del machine
    if version > _NEWEST_PROTOCOL:
        _refuse(f"protocol {version}, expected at most {_NEWEST_PROTOCOL}")


def _named(machine: _Machine, module: object, name: object) -> None:
    if not isinstance(module, str) or not isinstance(name, str):
        _refuse("a name that is not text")
    if (module, name) not in _NAMES:
        _refuse(f"it asks for {f'{module}.{name}'[:200]!a}")
    machine.stack.append(_NAMES[module, name])


def _global(machine: _Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    _named(machine, module, name)


def _instance(machine: _Machine, argument: str) -> None:
    del machine
    _refuse(f"it asks for an instance of {argument.replace(' ', '.')[:200]!a}")


def _reduce(machine: _Machine) -> None:
    function, arguments = machine.pop_many(2)
    if not isinstance(function, _Callable) or type(arguments) is not tuple:
        _refuse(f"a call of a {type(function).__name__}")
    machine.stack.append(function.make(machine, arguments))


def _build(machine: _Machine) -> None:
    target, state = machine.pop_many(2)
    if not isinstance(target, _Unbuilt):
        _refuse(f"a state set on a {type(target).__name__}")
    if target.built:  # in as many steps as the memo holds it, so any number of times would be quadratic
        _damaged("the state of one array or dtype is set twice")
    target.built = True
    value = target.build(machine, state)
    machine.stack.append(value)
    machine.memo.update(dict.fromkeys(target.memo, value))


def _set_items(machine: _Machine, items: list[Any]) -> None:
    target = machine.top()
    if type(target) not in (dict, OrderedDict) or len(items) % 2:
        _damaged("items set on something other than a dict")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if type(key) not in (str, int):  # hashing a deeply nested tuple would overflow the C stack
            _refuse(f"a dict with a {type(key).__name__} for a key")
        target[key] = value


def _dict(machine: _Machine) -> None:
    items = machine.pop_to_mark()
    machine.stack.append({})
    _set_items(machine, items)


def _extend(machine: _Machine, items: list[Any]) -> None:
    target = machine.top()
    if type(target) is not list:
        _damaged("items appended to something other than a list")
    target.extend(items)


_TEXTS = ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
_BYTES = ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8")
_INTEGERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4")
_WITH_ARGUMENT: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys((*_TEXTS, *_BYTES, "FLOAT", "BINFLOAT"), _push),
    **dict.fromkeys(_INTEGERS, _push_integer),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.remember),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.recall),
    "PROTO": _protocol,
    "GLOBAL": _global,
    "INST": _instance,
}
_PLAIN: dict[str, Callable[[_Machine], None]] = {
    "NONE": lambda machine: _push(machine, None),
    "NEWTRUE": lambda machine: _push(machine, True),
    "NEWFALSE": lambda machine: _push(machine, False),
    "EMPTY_DICT": lambda machine: _push(machine, {}),
    "EMPTY_LIST": lambda machine: _push(machine, []),
    "EMPTY_TUPLE": lambda machine: _push(machine, ()),
    "TUPLE1": lambda machine: _push(machine, tuple(machine.pop_many(1))),
    "TUPLE2": lambda machine: _push(machine, tuple(machine.pop_many(2))),
    "TUPLE3": lambda machine: _push(machine, tuple(machine.pop_many(3))),
    "TUPLE": lambda machine: _push(machine, tuple(machine.pop_to_mark())),
    "LIST": lambda machine: _push(machine, machine.pop_to_mark()),
    "DICT": _dict,
    "MARK": lambda machine: machine.marks.append(len(machine.stack)),
    "MEMOIZE": lambda machine: machine.remember(len(machine.memo)),
    "STACK_GLOBAL": lambda machine: _named(machine, *machine.pop_many(2)),
    "REDUCE": _reduce,
    "BUILD": _build,
    "SETITEM": lambda machine: _set_items(machine, machine.pop_many(2)),
    "SETITEMS": lambda machine: _set_items(machine, machine.pop_to_mark()),
    "APPEND": lambda machine: _extend(machine, machine.pop_many(1)),
    "APPENDS": lambda machine: _extend(machine, machine.pop_to_mark()),
}
_NO_EFFECT = frozenset({"FRAME", "STOP"})


def _run(data: bytes) -> object:
    machine = _Machine(len(data))
    for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if count >= MAX_OPCODES:
            _refuse(f"more than {MAX_OPCODES} opcodes")
        if opcode.name in _WITH_ARGUMENT:
            _WITH_ARGUMENT[opcode.name](machine, argument)
        elif opcode.name in _PLAIN:
            _PLAIN[opcode.name](machine)
        elif opcode.name not in _NO_EFFECT:
            _refuse(f"opcode {opcode.name}" if argument is None else f"opcode {opcode.name} {ascii(argument)[:200]}")
    return machine.pop()


def load(data: bytes) -> object:
    """What a pickle of arrays and plain containers holds.

    Admitted: dicts (keys: text or integers), OrderedDicts, lists, tuples, text, bytes, numbers, and
    numpy arrays and scalars of float16/32/64 or integers, which come back in native byte order and
    C order, owning their data. Protocols 0 to 5.

    Raises:
        ModelFileError: anything else, with the name that the pickle asked for; or data that is no
            pickle, is cut short, or builds more than `MAX_PICKLE_BYTES` and `MAX_OPCODES` allow.
    """
    if len(data) > MAX_PICKLE_BYTES:
        _refuse(f"{len(data)} bytes, expected at most {MAX_PICKLE_BYTES}")
    try:
        return _run(data)
    except ModelFileError:
        raise
    except Exception as error:  # pickletools and numpy raise many kinds on malformed input
        raise ModelFileError(
            f"no whole pickle ({type(error).__name__}: {str(error)[:160]!a}); download the file again"
        ) from error
