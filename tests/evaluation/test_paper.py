from __future__ import annotations

from dataclasses import astuple, replace
from math import nan
from typing import Any

import pytest

from danet.model_spec import ModelSpec
from danet_evaluation.evaluate import Evaluation, Protocol
from danet_evaluation.keypoint_ap import KeypointAP
from danet_evaluation.paper import TABLE_II, ZOO, comparable_row, published_row

BOXES = "COCO_val2017_detections_AP_H_56_person.json"
PAPERS = Evaluation(
    "coco/person_keypoints_val2017", Protocol(BOXES, None, True), 5000, 6352, KeypointAP(*[nan] * 10), (), None
)


@pytest.mark.parametrize(
    "changes",
    [
        {"data": "people17/val"},
        {"data": "coco/person_keypoints_train2017"},
        {"pictures": 100},
        {"protocol": Protocol("ground truth", None, True)},
        {"protocol": Protocol("yolo.json", None, True)},
        {"protocol": Protocol(BOXES, 0.2, True)},
        {"protocol": Protocol(BOXES, None, False)},
    ],
)
def test_an_ap_of_other_data_or_protocol_stands_beside_nothing(changes: dict[str, Any]) -> None:
    spec = ModelSpec(name="danet72")
    row = comparable_row(spec, PAPERS)
    assert row is not None
    assert row.ap == 0.71
    assert comparable_row(spec, replace(PAPERS, protocol=Protocol(BOXES, 0.0, True))) == row
    assert comparable_row(spec, replace(PAPERS, **changes)) is None
    assert comparable_row(replace(spec, input_size=(384, 288)), PAPERS) is None


def test_rows_by_name_and_preset() -> None:
    assert astuple(published_row(ModelSpec(name="danet102-int8")))[4:] == (0.734, 0.906, 0.805, 0.699, 0.786, 0.788)
    zoo = published_row(ModelSpec(name="danet102", preset="zoo"))
    assert zoo is not None
    assert zoo.ap == 0.717
    assert published_row(ModelSpec(name="danet720")) is None
    assert published_row(ModelSpec(name="hrnet-w32")).title == "HRNet-W32"


PAPERS_TABLE_II = """
    hourglass-8         25.2  26.2  66.9  -     -      -     -     -
    cpn-r50             27.0  6.2   68.6  -     -      -     -     -
    simplebaseline-r50  34.0  8.9   70.4  80.6  78.3   67.1  77.2  76.3
    hrnet-w32           28.5  7.1   74.4  90.5  81.9   70.8  81.0  79.8
    mspn-r50            95.5  4.7   73.3  90.45 80.3   69.2  79.4  78.6
    hrnet-w16           6.9   1.9   71.8  89.5  78.9   68.6  76.8  77.2
    mspn-r18            11.7  2.5   70.8  89.5  77.3   66.6  76.9  76.2
    mspn-r34            21.4  4.2   73.1  90.5  80.2   69.1  79.1  78.5
    danet72             3.4   1.0   71.0  89.6  78.1   67.6  76.2  76.6
    danet88             5.3   1.4   71.9  90.0  79.0   68.2  77.3  77.5
    danet98             5.7   1.6   72.8  90.3  79.9   69.2  78.3  78.4
    danet102            5.8   1.8   73.4  90.6  80.5   69.9  78.6  78.8
"""
"""Model, parameters in millions, GFLOPs, AP, AP50, AP75, AP_M, AP_L and AR in per cent; typed off the paper."""
ZOO_AP = {"danet72": 69.8, "danet88": 70.4, "danet98": 71.3, "danet102": 71.7}
"""What the zoo's files are named after."""


def test_table_ii_is_the_papers() -> None:
    typed = [line.split() for line in PAPERS_TABLE_II.strip().splitlines()]
    assert [row.model for row in TABLE_II] == [model for model, *_ in typed]
    for row, (model, *cells) in zip(TABLE_II, typed, strict=True):
        stated = [None if cell == "-" else float(cell) for cell in cells]
        costs, shares = stated[:2], [None if value is None else value / 100 for value in stated[2:]]
        assert astuple(row)[2:4] == tuple(costs), model
        assert astuple(row)[4:] == pytest.approx(shares, abs=1e-12), model


def test_aps_of_the_zoo() -> None:
    assert {row.model: row.ap for row in ZOO} == pytest.approx({name: ap / 100 for name, ap in ZOO_AP.items()})
    assert all(set(astuple(row)[5:]) == {None} for row in ZOO)
