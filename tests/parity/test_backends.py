"""Every backend gives the same keypoints for the same persons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.faults.cases import GOLDEN

from danet.estimator import PoseEstimator
from danet.frame import read_picture
from danet.scenes.scene import Scene

for library in ("torch", "onnxruntime", "ai_edge_litert"):
    pytest.importorskip(library, reason=f"parity is over all backends, and {library} is not installed")

from danet_evaluation.coco import load_split

PEOPLE17 = Path(__file__).parents[2].parent / "shared" / "data" / "people17"
MAX_DISTANCE = 0.05
"""Frame pixels."""
FILES = {
    "openvino": ("openvino", "tiny_ir"),
    "onnxruntime": ("onnxruntime", "tiny_onnx"),
    "torch": ("torch", "tiny_checkpoint"),
    "openvino-onnx": ("openvino", "tiny_onnx"),
    "tflite": ("tflite", "tiny_tflite"),
}
"""Backend, and the fixture of its file, by parameter."""
PORTRAIT_BOXES = np.array([[20, 15, 375, 512], [120.3, 10.8, 340.1, 300.2]])
FrameAndBoxes = tuple[NDArray[np.uint8], NDArray[np.float64]]


@pytest.fixture(scope="module")
def frames(scene: Scene, portrait: Path) -> list[FrameAndBoxes]:
    """Two pictures, ten persons; the scene's boxes also shifted, partly out of the picture."""
    boxes = scene.boxes.astype(np.float64)
    moved = np.concatenate((boxes, boxes + np.array((-31.5, 7.25, 12.5, 30))))
    return [(scene.image, moved), (read_picture(portrait), np.tile(PORTRAIT_BOXES, (2, 1)))]


@pytest.fixture(
    scope="module",
    params=[
        "openvino",
        "onnxruntime",
        "torch",
        "openvino-onnx",
        "golden tflite",
        pytest.param("tflite", marks=pytest.mark.long),  # half a minute to export
    ],
)
def files(request: pytest.FixtureRequest) -> tuple[str, Path, Path]:
    """A backend, a file for it, and the checkpoint of the same network."""
    if request.param == "golden tflite":
        return "tflite", GOLDEN / "tiny.tflite", GOLDEN / "tiny.safetensors"
    backend, fixture = FILES[request.param]
    return backend, request.getfixturevalue(fixture), request.getfixturevalue("tiny_checkpoint")


@pytest.fixture(scope="module")
def estimator(files: tuple[str, Path, Path]) -> Iterator[PoseEstimator]:
    with PoseEstimator(files[1], backend=files[0]) as opened:
        yield opened


@pytest.fixture(scope="module")
def reference(files: tuple[str, Path, Path]) -> Iterator[PoseEstimator]:
    with PoseEstimator(files[2]) as opened:
        yield opened


def largest_distance(found: Any, expected: Any) -> float:
    return max(
        float(np.linalg.norm(left.keypoints - right.keypoints, axis=2).max(initial=0))
        for left, right in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("files", ["torch", "golden tflite"], indirect=True)
def test_keypoints_do_differ_between_persons(reference: PoseEstimator, frames: list[FrameAndBoxes]) -> None:
    # a network that answered the same to every picture would agree with itself in any backend
    poses = reference.infer_batch(frames)[0]
    inside = (poses.keypoints - poses.boxes[:, None, :2]) / (poses.boxes[:, None, 2:] - poses.boxes[:, None, :2])
    assert inside.std(axis=0).mean() > 0.05
    assert poses.scores.std() > 0.05


@pytest.mark.parametrize("flip_test", [False, True])
def test_same_keypoints(
    flip_test: bool,
    estimator: PoseEstimator,
    reference: PoseEstimator,
    frames: list[FrameAndBoxes],
) -> None:
    assert estimator.spec.name == "tiny"
    estimator.flip_test = reference.flip_test = flip_test
    found, expected = estimator.infer_batch(frames), reference.infer_batch(frames)
    distance = largest_distance(found, expected)
    print(f"largest distance: {distance:.2g} px")
    assert distance <= MAX_DISTANCE
    for left, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(left.scores, right.scores, atol=1e-5)
        np.testing.assert_array_equal(left.boxes, right.boxes)


@pytest.mark.parametrize("persons", range(1, 10))
def test_batch_sizes(persons: int, estimator: PoseEstimator, frames: list[FrameAndBoxes]) -> None:
    estimator.flip_test = False
    image, boxes = frames[0]
    chosen = np.resize(boxes, (persons, 4))
    together = estimator.infer(image, chosen)
    alone = [estimator.infer(image, chosen[[index]]) for index in range(min(persons, 3))]
    assert len(together) == persons
    assert largest_distance([together[index] for index in range(len(alone))], alone) <= MAX_DISTANCE
    np.testing.assert_allclose(together.keypoints[-1], estimator.infer(image, chosen[[-1]]).keypoints[0], atol=0.05)


def test_real_persons(estimator: PoseEstimator, reference: PoseEstimator) -> None:
    if not (PEOPLE17 / "val.json").is_file():
        pytest.skip(f"the data set people17 is not at {PEOPLE17}")
    estimator.flip_test = reference.flip_test = False
    dataset = load_split(PEOPLE17, "val").first(50)
    frames = [
        (picture.read(), np.array([person.box for person in persons])) for _, picture, persons in dataset.images()
    ]
    assert sum(len(boxes) for _, boxes in frames) >= 50
    distance = largest_distance(estimator.infer_batch(frames), reference.infer_batch(frames))
    print(f"largest distance: {distance:.2g} px")
    assert distance <= MAX_DISTANCE
