from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from danet_benchmarks.report.accuracy_plot import accuracy_drop
from danet_benchmarks.report.latency_plot import latencies
from danet_benchmarks.report.paper import TABLE_II
from danet_benchmarks.report.plot import Plot
from danet_benchmarks.report.plot_style import plot_settings, to_svg
from danet_benchmarks.report.plots import make_plots
from danet_benchmarks.report.scaling_plots import scaling_with_persons, scaling_with_threads
from danet_benchmarks.report.tradeoff_plots import ap_against_gmacs, ap_against_pps
from danet_benchmarks.results import Accuracy, Report, Row

NAMES = ["ap-gflops", "ap-pps", "scaling-persons", "scaling-threads", "ap-drop", "latency"]
COCO = Accuracy(
    "coco/person_keypoints_val2017", 6352, "AP_H_56", True, 0.698, 0.9, 0.8, 0.7, 0.7, 0.7, 0.699, None, 0.71, 0.1
)


def texts(figure: Figure | None) -> set[str]:
    assert figure is not None
    return {text.get_text().strip() for text in figure.findobj(Text)}  # type: ignore[attr-defined]


def points(figure: Figure | None, marker: str) -> list[tuple[float, float, bool]]:
    """x, y and whether it is filled, of the marks of one shape that are no line."""
    assert figure is not None
    lines = [line for line in figure.axes[0].lines if line.get_marker() == marker]
    marks = [(line.get_xydata()[0], line.get_markerfacecolor() != "none") for line in lines]  # type: ignore[index]
    return [(float(x), round(float(y), 6), filled) for (x, y), filled in marks]


def test_all_are_drawn(plots: dict[str, Plot]) -> None:
    assert list(plots) == NAMES
    assert all(one.figure is not None for one in plots.values())


def test_the_papers_points(plots: dict[str, Plot]) -> None:
    figure = plots["ap-gflops"].figure
    assert {one.name for one in TABLE_II} <= texts(figure)
    assert figure is not None
    lines = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    drawn = {(round(x, 6), round(y, 6)) for line in lines for x, y in line.get_xydata()}  # type: ignore[misc]
    assert drawn == {(one.gmacs, round(100 * one.ap, 6)) for one in TABLE_II}
    assert {"DANet-72", "DANet-102", "danet72", "hrnet-w32"} <= texts(plots["ap-pps"].figure)
    assert "DANet-88" not in texts(plots["ap-pps"].figure)


def test_an_ap_on_other_data_is_not_drawn_on_the_coco_axis(full: Report, plots: dict[str, Plot]) -> None:
    for name in ("ap-gflops", "ap-pps"):
        assert all(not filled for _, _, filled in points(plots[name].figure, "D"))
        assert "No file of this run was measured on COCO." in plots[name].text
    # speed of the fastest fp32 case over the published AP; nothing for INT8, and for files without a published AP
    fastest = {
        row.case.name: row.speed.network_pps.median
        for row in full.rows
        if row.speed and row.case.threads == 2 and row.case.backend == "openvino" and row.case.precision == "FP32"
    }
    aps = {"danet72": 71.0, "danet102": 73.4, "simplebaseline-r50": 70.4, "hrnet-w32": 74.4}
    assert set(points(plots["ap-pps"].figure, "D")) == {(fastest[name], ap, False) for name, ap in aps.items()}
    assert points(plots["ap-pps"].figure, "s") == []


def test_an_ap_on_coco_is_drawn_filled(full: Report) -> None:
    rows = tuple(replace(row, accuracy=COCO) if row.case.name == "danet72" else row for row in full.rows)
    assert "of each model the best of its backends" in ap_against_gmacs(replace(full, rows=rows)).text
    pps = ap_against_pps(replace(full, rows=rows))
    assert [(y, filled) for _, y, filled in points(pps.figure, "s")] == [(69.8, True)]  # INT8
    assert (69.8, True) in [(y, filled) for _, y, filled in points(pps.figure, "D")]
    assert "AP_H_56 boxes, flip test" in pps.text
    assert "DANet: AP and speed in int8 of this run" in texts(pps.figure)


