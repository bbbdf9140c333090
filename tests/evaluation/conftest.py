from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from danet.estimator import PoseEstimator
from danet.model_spec import DecoderSpec, ModelSpec
from danet_evaluation.coco import KeypointDataset
from danet_evaluation.predict import persons_by_image
from danet_evaluation.predictions import Predictions

Annotate = Callable[..., dict[str, Any]]
WriteFolder = Callable[..., Path]

# exact decoding: no blur, no offset, so that a response in a cell is a keypoint at the cell's centre
SPEC = ModelSpec(name="fixed", box_padding=1.0, decoder=DecoderSpec(blur_kernel=1, offsets=()))
CELLS = [(2 * joint + 3, 3 * joint + 5) for joint in range(17)]  # column, row


class FixedBackend:
    """Answers every crop with the same heatmaps: one response of 0.8 for each keypoint, at CELLS.

    Args:
        sigma: of a Gaussian around the cell; 0 for that cell alone.
        keypoints: how many of CELLS.
        right: cells by which all are moved to the right.
    """

    def __init__(self, sigma: float = 0.0, keypoints: int = 17, right: int = 0) -> None:
        columns, rows = np.meshgrid(np.arange(48), np.arange(64))
        cells = [(x + right, y) for x, y in CELLS[:keypoints]]
        squared = np.array([(columns - x) ** 2 + (rows - y) ** 2 for x, y in cells], np.float64)
        maps = np.exp(-squared / (2 * sigma**2)) if sigma else (squared == 0)
        self._heatmaps = (0.8 * maps).astype(np.float32)
        self.batches: list[int] = []

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.batches.append(len(images))
        return np.repeat(self._heatmaps[None], len(images), axis=0)

    def close(self) -> None:
        pass


class PixelBackend(FixedBackend):
    """Answers each crop with heatmaps that its pixels alone decide."""

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.batches.append(len(images))
        heatmaps = np.zeros((len(images), 17, 64 * 48), np.float32)
        for crop, maps in zip(images, heatmaps, strict=True):
            total = int(crop.sum(dtype=np.int64))
            for joint in range(17):
                maps[joint, total * (joint + 3) % maps.shape[1]] = 0.1 + (total + joint) % 89 / 100
        return heatmaps.reshape(len(images), 17, 64, 48)


@pytest.fixture
def open_fixed() -> Callable[..., PoseEstimator]:
    """An estimator whose backend is FixedBackend(...), or the one given; further options are the estimator's."""

    def make(backend: FixedBackend | None = None, spec: ModelSpec = SPEC, **options: Any) -> PoseEstimator:
        return PoseEstimator("fixed", spec=spec, backend=backend or FixedBackend(), **options)

    return make


@pytest.fixture
def estimator() -> PoseEstimator:
    return PoseEstimator("fixed", spec=SPEC, backend=FixedBackend())


@pytest.fixture
def gaussian_estimator() -> PoseEstimator:
    return PoseEstimator("gaussian", spec=ModelSpec(name="gaussian", box_padding=1.0), backend=FixedBackend(2.0))


@pytest.fixture
def expected_in() -> Callable[[float, float, float], NDArray[np.float64]]:
    """Where FixedBackend's keypoints lie in the frame: cell centre (c + 0.5) * 4 of 192 over the box's width."""

    def expected(x: float, y: float, width: float) -> NDArray[np.float64]:
        edges = (np.array(CELLS) + 0.5) * 4 * width / 192
        return edges + np.array((x, y)) - 0.5  # from edge coordinates to pixel indices

    return expected


@pytest.fixture
def annotate() -> Annotate:
    """An annotation of labelled keypoints (K, 2) in a box xywh."""

    def make(image_id: int, number: int, points: Any, box: Any = (10, 20, 60, 80), **more: Any) -> dict[str, Any]:
        visible = np.column_stack((np.asarray(points, np.float64), np.full(len(points), 2.0)))
        return {
            "id": number,
            "image_id": image_id,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": list(box),
            "area": float(box[2] * box[3]),
            "keypoints": visible.reshape(-1).tolist(),
            "num_keypoints": len(points),
            **more,
        }

    return make


@pytest.fixture
def write_folder(tmp_path: Path) -> WriteFolder:
    """A data set's folder with grey pictures of 200 x 150, laid out as people17 unless told otherwise."""

    def write(
        images: list[int],
        annotations: list[dict[str, Any]],
        json_name: str = "val.json",
        picture_folder: str = "images",
        categories: list[dict[str, Any]] | None = None,
        **image_fields: Any,
    ) -> Path:
        folder = tmp_path / "set"
        (folder / json_name).parent.mkdir(parents=True, exist_ok=True)
        (folder / picture_folder).mkdir(exist_ok=True)
        entries = [
            {"id": number, "file_name": f"{number:03}.png", **{key: value[i] for key, value in image_fields.items()}}
            for i, number in enumerate(images)
        ]
        for entry in entries:
            cv2.imwrite(
                str(folder / picture_folder / entry["file_name"]), np.full((200, 150, 3), entry["id"], np.uint8)
            )
        content = {"images": entries, "annotations": annotations, "categories": categories or []}
        (folder / json_name).write_text(json.dumps(content))
        return folder

    return write


@pytest.fixture
def predictions_at() -> Callable[..., Predictions]:
    """Predictions for the persons of a data set, with scores of 0.5: the truth moved by so many pixels to the right."""

    def make(dataset: KeypointDataset, right: float = 0.0) -> Predictions:
        persons = persons_by_image(dataset)
        keypoints = np.stack([person.keypoints for person in persons]) + np.float32([right, 0])
        return Predictions(
            image_ids=tuple(person.image_id for person in persons),
            boxes=np.stack([person.box for person in persons]),
            keypoints=keypoints,
            scores=np.full(keypoints.shape[:2], 0.5, np.float32),
            person_scores=np.full(len(persons), 0.5),
        )

    return make


@pytest.fixture(scope="session")
def people17() -> Path:
    folder = Path(__file__).parents[2].parent / "shared" / "data" / "people17"
    if not (folder / "val.json").is_file():
        pytest.skip(f"the data set people17 is not at {folder}")
    return folder
