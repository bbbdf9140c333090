"""README's programs do what it says of them, in the order in which they stand there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from danet.embedded import PORTRAIT, PORTRAIT_BOX
from danet.poses import Poses
from danet.video.result import FramePoses

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def first() -> Iterator[dict[str, Any]]:
    """What the first program leaves."""
    names: dict[str, Any] = {}
    exec(PROGRAMS[0], names)
    yield names
    names["estimator"].close()


def test_first_program(first: dict[str, Any]) -> None:
    poses = first["poses"]
    assert poses.keypoints.shape == (1, 17, 2)
    assert poses.keypoints.dtype == poses.scores.dtype == np.float32
    assert poses.scores[0, :3].min() > 0.5  # the face of the portrait
    assert first["picture"].shape == first["frame"].shape
    assert (first["picture"] != first["frame"]).any()


def test_camera_program(tmp_path: Path) -> None:
    """The same with a folder of pictures in the place of camera 0."""
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.asarray(cv2.imread(str(PORTRAIT))))
    assert "PosePipeline(0," in PROGRAMS[1]
    names: dict[str, Any] = {}
    exec(PROGRAMS[1].replace("PosePipeline(0,", f"PosePipeline({str(tmp_path)!r},"), names)
    assert isinstance(names["result"], FramePoses)
    assert names["result"].frame.index == 2
    assert names["picture"].shape == (*names["result"].frame.image.shape[:2], 3)


def test_stream_program(first: dict[str, Any]) -> None:
    frame = first["frame"]

    def detect(frame: NDArray[np.uint8]) -> list[tuple[float, ...]]:
        return [PORTRAIT_BOX]

    names = {"estimator": first["estimator"], "camera": [frame, frame], "detect": detect}
    exec(PROGRAMS[2], names)
    np.testing.assert_allclose(names["poses"].keypoints, first["poses"].keypoints, atol=1e-3)


def test_the_rest_of_the_python_side(first: dict[str, Any]) -> None:
    program = PROGRAMS[3]
    assert "poses.to_supervision()" in program
    if find_spec("supervision") is None:
        program = "".join(line for line in program.splitlines(True) if "to_supervision" not in line)
    x1, y1, x2, y2 = PORTRAIT_BOX
    boxes = [(x1, y1, x2 - x1, y2 - y1)]
    names = {**first, "boxes": boxes, "other_frame": first["frame"], "other_boxes": boxes * 2}
    try:
        exec(program, names)
        assert [len(poses) for poses in names["many"]] == [1, 2]
        assert all(isinstance(poses, Poses) for poses in names["many"])
        np.testing.assert_allclose(names["many"][0].keypoints[0, :3], first["poses"].keypoints[0, :3], atol=6)
    finally:
        names["estimator"].close()
