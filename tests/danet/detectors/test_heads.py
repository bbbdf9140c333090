"""Each head on a model with outputs made by hand, in both runtimes: the box is worked out in the comments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from danet.detectors.onnx_detector import OnnxDetector
from danet.errors import DetectorError

from .conftest import MakeModel

BACKENDS = ["onnxruntime", "openvino"]
CELLS = [(x, y, stride) for stride in (8, 16, 32) for y in range(96 // stride) for x in range(96 // stride)]
"""Of a 96 x 96 input: 144 + 36 + 9 = 189."""
WIDE = np.zeros((96, 192, 3), np.uint8)
"""Goes at half its size into rows 0..48 (corner) or 24..72 (centre) of a 96 x 96 input; stretched: x by 1/2, y by 1."""


@dataclass(frozen=True)
class Case:
    head: str
    outputs: Mapping[str, NDArray[Any]]
    boxes: list[list[float]]
    scores: list[float]
    metadata: Mapping[str, str] = field(default_factory=dict)
    name: str = "detector.onnx"
    options: Mapping[str, Any] = field(default_factory=dict)


def yolox_raw(classes: int = 80) -> NDArray[np.float32]:
    rows = np.zeros((189, 5 + classes), np.float32)
    rows[:, :2] = 0.5
    # cell (2, 1) of stride 16: centre (2.25, 1) * 16 = (36, 16), size (2, 1.5) * 16 = (32, 24): (20, 4, 52, 28)
    index = CELLS.index((2, 1, 16))
    rows[index, :5] = 0.25, 0.0, np.log(2), np.log(1.5), 0.8
    rows[index, 5] = 0.9
    # another class scores high elsewhere
    rows[5, 4:7] = 0.9, 0.0, 0.9
    return rows[None]


def centre_rows(anchors: int, y: float) -> NDArray[np.float32]:
    """Decoded, the person's centre in row y; a duplicate of the person, IoU 0.86, must go."""
    table = np.zeros((189 * anchors, 85), np.float32)
    table[:, :2] = np.repeat([((column + 0.5) * s, (row + 0.5) * s) for column, row, s in CELLS], anchors, axis=0)
    table[:, 2:4] = 8
    table[7, :6] = 36, y, 32, 24, 0.8, 0.9
    table[9, :6] = 36, y + 1, 32, 26, 0.8, 0.7
    return table[None]


def yolov8(columns: int, extra: int = 0, person: int = 0) -> NDArray[np.float32]:
    table = np.zeros((189, 4 + columns + extra), np.float32)
    table[:, 2:4] = 8
    table[7, :4] = 36, 40, 32, 24
    table[7, 4 + person] = 0.72
    table[8, :4] = 36, 40, 30, 24
    table[8, 4 + person] = 0.6
    if columns > 1:
        table[20, :2] = 10, 30
        table[20, 4 + (person + 1) % columns] = 0.95
    table[:, 4 + columns :] = 50  # keypoints in pixels: no class scores
    return np.ascontiguousarray(table.T[None])


def end_to_end() -> NDArray[np.float32]:
    rows = np.zeros((300, 6), np.float32)
    rows[0] = 20, 28, 52, 52, 0.72, 0
    rows[1] = 21, 28, 52, 52, 0.7, 16  # a dog
    rows[2] = 20, 28, 51, 52, 0.5, 0  # overlaps, but NMS is the model's affair
    rows[3] = 0, 28, 9, 38, 0.1, 0
    return rows[None]


def dets() -> dict[str, NDArray[Any]]:
    rows = np.array([[[20, 4, 52, 28, 0.72], [0, 0, 30, 30, 0.7], [1, 1, 2, 2, 0.01]]], np.float32)
    return {"dets": rows, "labels": np.array([[0, 3, 0]], np.int64)}


def ssd_boxes(scale: float) -> NDArray[np.float32]:
    return np.array([[[20, 4, 52, 28], [20, 5, 52, 28], [1, 1, 30, 60]]], np.float32) / np.float32(scale)


FAINT = np.array([[[0.0], [0.0], [1.0]]], np.float32)
"""Of the boxes of `ssd_boxes` that of no person."""


def coco_columns(count: int, person: int) -> NDArray[np.float32]:
    """Scores for `ssd_boxes`; the third box is something else."""
    table = np.full((1, 3, count), 0.01, np.float32)
    table[0, :, person] = 0.72, 0.6, 0.01
    table[0, 2, (person + 1) % count] = 0.9
    return table


