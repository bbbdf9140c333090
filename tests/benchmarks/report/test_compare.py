from __future__ import annotations

import io
import random
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from danet_benchmarks.report.compare import Comparison, Verdict, compare
from danet_benchmarks.report.comparison_table import print_comparison
from danet_benchmarks.results import UNKNOWN, Report, Row, Speed, Spread


@pytest.fixture
def old(full: Report) -> Report:
    """One row, measured in five rounds that spread over 2 %, on a silent machine."""
    row = changed(full.rows[0], network_pps=Spread((99.0, 99.5, 100.0, 100.5, 101.0)))
    return replace(full, rows=(row,), machine=replace(full.machine, noise=0.0))


def changed(row: Row, **figures: Any) -> Row:
    assert row.speed is not None
    return replace(row, speed=replace(row.speed, **figures))


def with_pps(report: Report, *rounds: float) -> Report:
    return replace(report, rows=(changed(report.rows[0], network_pps=Spread(rounds)),))


def with_ap(report: Report, ap: float, **others: Any) -> Report:
    row = report.rows[0]
    assert row.accuracy is not None
    return replace(report, rows=(replace(row, accuracy=replace(row.accuracy, ap=ap, **others)),))


def verdicts(comparison: Comparison) -> dict[str, Verdict]:
    return {change.metric: change.verdict for change in comparison.changes}


def test_a_run_and_itself(full: Report) -> None:
    comparison = compare(full, full)
    assert set(verdicts(comparison).values()) == {"same", "not judged"}
    assert not comparison.regressed
    assert comparison.warnings == ()
    timed = [row for row in full.rows if row.speed]
    judged = [row for row in full.rows if row.accuracy]
    assert len(comparison.changes) == len(timed) * (1 + 3 + 3 + 3) + len(judged)
    assert all(change.ratio == 1 for change in comparison.changes)


# speed: both spreads (2 % + 2 %) make a band of 4 %


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(0.5, "worse"), (0.955, "worse"), (0.965, "same"), (1.0, "same"), (1.035, "same"), (1.045, "better")],
)
def test_speed_beyond_the_noise(old: Report, factor: float, verdict: Verdict) -> None:
    new = with_pps(old, *(factor * pps for pps in (99.0, 99.5, 100.0, 100.5, 101.0)))
    change = compare(old, new).changes[0]
    assert (change.metric, change.verdict) == ("PPS, network", verdict)
    assert change.noise == pytest.approx(0.04)
    assert change.ratio == pytest.approx(factor)


@pytest.mark.parametrize("factor", [0.955, 0.965, 1.035, 1.045])
def test_the_other_way_round_the_verdict_is_the_opposite(old: Report, factor: float) -> None:
    new = with_pps(old, *(factor * pps for pps in (99.0, 99.5, 100.0, 100.5, 101.0)))
    there, back = verdicts(compare(old, new))["PPS, network"], verdicts(compare(new, old))["PPS, network"]
    assert {"worse": "better", "better": "worse", "same": "same"}[there] == back


def test_a_machine_of_another_pace_widens_the_band(old: Report) -> None:
    """The same work took a quarter longer in one of the runs, whichever: speeds may differ by that as well."""
    slow = replace(old, machine=replace(old.machine, work_ms=1.25 * 21.5))
    for before, after in ((old, slow), (slow, old)):
        comparison = compare(before, after)
        assert comparison.changes[0].noise == pytest.approx(0.04 + 0.25)
        assert any("pace changed" in warning for warning in comparison.warnings)
    unknown = replace(old, machine=replace(old.machine, work_ms=None))
    assert compare(unknown, slow).changes[0].noise == pytest.approx(0.04)


def test_the_machines_noise_widens_the_band(old: Report) -> None:
    new = with_pps(old, *(0.9 * pps for pps in (99.0, 99.5, 100.0, 100.5, 101.0)))
    assert compare(old, new).regressed
    for noisy in (
        (replace(old, machine=replace(old.machine, noise=0.12)), new),
        (old, replace(new, machine=replace(new.machine, noise=0.12))),
    ):
        comparison = compare(*noisy)
        assert comparison.changes[0].noise == 0.12
        assert not comparison.regressed


def test_rounds_that_agree_by_chance(old: Report) -> None:
    one, other = with_pps(old, 100.0, 100.0, 100.0), with_pps(old, 98.5, 98.5, 98.5)
    assert verdicts(compare(one, other))["PPS, network"] == "same"  # 2 % at least
    assert verdicts(compare(one, with_pps(old, 97.5, 97.5, 97.5)))["PPS, network"] == "worse"


