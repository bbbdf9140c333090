"""From parsed JSON to annotated dataclasses, refusing whatever does not fit its annotation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from functools import lru_cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from danet.errors import DanetError

T = TypeVar("T")

_LONGEST_INTEGER = 512
"""Bits of what is written out; Python refuses to write one of more than 4,300 digits."""


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An `object_pairs_hook` of json.loads: of two entries of one name readers take different ones.

    Raises:
        ValueError: a key comes twice.
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        twice = next(key for key, number in Counter(key for key, _ in pairs).items() if number > 1)
        raise ValueError(f"the key {twice[:80]!a} comes twice")
    return values


def shown(value: object) -> str:
    """A value of a file for a message: short, and its type alone where it is none of a line."""
    if isinstance(value, int) and value.bit_length() > _LONGEST_INTEGER:
        return f"an integer of {value.bit_length()} bits"
    plain = value is None or isinstance(value, bool | int | float | str)
    return ascii(value)[:200] if plain else f"a {type(value).__name__}"


@lru_cache
def _hints(kind: Hashable) -> dict[str, Any]:
    return get_type_hints(kind)


def _as_parsed(value: Any) -> Any:
    """Values that were made in code, as JSON would give them; dataclasses stay."""
    if hasattr(value, "tolist"):  # arrays and numbers of NumPy
        return value.tolist()
    return [_as_parsed(one) for one in value] if isinstance(value, tuple | list) else value


@dataclass(frozen=True)
class TypedReader:
    """Builds frozen dataclasses of numbers, texts, tuples and each other; `X | None` and Literals too."""

    error: type[DanetError]
    """What a misfit raises, with the place of the misfit in its text."""
    defaults: bool = True
    """Whether a field with a default may be left out."""

    def read(self, kind: type[T], value: object, where: str) -> T:
        """An instance of the dataclass `kind`; `where` is what messages call the value.

        Raises:
            DanetError: of the kind `error`, for unknown, missing and wrongly typed entries.
        """
        instance = self._read_dataclass(kind, value, where)
        assert isinstance(instance, kind)
        return instance

    def fit(self, kind: type[Any], instance: Any, where: str) -> None:
        """Make the fields that a dataclass has of `kind` what they are annotated as: tuples of lists, plain numbers of
        NumPy's. Dataclasses within are left as they are, and replaced where something in them changes.

        Raises:
            DanetError: of the kind `error`, for a field that is something else.
        """
        for name, value in self._fitting(kind, instance, where).items():
            object.__setattr__(instance, name, value)

    def _fitting(self, kind: type[Any], instance: Any, where: str) -> dict[str, Any]:
        """The fields that change, by name."""
        values = {name: getattr(instance, name) for name in _hints(cast(Hashable, kind))}
        fitted = {
            name: self._read(_hints(cast(Hashable, kind))[name], _as_parsed(value), f"{where}: {name}")
            for name, value in values.items()
        }
        return {name: value for name, value in fitted.items() if repr(value) != repr(values[name])}

    def _read(self, kind: Any, value: Any, where: str) -> Any:
        if is_dataclass(kind) and isinstance(kind, type):
            if isinstance(value, kind):
                changed = self._fitting(kind, value, where)
                return replace(cast(Any, value), **changed) if changed else value
            return self._read_dataclass(kind, value, where)
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (Union, UnionType):
            return None if value is None else self._read(arguments[0], value, where)
        if origin is Literal:
            if value not in arguments:
                raise self.error(f"{where}: {shown(value)}, expected one of {', '.join(map(str, arguments))}")
            return value
        if origin is tuple:
            return self._read_tuple(arguments, value, where)
        return self._read_scalar(kind, value, where)

    def _read_scalar(self, kind: type[Any], value: Any, where: str) -> Any:
        if kind is float and type(value) is int:  # JSON writes 1.0 as 1 in many languages
            try:
                return float(value)
            except OverflowError as error:
                raise self.error(f"{where}: {error}") from error
        if type(value) is not kind:  # a bool is no int here
            raise self.error(f"{where}: a {type(value).__name__}, expected {kind.__name__}")
        return value

    def _read_tuple(self, arguments: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise self.error(f"{where}: a {type(value).__name__}, expected a list")
        kinds = (arguments[0],) * len(value) if arguments[-1] is Ellipsis else arguments
        if len(kinds) != len(value):
            raise self.error(f"{where}: {len(value)} items, expected {len(kinds)}")
        return tuple(
            self._read(kind, item, f"{where}[{index}]")
            for index, (kind, item) in enumerate(zip(kinds, value, strict=True))
        )

    def _read_dataclass(self, kind: type[Any], value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise self.error(f"{where}: a {type(value).__name__}, expected an object")
        hints = _hints(cast(Hashable, kind))
        if unknown := sorted(set(value) - {item.name for item in fields(kind)}):
            raise self.error(f"{where}: unknown fields {', '.join(ascii(name)[1:-1] for name in unknown)[:200]}")
        if missing := [item.name for item in fields(kind) if self._needs(item) and item.name not in value]:
            raise self.error(f"{where}: missing fields {', '.join(missing)}")
        return kind(**{name: self._read(hints[name], item, f"{where}: {name}") for name, item in value.items()})

    def _needs(self, item: Any) -> bool:
        return not self.defaults or (item.default is MISSING and item.default_factory is MISSING)