def tensorflow() -> dict[str, NDArray[Any]]:
    return {
        "detection_boxes": (ssd_boxes(96)[:, :, (1, 0, 3, 2)]),
        "detection_classes": np.array([[1, 18, 1]], np.float32),
        "detection_scores": np.array([[0.72, 0.7, 0.01]], np.float32),
        "num_detections": np.array([3], np.float32),
    }


def detection_output(person: int) -> dict[str, NDArray[Any]]:
    rows = [
        [0, person, 0.72, 20 / 96, 4 / 96, 52 / 96, 28 / 96],
        [0, 2, 0.9, 0, 0, 1, 1],
        [-1, 0, 0, 0, 0, 0, 0],
        [0, person, 0.9, 0, 0, 1, 1],  # left from an earlier picture
    ]
    return {"detection_out": np.array(rows, np.float32)[None, None]}


PERSON_CORNER = [[40.0, 8.0, 104.0, 56.0]]
"""(20, 4, 52, 28) twice as large."""
PERSON_CENTRE = [[40.0, 8.0, 104.0, 56.0]]
"""(20, 28, 52, 52) less 24 rows, twice as large."""
PERSON_STRETCHED = [[40.0, 4.0, 104.0, 28.0]]
"""(20, 4, 52, 28), twice as wide."""
COLUMNS = np.array([[[0.1, 0.72, 0.1], [0.1, 0.6, 0.1], [0.0, 0.01, 0.9]]], np.float32)
"""Background, person, something."""
NAMES = {"names": "{0: 'cat', 1: 'dog', 2: 'person'}", "task": "detect", "stride": "32"}

