"""A report into its folder, each file whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from danet.errors import InputError, MissingExtraError
from danet.files import write_beside
from danet_benchmarks.report.csv_form import to_csv
from danet_benchmarks.report.json_form import misfits, to_json
from danet_benchmarks.report.markdown import to_markdown
from danet_benchmarks.results import Report, Row

JSON_NAME, PAGE_NAME = "report.json", "report.html"
_FORMS: tuple[tuple[str, Callable[[Report], str]], ...] = (
    (JSON_NAME, to_json),
    ("report.md", to_markdown),
    ("report.csv", to_csv),
)


def write_report(report: Report, folder: Path) -> None:
    """Write report.json, report.md, report.csv and report.html, in this order; the folder is made.

    Partial reports are written as whole ones are. A row with a figure that is no number loses its
    figures and says so, so that it does not take the others with it.

    Raises:
        InputError: the folder cannot be written to, or the disk is full; each file is the old one,
            the new one, or not there.
        MissingExtraError: matplotlib or jinja2 is not installed; the first three are written.
    """
    sound = _sound(report)
    for name, form in _FORMS:
        _write(folder / name, form(sound))
    _write(folder / PAGE_NAME, _html(sound))


def write_json(report: Report, folder: Path) -> None:
    """Write report.json alone: what a run keeps after each row, without the seconds that plots take.

    The other forms in the folder would be those of an earlier run, and go.

    Raises:
        InputError: as `write_report`.
    """
    _write(folder / JSON_NAME, to_json(_sound(report)))
    for name in (*(name for name, _ in _FORMS[1:]), PAGE_NAME):
        with suppress(OSError):  # one that cannot be removed cannot be written over later either, which is told then
            (folder / name).unlink()


def _html(report: Report) -> str:
    try:
        from danet_benchmarks.report.html import to_html
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in ("matplotlib", "jinja2"):
            raise
        raise MissingExtraError("the page with plots", "bench", library) from error
    return to_html(report)


def _write(path: Path, text: str) -> None:
    try:
        with write_beside(path) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="replace", newline="\n")
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise InputError(f"{path}: not written ({reason}); give a folder with free space") from error


def _sound(report: Report) -> Report:
    return replace(report, rows=tuple(_sound_row(row) for row in report.rows))


def _sound_row(row: Row) -> Row:
    speed, accuracy = [*misfits(row.speed, "speed")], [*misfits(row.accuracy, "accuracy")]
    if not (speed or accuracy):
        return row
    error = "; ".join(filter(None, (row.error, *speed, *accuracy)))
    return replace(row, speed=None if speed else row.speed, accuracy=None if accuracy else row.accuracy, error=error)
