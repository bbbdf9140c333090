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


def test_rows_are_shares() -> None:
    assert len(TABLE_II) == 12
    assert len({row.model for row in TABLE_II}) == 12
    for row in (*TABLE_II, *ZOO):
        values = [value for value in astuple(row)[4:] if value is not None]
        assert all(0.5 < value < 1 for value in values)