CASES = {
    "yolox": Case("yolox", {"output": yolox_raw()}, PERSON_CORNER, [0.72]),
    "yolox one class": Case("yolox", {"output": yolox_raw(2)[:, :, :6]}, PERSON_CORNER, [0.72]),
    "yolox decoded": Case("yolox-decoded", {"output": centre_rows(1, 16)}, PERSON_CORNER, [0.72]),
    "yolox dets": Case("yolox-nms", dets(), PERSON_CORNER, [0.72], name="yolox_m_humanart.onnx"),
    "rtmdet": Case("rtmdet", dets(), PERSON_CORNER, [0.72], name="RTMDet-nano.onnx"),
    "rtmdet told": Case("rtmdet", dets(), PERSON_CORNER, [0.72], options={"head": "rtmdet"}),
    "yolov5": Case(
        "yolov5",
        {"output0": centre_rows(3, 40), "raw": np.zeros((1, 3, 12, 12, 85), np.float32)},
        PERSON_CENTRE,
        [0.72],
    ),
    "yolov6": Case("yolov5", {"outputs": centre_rows(1, 40)}, PERSON_CENTRE, [0.72]),
    "yolov8": Case("yolov8", {"output0": yolov8(80)}, PERSON_CENTRE, [0.72]),
    "yolov8 one class": Case("yolov8", {"output0": yolov8(1)}, PERSON_CENTRE, [0.72]),
    "yolov8 names": Case("yolov8", {"output0": yolov8(3, person=2)}, PERSON_CENTRE, [0.72], NAMES),
    "yolov8 model_info": Case(
        "yolov8", {"output0": yolov8(3, person=2)}, PERSON_CENTRE, [0.72], {"labels": "cat dog person"}
    ),
    "yolov8 pose": Case(
        "yolov8", {"output0": yolov8(1, extra=51)}, PERSON_CENTRE, [0.72], {"names": "{0: 'person'}", "task": "pose"}
    ),
    "yolov8 masks": Case(
        "yolov8",
        {"output0": yolov8(3, 32, person=2), "output1": np.zeros((1, 32, 16, 16), np.float32)},
        PERSON_CENTRE,
        [0.72],
        {**NAMES, "task": "segment"},
    ),
    "yolov8 transposed, told": Case(
        "yolov8", {"o": yolov8(80).transpose(0, 2, 1)}, PERSON_CENTRE, [0.72], options={"head": "yolov8"}
    ),
    "end to end": Case(
        "end-to-end", {"output0": end_to_end()}, [*PERSON_CENTRE, [40.0, 8.0, 102.0, 56.0]], [0.72, 0.5]
    ),
    "ssd, 0..1, classes": Case("ssd", {"boxes": ssd_boxes(96), "scores": COLUMNS}, PERSON_STRETCHED, [0.72]),
    "ssd, scores first": Case("ssd", {"scores": COLUMNS, "boxes": ssd_boxes(96)}, PERSON_STRETCHED, [0.72]),
    "ssd, pixels, labels": Case(
        "ssd",
        {
            "boxes": ssd_boxes(1)[0],
            "labels": np.array([1, 1, 2], np.int64),
            "scores": np.array([0.72, 0.7, 0.9], np.float32),
        },
        PERSON_STRETCHED,
        [0.72],
    ),
    "ssd, float labels": Case(
        "ssd",
        {
            "detection_classes": np.array([[1, 1, 2]], np.float32),
            "boxes": ssd_boxes(96),
            "class_scores": np.array([[0.72, 0.7, 1.0]], np.float32),
        },
        PERSON_STRETCHED,
        [0.72],
    ),
    "ssd, scores only": Case(
        "ssd",
        {"boxes": ssd_boxes(96), "scores": np.array([[0.72, 0.6, 0.01]], np.float32)},
        PERSON_STRETCHED,
        [0.72],
    ),
    "ssd, four boxes, scores and labels first": Case(
        "ssd",
        {
            "scores": np.array([[0.72, 0.7, 0.9, 0.01]], np.float32),
            "labels": np.array([[1, 1, 2, 1]], np.int64),
            "boxes": np.concatenate((ssd_boxes(96), np.zeros((1, 1, 4), np.float32)), axis=1),
        },
        PERSON_STRETCHED,
        [0.72],
    ),
    "ssd, four classes": Case("ssd", {"boxes": ssd_boxes(96), "scores": coco_columns(4, 1)}, PERSON_STRETCHED, [0.72]),
    "ssd, four classes, scores first": Case(
        "ssd", {"class_scores": coco_columns(4, 1), "pred_boxes": ssd_boxes(96)}, PERSON_STRETCHED, [0.72]
    ),
    "ssd, four classes, scores named alone": Case(
        "ssd", {"conf": coco_columns(4, 1), "output1": ssd_boxes(96)}, PERSON_STRETCHED, [0.72]
    ),
    "ssd, 0..1, a faint anchor beyond the picture": Case(
        "ssd", {"boxes": ssd_boxes(96) + FAINT * 2.1, "scores": COLUMNS}, PERSON_STRETCHED, [0.72]
    ),
    "ssd, pixels, a faint anchor that is no number": Case(
        "ssd",
        {"boxes": np.where(FAINT > 0, np.float32(np.nan), ssd_boxes(1)), "scores": COLUMNS},
        PERSON_STRETCHED,
        [0.72],
    ),
    "ssd, pixels, one box and padding": Case(
        "ssd", {"boxes": ssd_boxes(1) * (1 - FAINT), "scores": COLUMNS}, PERSON_STRETCHED, [0.72]
    ),
    "ssd, pixels, more padding with -1 than boxes": Case(  # KerasCV
        "ssd",
        {
            "boxes": np.concatenate((ssd_boxes(1)[0, :2], np.full((7, 4), -1, np.float32)))[None],
            "scores": np.array([[0.72, 0.6, *[-1.0] * 7]], np.float32),
            "labels": np.array([[1, 1, *[-1] * 7]], np.int64),
        },
        PERSON_STRETCHED,
        [0.72],
    ),
    "ssd, boxes in two forms": Case(
        "ssd", {"out0": ssd_boxes(96), "out1": COLUMNS, "out2": ssd_boxes(96) / 2}, PERSON_STRETCHED, [0.72]
    ),
    "ssd, no background among 80": Case(  # YOLO-NAS, DAMO-YOLO
        "ssd", {"boxes": ssd_boxes(1), "scores": coco_columns(80, 0)}, PERSON_STRETCHED, [0.72]
    ),
    "ssd, background among 81": Case(
        "ssd", {"boxes": ssd_boxes(1), "scores": coco_columns(81, 1)}, PERSON_STRETCHED, [0.72]
    ),
    "ssd, background among 91": Case(
        "ssd", {"boxes": ssd_boxes(1), "scores": coco_columns(91, 1)}, PERSON_STRETCHED, [0.72]
    ),
    "ssd, one class": Case(
        "ssd", {"boxes": ssd_boxes(1), "scores": coco_columns(2, 0)[:, :, :1]}, PERSON_STRETCHED, [0.72]
    ),
    "ssd, 80 classes, told": Case(
        "ssd",
        {"boxes": ssd_boxes(1), "scores": coco_columns(80, 1)},
        PERSON_STRETCHED,
        [0.72],
        options={"person_class": 1},
    ),
    "ssd, YOLO-NAS with NMS": Case(
        "ssd",
        {
            "num_predictions": np.array([[2]], np.int64),
            "pred_boxes": ssd_boxes(1),
            "pred_scores": np.array([[0.72, 0.7, 0.0]], np.float32),
            "pred_classes": np.array([[0, 1, 0]], np.int64),
        },
        PERSON_STRETCHED,
        [0.72],
    ),
    "tensorflow": Case("tensorflow", tensorflow(), PERSON_STRETCHED, [0.72]),
    "tensorflow, converted": Case(
        "tensorflow",
        {f"{name}:0": output for name, output in tensorflow().items()}
        | {"raw_detection_boxes:0": ssd_boxes(96), "detection_multiclass_scores:0": COLUMNS},
        PERSON_STRETCHED,
        [0.72],
    ),
    "detection output": Case("detection-output", detection_output(1), PERSON_STRETCHED, [0.72]),
    "detection output, persons 0": Case(
        "detection-output", detection_output(0), PERSON_STRETCHED, [0.72], name="person-detection-0200.onnx"
    ),
    "detection output, retail": Case(
        "detection-output", detection_output(1), PERSON_STRETCHED, [0.72], name="person-detection-retail-0013.onnx"
    ),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_head(case: Case, backend: str, constant_model: MakeModel) -> None:
    path = constant_model(case.outputs, metadata=case.metadata, name=case.name)
    detector = OnnxDetector(path, backend=backend, **case.options)
    assert detector.head == case.head
    found = detector.detect(WIDE)
    assert (found.boxes.dtype, found.scores.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(found.boxes, case.boxes, atol=1e-3)
    np.testing.assert_allclose(found.scores, case.scores, atol=1e-5)


def test_boxes_and_scores_that_nothing_tells_apart(constant_model: MakeModel) -> None:
    path = constant_model({"first": coco_columns(4, 1), "second": ssd_boxes(96)})
    with pytest.raises(DetectorError, match=r'2 outputs .* one may be boxes .* name one of them "boxes"'):
        OnnxDetector(path, head="ssd").detect(WIDE)


def test_person_class_may_be_told(constant_model: MakeModel) -> None:
    path = constant_model({"output0": yolov8(3, person=2)})
    # (6, 26, 14, 34) of class 0
    np.testing.assert_allclose(OnnxDetector(path).detect(WIDE).boxes, [[12, 4, 28, 20]], atol=1e-4)
    np.testing.assert_allclose(OnnxDetector(path, person_class=2).detect(WIDE).boxes, PERSON_CENTRE, atol=1e-4)


def test_thresholds(constant_model: MakeModel) -> None:
    path = constant_model({"output0": yolov8(80)})
    assert len(OnnxDetector(path, score_threshold=0.73).detect(WIDE).boxes) == 0
    both = OnnxDetector(path, nms_threshold=0.99).detect(WIDE)  # IoU of the two: 30 / 32
    np.testing.assert_allclose(both.scores, [0.72, 0.6], atol=1e-6)
    assert len(OnnxDetector(path, nms_threshold=0.99, max_detections=1).detect(WIDE).boxes) == 1
    # an export that has NMS inside gets it again only when asked
    path = constant_model({"output0": end_to_end()})
    assert len(OnnxDetector(path, nms_threshold=0.5).detect(WIDE).boxes) == 1


def test_boxes_are_clipped_and_what_is_left_of_nothing_goes(constant_model: MakeModel) -> None:
    rows = np.array(
        [
            [-30, 10, 20, 90, 0.9, 0],  # the frame is rows 24..72
            [97, 30, 120, 40, 0.9, 0],  # right of it
            [10, 2, 30, 23.9, 0.9, 0],  # in the padding above
            [30, 30, 30, 40, 0.9, 0],  # no width
            [np.nan, 20, 30, 40, 0.9, 0],
            [10, 20, np.inf, 40, 0.9, 0],
        ],
        np.float32,
    )[None]
    found = OnnxDetector(constant_model({"output0": rows})).detect(WIDE)
    np.testing.assert_allclose(found.boxes, [[0, 0, 40, 96]])


def test_no_person(constant_model: MakeModel) -> None:
    for outputs in ({"output0": np.zeros((1, 300, 6), np.float32)}, {"output0": np.zeros((1, 84, 189), np.float32)}):
        found = OnnxDetector(constant_model(outputs)).detect(WIDE)
        assert (found.boxes.shape, found.scores.shape) == ((0, 4), (0,))
        assert found.boxes.dtype == np.float32
