"""What the tables leave out, and how rows are set beside each other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from danet_benchmarks.report.csv_form import to_csv
from danet_benchmarks.report.sections import sections
from danet_benchmarks.results import FrameSpeed, Report, Row, Spread


def cell(report: Report, title: str, column: str, row: int) -> str:
    (section,) = (one for one in sections(report) if one.title.startswith(title))
    (index,) = (at for at, one in enumerate(section.columns) if one.heading.replace("\n", " ") == column)
    return section.rows[row][index]


def with_frames(row: Row, frames: int) -> Row:
    assert row.speed is not None
    timed = FrameSpeed(1, Spread((10.0, 10.0)), 50.0, 95.0, 99.0, tuple(float(one) for one in range(1, frames + 1)))
    return replace(row, speed=replace(row.speed, end_to_end=(timed,)))


@pytest.mark.parametrize(
    ("frames", "shown"),
    [(6, "50.0 / - / -"), (19, "50.0 / - / -"), (20, "50.0 / 95.0 / -"), (100, "50.0 / 95.0 / 99.0")],
)
def test_percentiles_of_few_frames_are_left_out(full: Report, frames: int, shown: str) -> None:
    """The 95 % of six frames is between the slowest two, which says how slow one frame was."""
    report = replace(full, rows=(with_frames(full.rows[0], frames),))
    assert cell(report, "Latency", "1 person", 0) == shown
    line = dict(zip(*(text.split(",") for text in to_csv(report).splitlines()[:2]), strict=False))
    assert [bool(line[f"{name}_ms_1_per_frame"]) for name in ("p50", "p95", "p99")] == [
        part != "-" for part in shown.split(" / ")
    ]


def test_rows_are_compared_round_by_round(full: Report) -> None:
    """The machine's pace changes from round to round, for all rows alike."""
    paces = (1.0, 0.5, 0.9, 0.2)

    def paced(row: Row, pps: float) -> Row:
        assert row.speed is not None
        return replace(row, speed=replace(row.speed, network_pps=Spread(tuple(pps * pace for pace in paces))))

    first, second = paced(full.rows[0], 30.0), paced(full.rows[1], 20.0)
    report = replace(full, rows=(first, second))
    assert cell(report, "Speed", "first : it", 0) == "-"
    assert cell(report, "Speed", "first : it", 1).startswith("1.50")
    assert second.speed is not None
    other = replace(second, speed=replace(second.speed, network_pps=Spread((20.0,))))
    assert cell(replace(full, rows=(first, other)), "Speed", "first : it", 1) == "-"
