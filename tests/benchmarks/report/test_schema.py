"""docs/benchmark.md lists every entry of report.json with its type."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from danet_benchmarks.results import FORMAT_VERSION, Report

PAGE = Path(__file__).parents[3] / "docs" / "benchmark.md"
WORDS = {str: "text", int: "whole number", float: "number", bool: "true / false"}


def words(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return f"{words(arguments[0])} or null"
    if origin is Literal:
        return " / ".join(f'"{value}"' for value in arguments)
    if origin is tuple and arguments[-1] is Ellipsis:
        return f"list of {words(arguments[0])}"
    if origin is tuple:
        return f"[{', '.join(map(words, arguments))}]"
    return WORDS.get(kind) or str(kind.__name__)


def dataclasses_in(kind: Any) -> set[type[Any]]:
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return {kind}.union(*(dataclasses_in(hints[item.name]) for item in fields(kind)))
    return set().union(*map(dataclasses_in, get_args(kind)))


def test_every_entry_has_its_line_and_no_other() -> None:
    schema = PAGE.read_text(encoding="utf-8").partition("\n## report.json\n")[2]
    parts = re.split(r"\n### (\w+)\n", schema)
    documented = {
        name: re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", text, re.MULTILINE)
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }
    kinds = dataclasses_in(Report)
    assert set(documented) == {kind.__name__ for kind in kinds}
    for kind in kinds:
        hints = get_type_hints(kind)
        expected = [(item.name, words(hints[item.name])) for item in fields(kind)]
        assert [(name, types) for name, types, _ in documented[kind.__name__]] == expected
    assert f"of this schema: {FORMAT_VERSION}" in schema
