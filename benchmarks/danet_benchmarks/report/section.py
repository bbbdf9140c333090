"""One table of the report: ready texts, that terminal, Markdown and HTML set each in their way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from danet_benchmarks.results import Row


@dataclass(frozen=True)
class Column:
    """One column of a section."""

    heading: str
    """May have a line break."""
    rank: int = 0
    """0: always shown; of the others the highest goes first where the terminal is narrow."""
    right: bool = True
    """Whether its texts are numbers, aligned to the right."""


@dataclass(frozen=True)
class Section:
    """A titled table; each of `rows` has a text for each column."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""

    @property
    def headed(self) -> bool:
        """Whether any column has a heading."""
        return any(column.heading for column in self.columns)


Part = tuple[Column, Callable[[Row], str]]
"""A column and what it says of a row."""


def section_of(title: str, rows: Iterable[Row], parts: Iterable[Part], caption: str = "") -> Section:
    """A line for each row; lines that would read the same appear once."""
    columns, cells = zip(*parts, strict=True)
    texts = dict.fromkeys(tuple(cell(row) for cell in cells) for row in rows)
    return Section(title, columns, tuple(texts), caption)


def facts_of(title: str, facts: Iterable[tuple[str, str]]) -> Section:
    """Names and their values, without headings."""
    return Section(title, (Column("", right=False), Column("", right=False)), tuple(facts))


def _how(row: Row) -> str:
    streams = f" s{row.case.streams}" if row.case.streams > 1 else ""
    return f"b{row.case.batch} t{row.case.threads}{streams}"


MODEL: tuple[Part, ...] = (
    (Column("model", right=False), lambda row: row.case.name),
    (Column("backend", right=False), lambda row: row.case.backend),
    (Column("precision", right=False), lambda row: row.case.precision),
)
"""The columns that say which network ran in what."""
CASE: tuple[Part, ...] = (*MODEL, (Column("run", right=False), _how))
"""Those, and batch, threads and streams."""
