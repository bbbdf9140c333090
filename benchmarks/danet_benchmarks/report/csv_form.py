"""The report's rows as CSV, a line each: full numbers for spreadsheets, without single latencies."""

from __future__ import annotations

import csv
import io
from dataclasses import fields
from typing import Any

from danet_benchmarks.report.sections import frame_speed, person_counts
from danet_benchmarks.results import Accuracy, Case, Report, Row, Spread

_BLANK = Row(Case("", "danet", "", "", "", 0, 0), 0.0, None, None)
"""Has every column, as all rows have."""


def to_csv(report: Report) -> str:
    """A head line and a line for each row; empty where there is no figure. AP as parts of 1."""
    counts = person_counts(report)
    lines = [_line(row, counts) for row in report.rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(_line(_BLANK, counts)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _line(row: Row, counts: list[int]) -> dict[str, Any]:
    line = {item.name: getattr(row.case, item.name) for item in fields(Case)}
    line |= {"file_mib": row.file_mib, "parameters_m": row.parameters_m, "gmacs": row.gmacs}
    line |= _speed(row, counts)
    line |= {item.name: getattr(row.accuracy, item.name, None) for item in fields(Accuracy)}
    return line | {"paper_pps": row.paper_pps, "paper_coco_ap": row.paper_coco_ap, "error": row.error}


def _speed(row: Row, counts: list[int]) -> dict[str, Any]:
    speed = row.speed
    line: dict[str, Any] = {"effective_precision": getattr(speed, "effective_precision", None)}
    line |= _spread("network_pps", speed.network_pps if speed else None)
    for count in counts:
        timed = frame_speed(row, count)
        line |= _spread(f"pps_{count}_per_frame", timed.pps if timed else None)
        tails = (timed.p50_ms, timed.tail_ms(95), timed.tail_ms(99)) if timed else (None, None, None)
        line |= {
            f"{name}_ms_{count}_per_frame": value for name, value in zip(("p50", "p95", "p99"), tails, strict=True)
        }
    stages = speed.stages if speed else None
    line |= {name: getattr(stages, name, None) for name in ("crop_ms", "network_ms", "decode_ms")}
    once = ("load_s", "first_inference_s", "peak_rss_mib", "cpu_s_per_person", "share_of_peak")
    return line | {name: getattr(speed, name, None) for name in once}


def _spread(name: str, spread: Spread | None) -> dict[str, float | None]:
    figures = (spread.median, spread.low, spread.high) if spread else (None, None, None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), figures, strict=True))
