from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest

from danet.errors import InputError, ModelSpecError
from danet.typed_values import TypedReader


@dataclass(frozen=True)
class Inner:
    names: tuple[str, ...]
    size: tuple[int, int] = (1, 2)


@dataclass(frozen=True)
class Outer:
    inner: Inner
    kind: Literal["a", "b"]
    ratio: float | None
    several: tuple[Inner, ...] = ()
    on: bool = True


WHOLE: dict[str, Any] = {
    "inner": {"names": ["x"], "size": [3, 4]},
    "kind": "a",
    "ratio": 1,
    "several": [{"names": [], "size": [5, 6]}],
    "on": False,
}


def test_whole() -> None:
    read = TypedReader(InputError, defaults=False).read(Outer, WHOLE, "here")
    assert read == Outer(Inner(("x",), (3, 4)), "a", 1.0, (Inner((), (5, 6)),), False)
    assert type(read.ratio) is float


def test_defaults_may_be_left_out_only_where_allowed() -> None:
    values = {"inner": {"names": []}, "kind": "b", "ratio": None}
    assert TypedReader(InputError).read(Outer, values, "here") == Outer(Inner(()), "b", None)
    with pytest.raises(InputError, match=r"^here: missing fields several, on$"):
        TypedReader(InputError, defaults=False).read(Outer, values, "here")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inner": []}, "here: inner: a list, expected an object"),
        ({"inner": {"size": [1, 2]}}, "here: inner: missing fields names"),
        ({"inner": {"names": [1]}}, r"here: inner: names\[0\]: a int, expected str"),
        ({"inner": {"names": "x"}}, "here: inner: names: a str, expected a list"),
        ({"inner": {"names": [], "size": [1]}}, "here: inner: size: 1 items, expected 2"),
        ({"inner": {"names": [], "size": [1, True]}}, r"here: inner: size\[1\]: a bool, expected int"),
        ({"kind": "c"}, "here: kind: 'c', expected one of a, b"),
        ({"ratio": "1"}, "here: ratio: a str, expected float"),
        ({"ratio": 10**400}, "here: ratio: "),
        ({"several": [{}]}, r"here: several\[0\]: missing fields names"),
        ({"on": 1}, "here: on: a int, expected bool"),
        ({"off": True, "aside": 1}, "here: unknown fields aside, off"),
    ],
)
def test_misfits_are_named(changes: dict[str, Any], message: str) -> None:
    for kind in (InputError, ModelSpecError):
        with pytest.raises(kind, match=f"^{message}"):
            TypedReader(kind).read(Outer, {**WHOLE, **changes}, "here")
