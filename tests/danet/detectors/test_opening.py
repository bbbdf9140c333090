from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from danet.detectors.hog_detector import HogDetector
from danet.detectors.onnx_detector import OnnxDetector
from danet.detectors.opening import open_detector
from danet.embedded import embedded_model
from danet.errors import DetectorError, InputError

from .conftest import MakeModel


def test_names_and_files(constant_model: MakeModel) -> None:
    hog = open_detector("hog", smallest=0.5, score_threshold=0.7)
    assert isinstance(hog, HogDetector)
    assert hog.limits.score_threshold == 0.7
    path = constant_model({"output0": np.zeros((1, 300, 6), np.float32)})
    for name in (path, str(path)):
        detector = open_detector(name, backend="openvino", head="end-to-end")
        assert isinstance(detector, OnnxDetector)


@pytest.mark.parametrize("name", ["yolo", "", "detector.pt", "folder/", "HOG"])
def test_what_is_no_detector(name: str) -> None:
    with pytest.raises(DetectorError, match=r"expected 'hog', or a detector's file \(\.onnx or \.xml\)"):
        open_detector(name)


@pytest.mark.parametrize("name", ["missing.onnx", "missing.xml"])
def test_missing_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(DetectorError, match=rf"{name}: no such file"):
        open_detector(tmp_path / name)
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(DetectorError, match="no such file"):
        open_detector(tmp_path / "folder.onnx")


def test_names_that_no_file_has() -> None:
    with pytest.raises(DetectorError, match="File name too long"):
        open_detector("a" * 300 + ".onnx")
    with pytest.raises(InputError, match="detector of type NoneType, expected a name or a file"):
        open_detector(None)  # type: ignore[arg-type]


def test_unknown_options(constant_model: MakeModel) -> None:
    with pytest.raises(InputError, match=r"'hog'.*input_size"):
        open_detector("hog", input_size=640)
    with pytest.raises(InputError, match="smallest"):
        open_detector(constant_model({"output0": np.zeros((1, 300, 6), np.float32)}), smallest=0.2)


def test_pose_model() -> None:
    path = embedded_model("danet72")
    assert path is not None
    with pytest.raises(DetectorError, match=r"danet72\.xml: a pose model of danet.*PoseEstimator"):
        open_detector(path)
