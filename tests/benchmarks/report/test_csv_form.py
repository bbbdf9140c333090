from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from danet_benchmarks.report.csv_form import to_csv
from danet_benchmarks.results import Report


def read(report: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(report))))


def test_a_line_for_each_row_with_full_numbers(full: Report) -> None:
    lines = read(full)
    assert len(lines) == len(full.rows)
    for line, row in zip(lines, full.rows, strict=True):
        assert (line["name"], line["file"], int(line["threads"])) == (row.case.name, row.case.file, row.case.threads)
        if row.speed:
            assert float(line["network_pps"]) == row.speed.network_pps.median
            assert float(line["network_pps_low"]) == row.speed.network_pps.low
            assert float(line["pps_10_per_frame_high"]) == row.speed.end_to_end[2].pps.high
            assert float(line["p99_ms_3_per_frame"]) == row.speed.end_to_end[1].p99_ms
            assert float(line["decode_ms"]) == row.speed.stages.decode_ms
            assert float(line["cpu_s_per_person"]) == row.speed.cpu_s_per_person
        if row.accuracy:
            assert float(line["ap"]) == row.accuracy.ap
            assert line["ap_medium"] == ""
    failed = lines[-1]
    assert failed["error"] == "openvino: out of memory while compiling | batch 8"
    assert [failed[name] for name in ("network_pps", "ap", "crop_ms", "p50_ms_1_per_frame")] == [""] * 4


def test_rows_of_different_frames_share_the_columns(full: Report) -> None:
    speed = full.rows[0].speed
    assert speed is not None
    few = replace(full.rows[0], speed=replace(speed, end_to_end=speed.end_to_end[:1]))
    first, second = read(replace(full, rows=(few, full.rows[1])))
    assert first["pps_10_per_frame"] == ""
    assert float(second["pps_10_per_frame"]) > 0


def test_no_rows(full: Report) -> None:
    text = to_csv(replace(full, rows=()))
    assert text.startswith("name,kind,file,backend,")
    assert text.count("\n") == 1


@pytest.mark.parametrize("odd", ['a,b"c', "two\nlines", "Füße"])
def test_odd_names(full: Report, odd: str) -> None:
    case = replace(full.rows[0].case, name=odd)
    assert read(replace(full, rows=(replace(full.rows[0], case=case),)))[0]["name"] == odd
