"""The figures of docs/detectors.md: pytest -m slow -s tests/danet/detectors/test_measured.py."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.conftest import SHARED, needs_shared

from danet.detectors.base import Detections, Detector
from danet.detectors.hog_detector import HogDetector
from danet.detectors.onnx_detector import OnnxDetector
from danet.scenes.scene import render_scene

from .conftest import VIDEO, YOLOX, iou, matched

pytestmark = pytest.mark.slow
PEOPLE17 = SHARED / "people17"
THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
SIGN = np.array([[19, 68, 30, 89]])
"""In walking.avi; the reference takes it for a person."""


@pytest.fixture(scope="module")
def frames() -> list[NDArray[np.uint8]]:
    """Every 50th of walking.avi from the 25th: not those that HogDetector's constants were fitted on (0, 50, ...)."""
    capture = cv2.VideoCapture(str(VIDEO))
    chosen = []
    for index in range(795):
        capture.grab()
        if index % 50 == 25:
            chosen.append(np.asarray(capture.retrieve()[1], np.uint8))
    return chosen


def above(found: Detections, threshold: float) -> NDArray[np.float32]:
    return found.boxes[found.scores >= threshold]


def rates(found: list[Detections], persons: list[NDArray[np.floating]], threshold: float) -> tuple[float, float]:
    """Recall and precision at IoU 0.5."""
    boxes = [above(one, threshold) for one in found]
    right = sum(len(matched(mine, theirs)) for mine, theirs in zip(boxes, persons, strict=True))
    return right / sum(map(len, persons)), right / max(1, sum(map(len, boxes)))


@needs_shared(VIDEO, YOLOX)
def test_hog_on_the_video(frames: list[NDArray[np.uint8]]) -> None:
    reference = OnnxDetector(YOLOX, score_threshold=0.65)
    persons = [found[iou(found, SIGN)[:, 0] < 0.3] for found in (reference.detect(one).boxes for one in frames)]
    print(f"\nwalking.avi: {len(frames)} frames, {sum(map(len, persons))} persons by yolox_nano at 0.65")
    for smallest in (0.1, 0.12, 0.15, 0.2):
        detector = HogDetector(smallest=smallest, score_threshold=0.2)
        found = [detector.detect(one) for one in frames]
        for threshold in THRESHOLDS:
            recall, precision = rates(found, persons, threshold)
            print(f"hog smallest {smallest}, score {threshold}: recall {recall:.2f}, precision {precision:.2f}")
            if (smallest, threshold) == (0.1, 0.4):
                assert recall > 0.75
                assert precision > 0.7


def people17() -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.float64]]]:
    content = json.loads((PEOPLE17 / "val.json").read_text())
    boxes = {one["image_id"]: one["bbox"] for one in content["annotations"]}
    for entry in content["images"]:
        path = PEOPLE17 / "images" / entry["file_name"]
        left, top, width, height = boxes[entry["id"]]
        person = np.array([[left, top, left + width, top + height]])
        yield entry["source"], np.asarray(cv2.imread(str(path)), np.uint8), person


def detector_of(name: str, smallest: float) -> Detector:
    if name == "hog":
        return HogDetector(smallest=smallest, score_threshold=0.2)
    return OnnxDetector(YOLOX, score_threshold=0.2)


@needs_shared(PEOPLE17)
@pytest.mark.parametrize("name", [pytest.param("yolox_nano", marks=needs_shared(YOLOX)), "hog"])
def test_recall_on_photos(name: str) -> None:
    detector = detector_of(name, 0.5)
    hits: dict[tuple[str, float], list[bool]] = defaultdict(list)
    for source, picture, person in people17():
        found = detector.detect(picture)
        for threshold in THRESHOLDS:
            hits[source, threshold].append(bool(matched(above(found, threshold), person)))
    print()
    for (source, threshold), values in sorted(hits.items()):
        print(f"{name} people17 val {source}, score {threshold}: recall {np.mean(values):.2f} of {len(values)}")
    assert np.mean(hits["fashion", 0.4]) > 0.8


@pytest.mark.parametrize("name", [pytest.param("yolox_nano", marks=needs_shared(YOLOX)), "hog"])
def test_rendered_scenes(name: str) -> None:
    detector = detector_of(name, 0.2)
    scenes = [render_scene(seed) for seed in range(40)]
    found = [detector.detect(scene.image) for scene in scenes]
    print()
    for threshold in THRESHOLDS:
        recall, precision = rates(found, [scene.boxes for scene in scenes], threshold)
        print(f"{name} 40 rendered scenes, score {threshold}: recall {recall:.2f}, precision {precision:.2f}")


@needs_shared(VIDEO, YOLOX)
def test_time(frames: list[NDArray[np.uint8]]) -> None:
    detectors: dict[str, Detector] = {
        f"hog smallest {share}": HogDetector(smallest=share) for share in (0.1, 0.15, 0.2, 0.3)
    }
    detectors |= {f"yolox_nano {name}": OnnxDetector(YOLOX, backend=name) for name in ("onnxruntime", "openvino")}
    print()
    for size in ((1280, 720), (640, 480)):
        picture = np.asarray(cv2.resize(frames[4], size), np.uint8)
        times: dict[str, list[float]] = defaultdict(list)
        for _ in range(12):  # in turn, so that a busy moment meets all
            for name, detector in detectors.items():
                start = time.perf_counter()
                detector.detect(picture)
                times[name].append(time.perf_counter() - start)
        for name, values in times.items():
            middle, best = 1e3 * np.median(values[2:]), 1e3 * min(values)
            print(f"{name}, {size[0]}x{size[1]}: median {middle:.0f} ms, best {best:.0f} ms")
