from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from danet.errors import InputError
from danet_evaluation.detections import load_detections

BOX = (10, 20, 60, 80)


def _detection(image_id: int, score: float, box: Any = BOX, category: int = 1) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": category, "bbox": list(box), "score": score}


@pytest.fixture
def write_detections(tmp_path: Path) -> Any:
    def write(items: Any) -> Path:
        path = tmp_path / "detections.json"
        path.write_text(json.dumps(items))
        return path

    return write


def test_persons_with_a_box_to_crop(write_detections: Any) -> None:
    items = [
        _detection(1, 0.6),
        _detection(2, 0.5, (40, 40, 30.5, 20)),
        _detection(1, 0.9, (1, 2, 3, 4)),
        _detection(1, 0.99, category=3),  # no person
        _detection(1, 0.99, (30, 30, 0, 10)),  # nothing to crop
        _detection(2, 0.99, (30, 30, 10, 1e-4)),
    ]
    detections = load_detections(write_detections(items))
    assert detections.name == "detections.json"
    assert detections.min_score is None
    assert detections.by_image[1].boxes.tolist() == [[10, 20, 70, 100], [1, 2, 4, 6]]
    assert detections.by_image[1].scores.tolist() == [0.6, 0.9]
    assert detections.by_image[2].boxes.tolist() == [[40, 40, 70.5, 60]]
    assert detections.count([1, 2]) == 3
    assert detections.count([2, 7]) == 1


def test_at_least_keeps_the_score_itself(write_detections: Any) -> None:
    detections = load_detections(write_detections([_detection(1, 0.6), _detection(1, 0.59), _detection(2, 0.1)]))
    kept = detections.at_least(0.6)
    assert kept.min_score == 0.6
    assert kept.by_image[1].scores.tolist() == [0.6]
    assert kept.count([1, 2]) == 1
    assert detections.count([1, 2]) == 3


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (3, "a JSON int"),
        ({"a.jpg": [[1, 2, 3, 4]]}, "a JSON dict"),
        ([[1, 2, 3, 4]], "item 1: TypeError"),
        ([{"category_id": 1}], "item 1: KeyError: 'image_id'"),
        ([_detection(1, 0.5), _detection(1, 0.5, (1, 2, 3))], "item 2: ValueError"),
        ([_detection(1, float("nan"))], "item 1: ValueError: box and score .* finite"),
        ([_detection(1, 0.5, (1, 2, "wide", 3))], "item 1: ValueError"),
        ([{"category_id": 1, "image_id": [1], "bbox": BOX, "score": 1}], "item 1: TypeError"),
    ],
)
def test_malformed(write_detections: Any, content: Any, where: str) -> None:
    with pytest.raises(InputError, match=rf"detections\.json: {where}.*; expected COCO's detection results, a list of"):
        load_detections(write_detections(content))


def test_not_json_and_missing(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("[{")
    with pytest.raises(InputError, match=r"broken\.json: .*expected COCO's detection results"):
        load_detections(tmp_path / "broken.json")
    with pytest.raises(InputError, match="No such file"):
        load_detections(tmp_path / "absent.json")
