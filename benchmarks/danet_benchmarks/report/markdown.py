"""The report as one Markdown page (GitHub's tables)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from danet_benchmarks.report.section import Section
from danet_benchmarks.report.sections import sections
from danet_benchmarks.results import Report

_SPECIAL = re.compile(r"([\\`*_<>\[\]|~])")


def to_markdown(report: Report) -> str:
    """The tables and the notes; plots are in the HTML page only."""
    parts = [f"# Benchmark on {_escape(report.machine.cpu)}, {_escape(report.started[:10])}"]
    parts += [_section(section) for section in sections(report)]
    if report.notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {_escape(note)}" for note in report.notes))
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> str:
    head = _line(column.heading for column in section.columns)
    rule = "|" + "|".join("---:" if column.right else "---" for column in section.columns) + "|"
    table = "\n".join([head, rule, *(_line(row) for row in section.rows)])
    caption = f"\n\n{_escape(section.caption)}" if section.caption else ""
    return f"## {_escape(section.title)}\n\n{table}{caption}"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(_escape(cell) for cell in cells) + " |"


def _escape(text: str) -> str:
    """On one line, with nothing that Markdown or HTML would read as markup."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split())).replace("&", "&amp;")
