from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray
from tests.conftest import SHARED, needs_shared

from danet.detectors.base import Detector
from danet.detectors.network import open_network
from danet.detectors.onnx_detector import OnnxDetector
from danet.embedded import embedded_model
from danet.errors import DetectorError, InputError, MissingExtraError
from danet.model_spec import SPEC_KEY

from .conftest import VIDEO, YOLOX, MakeModel, iou, matched

BACKENDS = [pytest.param("onnxruntime", marks=pytest.mark.needs("onnxruntime")), "openvino"]
POSE_MODEL = SHARED / "models" / "pp_tinypose_256x192.xml"
UINT8, FLOAT16 = 2, 10
"""onnx.TensorProto's, for environments without onnx."""
COLORED = np.full((96, 96, 3), (40, 90, 10), np.uint8)
"""BGR."""
WALKERS = {
    0: [[402, 151, 427, 202], [158, 137, 177, 193], [314, 98, 331, 145]],
    250: [
        [372, 158, 400, 221],
        [235, 141, 264, 204],
        [341, 117, 361, 165],
        [120, 94, 140, 140],
        [23, 107, 40, 152],
        [395, 76, 410, 116],
        [413, 80, 425, 116],
    ],
    400: [[430, 188, 465, 257], [367, 82, 386, 128], [170, 121, 191, 179]],
    600: [
        [354, 123, 374, 177],
        [176, 270, 211, 360],
        [400, 190, 421, 257],
        [418, 131, 441, 187],
        [282, 187, 310, 262],
        [116, 92, 131, 134],
    ],
}
"""Persons of walking.avi by frame, read off pictures by eye to about two pixels."""


