from __future__ import annotations

import io
from dataclasses import replace
from functools import cache

import pytest
from rich.console import Console

from danet_benchmarks.report.table import print_table
from danet_benchmarks.results import Report


@cache
def printed(report: Report, width: int) -> tuple[str, ...]:
    stream = io.StringIO()
    print_table(report, Console(file=stream, width=width))
    return tuple(line.rstrip() for line in stream.getvalue().splitlines())


@pytest.mark.parametrize("width", [200, 120, 80, 40])
def test_no_line_is_wider_than_the_console(full: Report, width: int) -> None:
    lines = printed(full, width)
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)


@pytest.mark.parametrize("width", [120, 80])
def test_every_row_has_a_line_of_speed(full: Report, width: int) -> None:
    lines = printed(full, width)
    start = lines.index("Speed, persons per second") + 3
    timed = [row for row in full.rows if row.speed]
    end = next(number for number, line in enumerate(lines) if line.startswith("Medians of 5 rounds"))
    for line, row in zip(lines[start:end], timed, strict=True):
        assert line.split()[:5] == [
            row.case.name, row.case.backend, row.case.precision, f"b{row.case.batch}", f"t{row.case.threads}",
        ]  # fmt: skip


def headings(full: Report, title: str, width: int) -> str:
    lines = printed(full, width)
    below = lines[lines.index(title) + 1 :]
    return " ".join(below[: next(index for index, line in enumerate(below) if line.startswith("─"))])


def test_columns_that_narrow_terminals_do_without(full: Report) -> None:
    speed = "Speed, persons per second"
    for name in ("network", "1 person", "3 persons", "10 persons", "paper"):
        assert name in headings(full, speed, 120)
    assert "arithmetic" in headings(full, speed, 200)
    assert "network" in headings(full, speed, 80)
    assert "1 person" in headings(full, speed, 80)
    assert "paper" not in headings(full, speed, 80)
    accuracy = "Accuracy on people17/person_keypoints_val"
    assert "AP75" in headings(full, accuracy, 120)
    assert "AP75" not in headings(full, accuracy, 80)
    assert "reference" in headings(full, accuracy, 80)


def test_what_is_said(full: Report) -> None:
    text = " ".join(" ".join(printed(full, 120)).split())
    assert "danet72 openvino INT8 32.3 62.3 29.3 - 33.3 36.3 -0.42 -0.72 - 0.37" in text
    assert "852 persons, boxes: annotated, flip test." in text
    assert "hourglass-8 openvino FP32 b8 t2 openvino: out of memory while compiling | batch 8" in text
    assert "processor Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz" in text
    assert "FP32, t2: 118 G; BF16, t2: 903 G" in text
    assert "took 29 min 2 s" in text
    assert "- tflite: not installed; pip install 'danet-edge[tflite]'" in text  # no markup is read in it
    assert "cut short" not in text


def test_a_run_that_was_cut_short(full: Report) -> None:
    partial = replace(full, complete=False, rows=(), notes=())
    text = "\n".join(printed(partial, 80))
    assert "cut short" in text
    assert "Speed" not in text
    assert "Accuracy" not in text


def test_long_and_odd_names(full: Report) -> None:
    case = replace(full.rows[0].case, name="my-[bold]very/long_name" * 5, file="\x1b[31mred" + "x" * 200)
    lines = printed(replace(full, rows=(replace(full.rows[0], case=case),)), 80)
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in "".join(lines)
    assert "[bold]" in "".join(lines)


def test_what_was_not_measured_is_a_dash(full: Report) -> None:
    unread = replace(full.rows[0], file_mib=0.0, speed=None, accuracy=None, error="gone")
    machine = replace(full.machine, noise=0.0, work_ms=None)
    lines = printed(replace(full, rows=(unread,), machine=machine), 200)
    noise, pace = (next(line.split() for line in lines if line.startswith(name)) for name in ("noise", "pace"))
    assert (noise, pace) == (["noise", "-"], ["pace", "-"])
    (model,) = (line.split() for line in lines if f" {unread.case.file} " in line)
    assert model[3] == "-"
