"""Two runs side by side: what became worse beyond their noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from danet_benchmarks.report.compare_warnings import comparison_warnings, protocol
from danet_benchmarks.report.formatting import persons
from danet_benchmarks.request import PARTS
from danet_benchmarks.results import UNKNOWN, Case, Machine, Report, Row, Speed, Spread

AP_TOLERANCE = 0.001
"""An AP may fall by so much: the same figure that tables round to."""
LEAST_NOISE = 0.02
"""Of any speed: rounds that happen to agree say little about the next run."""
LEAST_ROUNDS = 3
"""That a speed needs to be judged."""

Verdict = Literal["better", "same", "worse", "not judged"]


@dataclass(frozen=True)
class Change:
    """One metric of one case in both runs."""

    case: Case
    metric: str
    old: float
    new: float
    noise: float | None
    """What two runs of the same thing may differ by: relative, for AP absolute. None: not known."""
    verdict: Verdict

    @property
    def ratio(self) -> float | None:
        """New over old; None where old is 0."""
        return self.new / self.old if self.old else None


@dataclass(frozen=True)
class Comparison:
    """What changed between two runs."""

    changes: tuple[Change, ...]
    failed: tuple[tuple[Case, str], ...]
    """Cases that have figures in the old run and lack them in the new one, and why; they count as regressions."""
    warnings: tuple[str, ...]
    """Why the figures may not be comparable."""

    @property
    def regressions(self) -> tuple[Change, ...]:
        """The changes for the worse beyond the noise."""
        return tuple(change for change in self.changes if change.verdict == "worse")

    @property
    def regressed(self) -> bool:
        """Whether anything is worse than it was."""
        return bool(self.regressions or self.failed)


def compare(old: Report, new: Report, parts: Sequence[str] = PARTS) -> Comparison:
    """Match the rows of two runs by their case and judge each metric that both have.

    A speed is worse if old / new > 1 + noise. The noise is the largest of

    - the spreads of its rounds, (highest - lowest) / median as the tables print it, of both runs added:
      either median may lie anywhere among its rounds. With five rounds of 1 to 5 % scatter, one speed in
      10,000 is then called worse that is not, with three rounds one in 150; the wider spread alone would
      cry wolf once in 500 and in 35, too often for the hundred speeds of a report (simulated, normal
      scatter);
    - the drift that either machine showed on a fixed piece of work between the rounds, which moves whole
      runs and not only rounds;
    - 2 %;

    and to that comes by how much longer the fixed work took in one run than in the other: a virtual machine may
    have a fast and a slow hour, which no repetition within a run shows.

    It is a ratio, so that a time and its rate get the same verdict. With fewer than three rounds nothing
    is known of the spread, and nothing judged; nor is what was measured once (tail latency, load time,
    memory, processor time), which is shown only.

    An AP is worse if it fell by more than 0.001; it is judged on the same data and protocol only.

    Args:
        old: the baseline.
        new: beside it.
        parts: of `PARTS` that the new run was to measure; a case that has one of them in the old run alone has failed.
    """
    before = {_known_as(row.case): row for row in old.rows}
    pairs = [(one, row) for row in new.rows if (one := before.get(_known_as(row.case)))]
    failed = [(after.case, error) for one, after in pairs if (error := _lacks(one, after, parts))]
    now = {_known_as(row.case) for row in new.rows}
    gone = [row for row in old.rows if _known_as(row.case) not in now and _was_fine(row)]
    failed += [(row.case, error) for row in gone if (error := _unread(row.case, new, before))]
    drift = Drift(max(old.machine.noise, new.machine.noise, LEAST_NOISE), pace_change(old.machine, new.machine))
    return Comparison(
        changes=tuple(change for pair in pairs for change in _changes(*pair, drift)),
        failed=tuple(failed),
        warnings=tuple(comparison_warnings(old, new, pairs, set(PARTS) - set(parts))),
    )


@dataclass(frozen=True)
class Drift:
    """How unsteady the machine was, as shares."""

    within: float
    """A run."""
    between: float
    """The runs."""


def pace_change(old: Machine, new: Machine) -> float:
    """By what share the fixed work took longer in one of two runs than in the other; 0.0 where it is not known."""
    if old.work_ms is None or new.work_ms is None:
        return 0.0
    return max(old.work_ms, new.work_ms) / min(old.work_ms, new.work_ms) - 1


def _unread(case: Case, new: Report, before: Mapping[Case, Row]) -> str | None:
    """Why the model of a case, in that backend, could not even be made cases of, where it could be before."""
    for row in new.rows:
        if _known_as(row.case) in before:
            continue
        same = row.case.name == case.name or row.case.file == case.file
        if row.case.precision == UNKNOWN and same and (row.case.kind, row.case.backend) == (case.kind, case.backend):
            return row.error
    return None


def _known_as(case: Case) -> Case:
    """Without the file that `cases.distinct` puts behind the name where the run has others of that name."""
    return replace(case, name=case.name.removesuffix(f" ({case.file})"))


def _lacks(old: Row, new: Row, parts: Sequence[str]) -> str | None:
    """Why a row has not all that it had, where it was to have it."""
    if new.error:
        return new.error if _was_fine(old) else None
    lost = [part for part in parts if getattr(old, part) and not getattr(new, part)]
    return f"no {' and no '.join(lost)}, which the old run has" if lost else None


def _was_fine(row: Row) -> bool:
    return row.error is None and bool(row.speed or row.accuracy)


def _changes(old: Row, new: Row, drift: Drift) -> Iterator[Change]:
    if old.speed and new.speed:
        yield from _speeds(new.case, old.speed, new.speed, drift)
        yield from _once(new.case, old.speed, new.speed)
    if old.accuracy and new.accuracy and protocol(old.accuracy) == protocol(new.accuracy):
        less = new.accuracy.ap - old.accuracy.ap
        verdict = _verdict(less, AP_TOLERANCE + 1e-12)  # a fall by 0.001 itself, rounded in binary, is within
        yield Change(new.case, "AP", old.accuracy.ap, new.accuracy.ap, AP_TOLERANCE, verdict)


def _speeds(case: Case, old: Speed, new: Speed, drift: Drift) -> Iterator[Change]:
    yield _speed(case, "PPS, network", old.network_pps, new.network_pps, drift)
    before = {one.persons: one for one in old.end_to_end}
    for one in new.end_to_end:
        if one.persons in before:
            yield _speed(case, f"PPS, {persons(one.persons)}", before[one.persons].pps, one.pps, drift)


def _speed(case: Case, metric: str, old: Spread, new: Spread, drift: Drift) -> Change:
    if min(len(old.rounds), len(new.rounds)) < LEAST_ROUNDS:
        return Change(case, metric, old.median, new.median, None, "not judged")
    noise = max(old.relative + new.relative, drift.within) + drift.between
    verdict: Verdict = "same"
    if old.median > new.median * (1 + noise):
        verdict = "worse"
    elif new.median > old.median * (1 + noise):
        verdict = "better"
    return Change(case, metric, old.median, new.median, noise, verdict)


def _once(case: Case, old: Speed, new: Speed) -> Iterator[Change]:
    before = {one.persons: one for one in old.end_to_end}
    pairs = [
        (f"p95 ms, {persons(one.persons)}", first, second)
        for one in new.end_to_end
        if one.persons in before
        and (first := before[one.persons].tail_ms(95)) is not None
        and (second := one.tail_ms(95)) is not None
    ]
    pairs += [
        ("load s", old.load_s, new.load_s),
        ("peak memory MiB", old.peak_rss_mib, new.peak_rss_mib),
        ("CPU s per person", old.cpu_s_per_person, new.cpu_s_per_person),
    ]
    return (Change(case, metric, one, other, None, "not judged") for metric, one, other in pairs)


def _verdict(difference: float, noise: float) -> Verdict:
    return "worse" if difference < -noise else "better" if difference > noise else "same"
