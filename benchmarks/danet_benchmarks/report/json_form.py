"""A report as JSON and back. The schema is in docs/benchmark.md."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, fields, is_dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from danet.errors import InputError
from danet.typed_values import TypedReader, unique_keys
from danet_benchmarks.results import FORMAT_VERSION, Report, Spread

MAX_REPORT_BYTES = 64 << 20
"""A hundred rows with all their latencies are some 6 MB; more than this is refused unread."""

_NUMBERS = re.compile(r"\[\n([-+.\deE,\s]+)\]")
"""A list of numbers over several lines; strings have no line breaks in JSON, so none can look like one."""


def to_json(report: Report) -> str:
    """The report as indented JSON, every field written, lists of numbers on a line.

    Raises:
        InputError: a figure that JSON cannot hold (NaN, infinity), or a Spread without rounds.
    """
    _refuse_misfits(report, "report")
    text = json.dumps(asdict(report), indent=1, allow_nan=False)
    return _NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text) + "\n"


def from_json(text: str, where: str) -> Report:
    """The inverse of `to_json`; `where` is what messages call the text, such as its file.

    Raises:
        InputError: no JSON object, too large, of another format version, or with unknown, missing,
            wrongly typed or infinite entries. The message names the entry.
    """
    if len(text) > MAX_REPORT_BYTES:
        raise InputError(f"{where}: {len(text)} characters or more, expected at most {MAX_REPORT_BYTES}")
    try:
        values = json.loads(text, object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error}); run the benchmark again") from error
    if not isinstance(values, dict):
        raise InputError(f"{where}: a JSON {type(values).__name__}, expected an object")
    _check_version(values.get("format_version"), where)
    report = _read(values, where)
    _refuse_misfits(report, where)
    return report


def _read(values: dict[str, Any], where: str) -> Report:
    """The report of a JSON object of this format or an older one."""
    machine = values.get("machine")
    if values["format_version"] == 1 and isinstance(machine, dict):  # had no pace yet
        values = {**values, "format_version": FORMAT_VERSION, "machine": {**machine, "work_ms": None}}
    return TypedReader(InputError, defaults=False).read(Report, values, where)


def load_report(path: Path) -> Report:
    """The report in a file that `write_report` wrote.

    Raises:
        InputError: no such file, unreadable, or what `from_json` refuses.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return from_json(file.read(MAX_REPORT_BYTES + 1), str(path))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; expected a report.json of an earlier run") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not JSON ({error}); expected a report.json of an earlier run") from error


def misfits(value: Any, where: str) -> Iterator[str]:
    """What JSON or a reader of the report could not hold, each with its place: NaN, infinity, no rounds."""
    if isinstance(value, Spread) and not value.rounds:
        yield f"{where}: no rounds, expected at least one"
    if isinstance(value, float) and not isfinite(value):
        yield f"{where}: {value}, expected a finite number"
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from misfits(item, f"{where}[{index}]")
    elif is_dataclass(value):
        for item in fields(value):
            yield from misfits(getattr(value, item.name), f"{where}: {item.name}")


def _refuse_misfits(report: Report, where: str) -> None:
    if (first := next(misfits(report, where), None)) is not None:
        raise InputError(first)


def _check_version(version: object, where: str) -> None:
    if type(version) is not int or version < 1:
        raise InputError(f"{where}: format_version: {version!r}, expected 1..{FORMAT_VERSION}")
    if version > FORMAT_VERSION:
        raise InputError(f"{where}: format {version}, this danet reads up to {FORMAT_VERSION}; update danet-edge")
