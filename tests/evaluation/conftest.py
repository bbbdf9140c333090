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

Annotate = Callable[..., dict[str, Any]]
WriteFolder = Callable[..., Path]

# exact decoding: no blur, no offset, so that a response in a cell is a keypoint at the cell's centre
SPEC = ModelSpec(name="fixed", box_padding=1.0, decoder=DecoderSpec(blur_kernel=1, offsets=()))
CELLS = [(2 * joint + 3, 3 * joint + 5) for joint in range(17)]  # column, row


class FixedBackend:
    """Answers every crop with the same heatmaps: one response of 0.8 for each keypoint, at CELLS."""

    def __init__(self, sigma: float = 0.0) -> None:
        columns, rows = np.meshgrid(np.arange(48), np.arange(64))
        squared = np.array([(columns - x) ** 2 + (rows - y) ** 2 for x, y in CELLS], np.float64)
        maps = np.exp(-squared / (2 * sigma**2)) if sigma else (squared == 0)
        self._heatmaps = (0.8 * maps).astype(np.float32)

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.repeat(self._heatmaps[None], len(images), axis=0)

    def close(self) -> None:
        pass


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
    """An annotation of 17 labelled keypoints (17, 2) in a box xywh."""

    def make(image_id: int, number: int, points: Any, box: Any = (10, 20, 60, 80), **more: Any) -> dict[str, Any]:
        visible = np.column_stack((np.asarray(points, np.float64), np.full(17, 2.0)))
        return {
            "id": number,
            "image_id": image_id,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": list(box),
            "area": float(box[2] * box[3]),
            "keypoints": visible.reshape(-1).tolist(),
            "num_keypoints": 17,
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
        (folder / json_name).write_text(json.dumps({"images": entries, "annotations": annotations, "categories": []}))
        return folder

    return write


@pytest.fixture(scope="session")
def people17() -> Path:
    folder = Path(__file__).parents[2].parent / "shared" / "data" / "people17"
    if not (folder / "val.json").is_file():
        pytest.skip(f"the data set people17 is not at {folder}")
    return folder