def test_it_is_a_detector(constant_model: MakeModel) -> None:
    detector = OnnxDetector(constant_model({"output0": np.zeros((1, 300, 6), np.float32)}))
    assert isinstance(detector, Detector)
    assert (detector.input_size, detector.person_class) == ((96, 96), 0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (10 / 255, 90 / 255)),  # the head's own: RGB in 0..1
        ({"color": "BGR"}, (40 / 255, 90 / 255)),
        ({"scale": 0.5}, (5, 45)),
        ({"scale": 1, "mean": (4, 10, 0), "std": (3, 4, 1)}, (2, 20)),
        ({"scale": 0.1, "mean": (0.5, 1, 0), "std": (0.25, 0.5, 1)}, (2, 16)),
    ],
)
def test_what_the_network_gets(
    mean_color_model: MakeModel, backend: str, options: dict[str, Any], expected: tuple[float, float]
) -> None:
    factor = 96 / max(expected) / 2  # so that the box is of a size that is kept
    detector = OnnxDetector(mean_color_model(factor=factor), backend=backend, **options)
    boxes = detector.detect(COLORED).boxes
    np.testing.assert_allclose(boxes, [[0, 0, expected[0] * factor, expected[1] * factor]], rtol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_uint8_and_channels_last(mean_color_model: MakeModel, backend: str) -> None:
    path = mean_color_model(shape=(1, 96, 96, 3), channels_last=True, dtype=UINT8)
    detector = OnnxDetector(path, backend=backend)
    np.testing.assert_allclose(detector.detect(COLORED).boxes, [[0, 0, 10, 90]], rtol=1e-5)


def test_grey_and_bgra_frames(mean_color_model: MakeModel) -> None:
    detector = OnnxDetector(mean_color_model(factor=255))
    np.testing.assert_allclose(detector.detect(np.full((96, 96), 33, np.uint8)).boxes, [[0, 0, 33, 33]], rtol=1e-4)
    bgra = np.dstack((COLORED, np.zeros((96, 96), np.uint8)))
    np.testing.assert_allclose(detector.detect(bgra).boxes, [[0, 0, 10, 90]], rtol=1e-4)
    with pytest.raises(InputError, match="float32"):
        detector.detect(np.zeros((96, 96, 3), np.float32))


@pytest.mark.parametrize("backend", BACKENDS)
def test_dynamic_input(constant_model: MakeModel, backend: str) -> None:
    rows = {"output0": np.array([[[64, 80, 320, 400, 0.9, 0]]], np.float32)}
    shape = ("n", 3, "h", "w")
    frame = np.zeros((100, 100, 3), np.uint8)
    plain = OnnxDetector(constant_model(rows, shape=shape), backend=backend)
    assert plain.input_size == (640, 640)
    np.testing.assert_allclose(plain.detect(frame).boxes, [[10, 12.5, 50, 62.5]])
    stated = OnnxDetector(constant_model(rows, shape=shape, metadata={"imgsz": "[800, 800]"}), backend=backend)
    np.testing.assert_allclose(stated.detect(frame).boxes, [[8, 10, 40, 50]])
    told = OnnxDetector(constant_model(rows, shape=shape), backend=backend, input_size=(400, 1000))
    assert told.input_size == (400, 1000)  # the frame is 400 wide there, 300 from the left: -236 is clipped
    np.testing.assert_allclose(told.detect(frame).boxes, [[0, 20, 5, 100]])
    with pytest.raises(InputError, match="fixed"):
        OnnxDetector(constant_model(rows), backend=backend, input_size=64)


def test_half_precision(constant_model: MakeModel) -> None:
    rows = np.array([[[10, 20, 30, 40, 0.9, 0]]], np.float16)
    detector = OnnxDetector(constant_model({"output0": rows}, dtype=FLOAT16))
    np.testing.assert_allclose(detector.detect(COLORED).boxes, [[10, 20, 30, 40]])


def test_openvino_ir(constant_model: MakeModel, tmp_path: Path) -> None:
    rows = np.array([[[10, 20, 30, 40, 0.9, 2]]], np.float32)
    model = ov.Core().read_model(constant_model({"output0": rows}))
    model.set_rt_info("cat dog person", ["model_info", "labels"])
    ov.save_model(model, tmp_path / "ir.xml")
    np.testing.assert_allclose(OnnxDetector(tmp_path / "ir.xml").detect(COLORED).boxes, [[10, 20, 30, 40]])
    with pytest.raises(DetectorError, match="backend='openvino'"):
        OnnxDetector(tmp_path / "ir.xml", backend="onnxruntime")
    (tmp_path / "ir.bin").unlink()
    with pytest.raises(DetectorError, match=r"ir\.xml: OpenVINO cannot read it .*\.bin"):
        OnnxDetector(tmp_path / "ir.xml")


def test_without_onnxruntime(constant_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    path = constant_model({"output0": np.array([[[10, 20, 30, 40, 0.9, 0]]], np.float32)})
    assert type(open_network(path, None, 1)).__name__ == "OnnxRuntimeNetwork"
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr("danet.errors.find_spec", lambda name: None)
    assert type(open_network(path, None, 1)).__name__ == "OpenVinoNetwork"
    with pytest.raises(MissingExtraError, match=r"danet-edge\[onnxruntime\]"):
        OnnxDetector(path, backend="onnxruntime")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_network_that_fails_on_its_input(mean_color_model: MakeModel, backend: str) -> None:
    detector = OnnxDetector(mean_color_model(), backend=backend)
    with pytest.raises(DetectorError, match=r"failed on an input of \(1, 3, 7, 7\)"):
        detector._network.run(np.zeros((1, 3, 7, 7), np.float32))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("content", [b"", b"not a model", None])
def test_damaged_file(constant_model: MakeModel, backend: str, content: bytes | None) -> None:
    path = constant_model({"output0": np.zeros((1, 300, 6), np.float32)})
    path.write_bytes(path.read_bytes()[:-2000] if content is None else content)
    with pytest.raises(DetectorError, match=r"detector\.onnx: "):
        OnnxDetector(path, backend=backend)


def test_the_embedded_pose_model() -> None:
    path = embedded_model("danet72")
    assert path is not None
    with pytest.raises(DetectorError, match="a pose model of danet, no person detector; give it to PoseEstimator"):
        OnnxDetector(path)


@pytest.mark.parametrize("backend", BACKENDS)
def test_models_that_are_no_detectors(constant_model: MakeModel, backend: str) -> None:
    maps = {"heatmaps": np.zeros((1, 17, 24, 24), np.float32)}
    with pytest.raises(DetectorError, match="a pose model of danet"):
        OnnxDetector(constant_model(maps, metadata={SPEC_KEY: "{}"}), backend=backend)
    path = constant_model({"logits": np.zeros((1, 1000), np.float32)})
    with pytest.raises(DetectorError, match=r"logits \(1, 1000\) float32 .*'yolox', .*'detection-output'"):
        OnnxDetector(path, backend=backend)
    path = constant_model({"output0": np.zeros((1, 20, 189), np.float32)}, metadata={"task": "obb"})
    with pytest.raises(DetectorError, match="task 'obb'"):
        OnnxDetector(path, backend=backend)


def test_ambiguous_outputs_are_not_guessed(constant_model: MakeModel) -> None:
    path = constant_model({"dets": np.zeros((1, 2, 5), np.float32), "labels": np.zeros((1, 2), np.int64)})
    with pytest.raises(DetectorError, match=r"dets \(1, 2, 5\) .* say head= \(--head\) one of 'rtmdet', 'yolox-nms'"):
        OnnxDetector(path)


def queries(classes: int, seed: int = 0) -> NDArray[np.float32]:
    """Rows of an RT-DETR, (1, 300, 4 + C): centre, size, sigmoid scores of a grey picture."""
    generator = np.random.default_rng(seed)
    boxes, scores = generator.uniform(0.1, 0.6, (300, 4)), generator.uniform(0.001, 0.01, (300, classes))
    return np.concatenate((boxes, scores), axis=1)[None].astype(np.float32)


def rows_of_cells(columns: NDArray[np.floating], size: int = 96) -> NDArray[np.float32]:
    """Boxes xyxy of each cell of YOLO's strides, and these columns (C,) behind them."""
    count = sum((size // stride) ** 2 for stride in (8, 16, 32))
    boxes = np.tile((20, 20, 60, 80), (count, 1))
    return np.concatenate((boxes, np.tile(columns, (count, 1))), axis=1)[None].astype(np.float32)


LOGITS = np.random.default_rng(1).normal(-4, 1, (1, 300, 80)).astype(np.float32)
UNREAD: dict[str, tuple[dict[str, NDArray[Any]], dict[str, str], str]] = {
    "RT-DETR by Hugging Face": (
        {"logits": LOGITS, "pred_boxes": queries(0)},
        {},
        r"logits \(1, 300, 80\) .* are rows of a DETR, not read here; pass a callable",
    ),
    "RF-DETR": (
        {"dets": queries(0), "labels": LOGITS},
        {},
        r"scores from -\S+ to -?\S+, expected probabilities in 0..1; export it with its sigmoid .* DETR",
    ),
    "DETR with a sigmoid": (
        {"boxes": queries(0), "scores": queries(80)[:, :, 4:]},
        {},
        r"boxes by centre and size, expected two corners\. .* DETR",
    ),
    "RT-DETR of two classes": ({"output0": queries(2)}, {}, "of no detector known here"),
    "RT-DETR by Ultralytics": (
        {"output0": queries(2)},
        {
            "description": "Ultralytics rtdetr-l model trained on coco.yaml",
            "task": "detect",
            "names": "{0: 'person', 1: 'dog'}",
        },
        "an RT-DETR by its description, whose rows are not read here",
    ),
    "DeepStream": ({"output": rows_of_cells(np.array((0.01, 17)))}, {}, "of no detector known here"),
    "DeepStream, one class": ({"output": rows_of_cells(np.array((0.01, 0)))}, {}, "of no detector known here"),
    "NanoDet": (
        {"output": rows_of_cells(np.concatenate((np.full(76, 0.01), np.linspace(-3, 5, 32))))},
        {},
        "of no detector known here",
    ),
    "TensorFlow without classes": (
        {
            "detection_boxes": np.full((1, 9, 4), 0.5, np.float32),
            "detection_scores": np.full((1, 9), 0.1, np.float32),
        },
        {},
        "TensorFlow's boxes, y before x, without one of .*detection_classes",
    ),
}
"""Outputs, metadata and message of exports that look like others, but are not read."""


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("outputs", "metadata", "message"), UNREAD.values(), ids=UNREAD.keys())
def test_exports_that_look_like_others(
    constant_model: MakeModel,
    backend: str,
    outputs: dict[str, NDArray[Any]],
    metadata: dict[str, str],
    message: str,
) -> None:
    path = constant_model(outputs, metadata=metadata)
    with pytest.raises(DetectorError, match=message):
        OnnxDetector(path, backend=backend)


def test_a_yolo_trained_on_what_is_called_rtdetr(constant_model: MakeModel) -> None:
    described = "Ultralytics YOLOv8n model trained on /data/rtdetr/coco.yaml"
    path = constant_model({"output0": np.zeros((1, 84, 189), np.float32)}, metadata={"description": described})
    assert OnnxDetector(path).head == "yolov8"


@pytest.mark.parametrize("backend", BACKENDS)
def test_tensorflow_told_wrongly(constant_model: MakeModel, backend: str) -> None:
    path = constant_model({"output0": np.zeros((1, 300, 6), np.float32)})
    with pytest.raises(DetectorError, match="no output named detection_boxes or detection_scores"):
        OnnxDetector(path, backend=backend, head="tensorflow")


@pytest.mark.parametrize(
    ("head", "message"), [("yolox", "300 rows"), ("rtmdet", r"dets of shape"), ("ssd", "boxes of shape")]
)
def test_head_told_wrongly(constant_model: MakeModel, head: str, message: str) -> None:
    path = constant_model({"output0": np.zeros((1, 300, 6), np.float32)})
    with pytest.raises(DetectorError, match=message):
        OnnxDetector(path, head=head)


def test_classes_without_a_person(constant_model: MakeModel) -> None:
    outputs = {"output0": np.zeros((1, 6, 189), np.float32)}
    path = constant_model(outputs, metadata={"names": "{0: 'cat', 1: 'dog'}"})
    with pytest.raises(DetectorError, match=r"cat, dog.*person_class= \(--person-class\)"):
        OnnxDetector(path)
    assert OnnxDetector(path, person_class=1).person_class == 1
    with pytest.raises(DetectorError, match="person_class 2, but the model has 2 classes"):
        OnnxDetector(path, person_class=2)


def test_logits_are_refused(constant_model: MakeModel) -> None:
    detector = OnnxDetector(constant_model({"output0": np.array([[[10, 20, 30, 40, 7.5, 0]]], np.float32)}))
    with pytest.raises(DetectorError, match=r"a score of 7\.5"):
        detector.detect(COLORED)


@pytest.mark.parametrize("shape", [(2, 3, 96, 96), (1, 4, 96, 96), (1, 96)])
def test_inputs_that_are_no_picture(constant_model: MakeModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(DetectorError, match="expected"):
        OnnxDetector(constant_model({"output0": np.zeros((1, 300, 6), np.float32)}, shape=shape))


@pytest.mark.parametrize(
    "options",
    [
        {"head": "yolo"},
        {"backend": "tensorrt"},
        {"threads": 0},
        {"score_threshold": 1.5},
        {"score_threshold": float("nan")},
        {"nms_threshold": -0.1},
        {"max_detections": 0},
        {"input_size": 0},
        {"color": "rgb"},
        {"fit": "crop"},
        {"scale": 0},
        {"mean": (1, 2)},
        {"std": (1, 0, 1)},
    ],
)
def test_arguments_out_of_range(constant_model: MakeModel, options: dict[str, Any]) -> None:
    path = constant_model({"output0": np.zeros((1, 300, 6), np.float32)}, shape=(1, 3, "h", "w"))
    name, value = next(iter(options.items()))
    with pytest.raises(InputError, match=name) as raised:
        OnnxDetector(path, **options)
    assert repr(value) in str(raised.value)


@needs_shared(VIDEO, YOLOX)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("index", WALKERS)
def test_walkers_are_found(walking: dict[int, NDArray[np.uint8]], backend: str, index: int) -> None:
    detector = OnnxDetector(YOLOX, backend=backend)
    assert detector.head == "yolox"
    found = detector.detect(walking[index])
    persons = np.array(WALKERS[index], float)
    assert len(matched(found.boxes, persons)) == len(persons)
    assert np.mean(matched(found.boxes, persons)) > 0.75
    # the blue sign at the left is taken for a person; nothing else is
    others = found.boxes[iou(found.boxes, persons).max(1) < 0.5]
    assert (others[:, 2] < 35).all()
    assert (np.diff(found.scores) <= 0).all()


@pytest.mark.parametrize("head", ["end-to-end", "detection-output"])
def test_a_head_whose_columns_are_not_there(constant_model: MakeModel, head: str) -> None:
    with pytest.raises(DetectorError, match=rf"none of head '{head}' .*; say another head="):
        OnnxDetector(constant_model({"a": np.zeros((1, 188, 5), np.float32)}), head=head)


@needs_shared(VIDEO, YOLOX)
@pytest.mark.needs("onnxruntime")
def test_runtimes_and_threads_agree(walking: dict[int, NDArray[np.uint8]]) -> None:
    frames = list(walking.values())
    expected = [OnnxDetector(YOLOX, backend="onnxruntime").detect(frame) for frame in frames]
    for backend in ("onnxruntime", "openvino"):
        detector = OnnxDetector(YOLOX, backend=backend, threads=1)
        with ThreadPoolExecutor(4) as pool:
            for want, got in zip(expected, pool.map(detector.detect, frames), strict=True):
                np.testing.assert_allclose(got.boxes, want.boxes, atol=1e-2)
                np.testing.assert_allclose(got.scores, want.scores, atol=1e-4)


@needs_shared(POSE_MODEL, POSE_MODEL.with_suffix(".bin"))
def test_a_foreign_pose_model_is_not_recognised() -> None:
    with pytest.raises(DetectorError, match=r"\(1, 17, 64, 48\)"):
        OnnxDetector(POSE_MODEL)


def test_a_table_that_is_filled_up(constant_model: MakeModel) -> None:
    """A picture of nobody: all rows are padding (KerasCV's are -1 throughout), and one may not be finite."""
    scores = np.full((1, 100), -1, np.float32)
    boxes, labels = np.full((1, 100, 4), -1, np.float32), np.full((1, 100), -1, np.int64)
    outputs = {"boxes": boxes, "confidence": scores, "classes": labels}
    assert OnnxDetector(constant_model(outputs)).head == "ssd"
    table = np.full((1, 20, 21), 0.01, np.float32)
    table[0, 3, 5] = np.nan
    boxes = np.tile(np.array((0.1, 0.1, 0.5, 0.5), np.float32), (1, 20, 1))
    assert OnnxDetector(constant_model({"boxes": boxes, "scores": table})).head == "ssd"


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_a_yolox_of_one_class_that_is_quite_sure(constant_model: MakeModel, score: float) -> None:
    """In half precision a sigmoid ends in 0 and 1; boxes are by centre and size, not by corners."""
    rows = np.zeros((1, 189, 6), np.float32)
    rows[0, :, :4] = 40, 60, 20, 30
    rows[0, :, 4:] = 0.01, score
    assert OnnxDetector(constant_model({"output": rows})).head.startswith("yolox")


@pytest.mark.parametrize("person_class", ["person", 1.0, True])
def test_a_person_class_that_is_no_number(person_class: Any, constant_model: MakeModel) -> None:
    path = constant_model({"output0": np.zeros((1, 84, 189), np.float32)})
    with pytest.raises(InputError, match=r"person_class .*, expected its number"):
        OnnxDetector(path, person_class=person_class)
