"""Why the figures of two runs may not be comparable."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from danet_benchmarks.report.formatting import persons
from danet_benchmarks.results import Accuracy, Machine, Report, Row

_PACE = 0.05
"""Change of the machine's pace that a reader should know of."""
_NAMED = 3
"""Cases that a warning names."""


def protocol(one: Accuracy) -> tuple[str, int, str, bool]:
    """What two APs must have in common to be compared."""
    return one.dataset, one.persons, one.boxes, one.flip_test


def comparison_warnings(
    old: Report, new: Report, pairs: list[tuple[Row, Row]], left_out: Collection[str]
) -> Iterator[str]:
    """Sentences on what differs between the runs beside the figures.

    Args:
        old: the baseline.
        new: beside it.
        pairs: the rows of one case in both.
        left_out: parts of a row that the new run was not to measure.
    """
    yield from _machine_warnings(old.machine, new.machine)
    for name, report in (("old", old), ("new", new)):
        if not report.complete:
            yield f"the {name} run was cut short"
    if old.frame != new.frame:
        yield f"frames of {old.frame[1]}x{old.frame[0]} before, {new.frame[1]}x{new.frame[0]} now"
    if not pairs:
        yield "the runs have no case in common"
    for place, (name, report) in enumerate((("old", old), ("new", new))):
        common = {pair[place].case for pair in pairs}
        alone = [row.case.label for row in report.rows if row.case not in common]
        if alone:
            more = f" and {len(alone) - _NAMED} more" if len(alone) > _NAMED else ""
            yield f"only in the {name} run: {', '.join(alone[:_NAMED])}{more}"
    for part in sorted(left_out):
        if any(getattr(before, part) for before, _ in pairs):
            yield f"{part} was left out in the new run, so it is not compared"
    yield from (text for pair in pairs for text in _pair_warnings(*pair))


def _machine_warnings(old: Machine, new: Machine) -> Iterator[str]:
    if (old.cpu, old.cores) != (new.cpu, new.cores):
        yield f"another machine: {old.cores} cores of {old.cpu} before, {new.cores} of {new.cpu} now"
    if old.work_ms is not None and new.work_ms is not None and abs(new.work_ms / old.work_ms - 1) > _PACE:
        yield f"the machine's pace changed: the same work took {old.work_ms:.1f} ms before, {new.work_ms:.1f} ms now"
    for name in ("governor", "system", "python"):
        if getattr(old, name) != getattr(new, name):
            yield f"{name} {getattr(old, name)} before, {getattr(new, name)} now"
    before, now = dict(old.libraries), dict(new.libraries)
    for library in sorted(before.keys() | now.keys()):
        if before.get(library) != now.get(library):
            yield f"{library} {before.get(library, 'absent')} before, {now.get(library, 'absent')} now"


def _pair_warnings(old: Row, new: Row) -> Iterator[str]:
    label = new.case.label
    if old.speed and new.speed and old.speed.effective_precision != new.speed.effective_precision:
        yield f"{label}: ran in {old.speed.effective_precision} before, in {new.speed.effective_precision} now"
    if old.accuracy and new.accuracy and protocol(old.accuracy) != protocol(new.accuracy):
        yield f"{label}: AP on {_of(old.accuracy)} before, on {_of(new.accuracy)} now, not judged"


def _of(one: Accuracy) -> str:
    return f"{one.dataset} ({persons(one.persons)}, {one.boxes} boxes, {'flip' if one.flip_test else 'no flip'} test)"