@pytest.mark.parametrize("rounds", [(50.0,), (50.0, 51.0)])
def test_too_few_rounds_are_not_judged(old: Report, rounds: tuple[float, ...]) -> None:
    for pair in ((old, with_pps(old, *rounds)), (with_pps(old, *rounds), old)):
        comparison = compare(*pair)
        assert verdicts(comparison)["PPS, network"] == "not judged"
        assert not comparison.regressed


@pytest.mark.parametrize("dead", [(0.0, 0.0, 0.0), (100.0, 0.0, 0.0)])
def test_a_median_of_zero(old: Report, dead: tuple[float, ...]) -> None:
    assert compare(old, with_pps(old, *dead)).regressed
    back = compare(with_pps(old, *dead), old)
    assert not back.regressed
    assert back.changes[0].ratio is None
    print_comparison(back, Console(file=io.StringIO()))


def test_end_to_end_at_the_persons_that_both_have(old: Report) -> None:
    speed = old.rows[0].speed
    assert speed is not None
    slow = [replace(one, pps=Spread(tuple(0.7 * pps for pps in one.pps.rounds))) for one in speed.end_to_end]
    new = replace(old, rows=(changed(old.rows[0], end_to_end=(slow[1], replace(slow[2], persons=20))),))
    found = verdicts(compare(old, new))
    assert found["PPS, 3 persons"] == "worse"
    assert [name for name in found if name.startswith("PPS")] == ["PPS, network", "PPS, 3 persons"]


@pytest.mark.parametrize("figure", ["load_s", "peak_rss_mib", "cpu_s_per_person"])
def test_what_was_measured_once_is_shown_only(old: Report, figure: str) -> None:
    value = getattr(old.rows[0].speed, figure)
    comparison = compare(old, replace(old, rows=(changed(old.rows[0], **{figure: 10 * value}),)))
    assert [change.ratio for change in comparison.changes if change.verdict == "not judged"].count(10.0) == 1
    assert not comparison.regressed


def test_false_alarms_are_rare(old: Report) -> None:
    """The figure in the docstring: two runs of the same thing, five rounds of 2 % scatter."""
    noise = random.Random(3)

    def run() -> Report:
        return with_pps(old, *(noise.gauss(100, 2) for _ in range(5)))

    alarms = sum(compare(run(), run()).regressed for _ in range(1500))
    assert alarms <= 3  # 0.15 expected


# accuracy


@pytest.mark.parametrize(
    ("ap", "verdict"),
    [(0.327, "same"), (0.3262, "same"), (0.326, "same"), (0.3259, "worse"), (0.3281, "better"), (0.0, "worse")],
)
def test_ap(old: Report, ap: float, verdict: Verdict) -> None:
    comparison = compare(old, with_ap(old, ap))
    assert verdicts(comparison)["AP"] == verdict
    assert comparison.regressed == (verdict == "worse")


@pytest.mark.parametrize("other", [{"dataset": "coco"}, {"persons": 851}, {"boxes": "AP_H_56"}, {"flip_test": False}])
def test_ap_by_another_protocol_is_not_judged(old: Report, other: dict[str, Any]) -> None:
    comparison = compare(old, with_ap(old, 0.1, **other))
    assert "AP" not in verdicts(comparison)
    assert not comparison.regressed
    assert any("not judged" in warning for warning in comparison.warnings)


# rows


def test_rows_are_matched_by_case(full: Report) -> None:
    shuffled = replace(full, rows=full.rows[::-1])
    assert set(verdicts(compare(full, shuffled)).values()) == {"same", "not judged"}
    renamed = replace(full.rows[0], case=replace(full.rows[0].case, threads=64))
    comparison = compare(full, replace(full, rows=(renamed, *full.rows[1:])))
    assert not comparison.regressed
    assert comparison.warnings == (
        "only in the old run: danet72 openvino FP32 b8 t1",
        "only in the new run: danet72 openvino FP32 b8 t64",
    )


def test_a_row_that_fails_now(old: Report) -> None:
    broken = replace(old, rows=(replace(old.rows[0], speed=None, accuracy=None, error="worker died"),))
    comparison = compare(old, broken)
    assert comparison.failed == ((old.rows[0].case, "worker died"),)
    assert comparison.regressed
    assert not compare(broken, broken).regressed  # as before
    assert not compare(broken, old).regressed


def test_a_model_that_cannot_be_read_any_more(old: Report) -> None:
    case = old.rows[0].case
    unread = replace(old.rows[0], speed=None, accuracy=None, error="damaged")
    for known in ({"name": "another"}, {"file": "another.xml"}):  # a file's own name is not known where it is not read
        row = replace(unread, case=replace(case, precision=UNKNOWN, batch=1, **known))
        comparison = compare(old, replace(old, rows=(row,)))
        assert comparison.failed == ((case, "damaged"),)
        assert comparison.regressed
    for other in ({"backend": "tflite"}, {"name": "another", "file": "another.xml"}):
        row = replace(unread, case=replace(case, precision=UNKNOWN, **other))
        assert not compare(old, replace(old, rows=(row,))).regressed