@pytest.mark.parametrize("other", [{"persons": 900}, {"dataset": "mine/val2017"}])
def test_an_ap_on_a_part_of_coco_is_not_drawn(full: Report, other: dict[str, Any]) -> None:
    part = replace(COCO, paper_ap=None, **other)
    rows = tuple(replace(row, accuracy=part) if row.accuracy else row for row in full.rows)
    for plot in (ap_against_gmacs(replace(full, rows=rows)), ap_against_pps(replace(full, rows=rows))):
        assert all(not filled for _, _, filled in points(plot.figure, "D"))
        assert "No file of this run was measured on COCO." in plot.text


def test_the_accuracy_drop(plots: dict[str, Plot]) -> None:
    found = texts(plots["ap-drop"].figure)
    assert {"danet72 openvino INT8", "danet102 onnxruntime FP32", "-0.42", "+0.00"} <= found
    assert not any("pp-tinypose" in text for text in found)  # has no checkpoint


def test_scaling(plots: dict[str, Plot]) -> None:
    assert "danet72 openvino FP32" in texts(plots["scaling-threads"].figure)
    assert "3 more: see the tables." in plots["scaling-persons"].text


def only(report: Report, change: Callable[[Row], Row]) -> Report:
    return replace(report, rows=tuple(change(row) for row in report.rows))


def bare(row: Row) -> Row:
    return replace(row, speed=None, accuracy=None)


@pytest.mark.parametrize("change", [bare, lambda row: replace(bare(row), gmacs=None, paper_coco_ap=None)])
def test_without_figures_a_sentence_says_so(full: Report, change: Callable[[Row], Row]) -> None:
    for one in make_plots(only(full, change)):
        if one.name != "ap-gflops":  # the paper's own points stand by themselves
            assert one.figure is None
            assert one.text.startswith("Left out: ")


def test_one_number_of_threads_or_persons(full: Report) -> None:
    single = replace(full, rows=tuple(row for row in full.rows if row.case.threads == 2))
    assert scaling_with_threads(single).figure is None
    assert scaling_with_persons(single).figure is not None


def test_no_rows_at_all(full: Report) -> None:
    assert [one.name for one in make_plots(replace(full, rows=()))] == NAMES


@pytest.mark.parametrize("make", [ap_against_pps, scaling_with_persons, latencies, accuracy_drop])
def test_odd_names(full: Report, make: Callable[[Report], Plot]) -> None:
    """Neither mathematics, nor hidden from legends, nor a letter that the plot's font lacks, nor markup."""
    names = ("$x^{", "_hidden", "模型", "a<b&c")
    rows = [replace(row, case=replace(row.case, name=name)) for row, name in zip(full.rows[::2], names, strict=False)]
    rows = [replace(row, speed=full.rows[0].speed) for row in rows]
    one = make(replace(full, rows=tuple(rows)))
    assert one.figure is not None
    svg = to_svg(one.figure, one.name, one.title)
    for name in names:
        assert name.replace("&", "&amp;").replace("<", "&lt;") in svg


def test_many_rows_stay_within_one_plot(full: Report) -> None:
    rows = tuple(
        replace(row, case=replace(row.case, name=f"{row.case.name}-{n}")) for n in range(5) for row in full.rows
    )
    made = latencies(replace(full, rows=rows))
    assert "39 more: see the tables." in made.text
    assert made.figure is not None
    assert made.figure.get_size_inches()[1] < 12


def test_svg_stands_by_itself(svgs: dict[str, str]) -> None:
    assert list(svgs) == NAMES
    ids: set[str] = set()
    for svg in svgs.values():
        assert svg.startswith('<svg viewBox="')
        assert not re.search("http|<script|<image|DOCTYPE|<metadata", svg)
        own = re.findall(r'\bid="([^"]*)"', svg)
        assert set(re.findall(r'(?:href="|url\()#([^")]*)', svg)) <= set(own)
        assert not ids & set(own)
        ids |= set(own)
        assert not re.search(r"(?<!, )#[0-9a-f]{6}", svg.replace("url(#", "")), "a colour that the page cannot change"


def test_svg_is_the_same_each_time(full: Report, svgs: dict[str, str]) -> None:
    again = accuracy_drop(full)
    assert again.figure is not None
    assert to_svg(again.figure, again.name, again.title) == svgs[again.name]


def test_settings_are_put_back() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    with plot_settings():
        assert matplotlib.rcParams["svg.fonttype"] == "none"
    assert dict(matplotlib.rcParams) == before