@pytest.mark.parametrize(("lost", "kept"), [("accuracy", "speed"), ("speed", "accuracy")])
def test_a_figure_that_is_not_measured_any_more(old: Report, lost: str, kept: str) -> None:
    less = replace(old, rows=(replace(old.rows[0], **{lost: None}),))
    comparison = compare(old, less)
    assert comparison.failed == ((old.rows[0].case, f"no {lost}, which the old run has"),)
    assert comparison.regressed
    asked_for = compare(old, less, (kept,))
    assert not asked_for.regressed
    assert asked_for.warnings == (f"{lost} was left out in the new run, so it is not compared",)
    assert not compare(less, less).regressed
    assert not compare(less, old).regressed


def test_a_file_that_has_a_namesake_in_one_of_the_runs(old: Report) -> None:
    """`distinct` puts its file behind its name there."""
    case = old.rows[0].case
    named = replace(old.rows[0], case=replace(case, name=f"{case.name} ({case.file})"))
    other = replace(old.rows[0], case=replace(case, name=f"{case.name} (b.xml)", file="b.xml"))
    for pair in ((old, replace(old, rows=(named, other))), (replace(old, rows=(named, other)), old)):
        comparison = compare(*pair)
        assert set(verdicts(comparison).values()) == {"same", "not judged"}
        (warning,) = comparison.warnings
        assert warning.endswith("run: danet72 (b.xml) openvino FP32 b8 t1")


def test_nothing_in_common(old: Report, full: Report) -> None:
    comparison = compare(old, replace(full, rows=full.rows[5:]))
    assert comparison.changes == ()
    assert "the runs have no case in common" in comparison.warnings
    assert not compare(replace(old, rows=()), replace(old, rows=())).regressed


# warnings


def test_other_machines_libraries_frames_arithmetic(old: Report) -> None:
    machine = replace(old.machine, cpu="Arm", cores=8, libraries=(("openvino", "2027.0"), ("torch", "2.13.0")))
    row = changed(old.rows[0], effective_precision="bf16")
    new = replace(old, machine=machine, frame=(480, 640), complete=False, rows=(row,))
    warnings = compare(old, new).warnings
    expected = (
        f"another machine: 2 cores of {old.machine.cpu} before, 8 of Arm now",
        "danet-edge 0.1.0 before, absent now",
        "onnxruntime 1.32.0 before, absent now",
        "openvino 2026.4.1 before, 2027.0 now",
        "the new run was cut short",
        "frames of 1280x720 before, 640x480 now",
        "danet72 openvino FP32 b8 t1: ran in fp32 before, in bf16 now",
    )
    assert warnings == expected


# the table


def printed(comparison: Comparison, width: int) -> str:
    stream = io.StringIO()
    print_comparison(comparison, Console(file=stream, width=width))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    return " ".join(stream.getvalue().split())


@pytest.mark.parametrize("width", [120, 80])
def test_what_is_printed(full: Report, width: int) -> None:
    slow_before = full.rows[0].speed
    assert slow_before is not None
    slow = with_pps(replace(full, rows=full.rows[:1]), 40.0, 40.1, 40.2)
    low = with_ap(replace(full, rows=full.rows[2:3]), 0.3)
    dead = replace(full.rows[4], speed=None, accuracy=None, error="out of memory")
    comparison = compare(full, replace(full, rows=(*slow.rows, *low.rows, full.rows[3], dead)))
    text = printed(comparison, width)
    assert "warning: only in the old run: danet72 openvino FP32 b8 t2," in text
    assert "and 16 more" in text
    before = slow_before.network_pps.median
    assert f"PPS, network {before:.1f} 40.1 {40.1 / before - 1:+.1%} " in text
    assert "AP 32.3 30.0 -2.28 0.10 worse" in text
    assert "failed now: danet72 onnxruntime FP32 b8 t1: out of memory" in text
    assert text.endswith("Regression: 2 worse, 13 same, 18 not judged; 1 failed")


def test_nothing_to_print(old: Report) -> None:
    text = printed(compare(replace(old, rows=()), replace(old, rows=())), 80)
    assert text.endswith("No regression: nothing to compare")


def test_speed_type_is_whole() -> None:
    """A metric that is added to Speed should be compared, or listed here as not worth it."""
    compared = {"network_pps", "end_to_end", "load_s", "peak_rss_mib", "cpu_s_per_person"}
    left_out = {"effective_precision", "stages", "first_inference_s", "share_of_peak"}
    assert set(Speed.__dataclass_fields__) == compared | left_out
