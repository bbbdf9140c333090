from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from danet.embedded import PORTRAIT_BOX, embedded_model, embedded_names, is_embedded
from danet.errors import ModelFileError
from danet.estimator import PoseEstimator
from danet.frame import read_picture


def test_each_model_is_there_in_both_formats() -> None:
    assert "danet72" in embedded_names()
    for name in embedded_names():
        for backend, suffix in ((None, ".xml"), ("openvino", ".xml"), ("tflite", ".tflite")):
            path = embedded_model(name, backend)
            assert path is not None
            assert path.suffix == suffix
            assert path.is_file()
            assert is_embedded(path)


def test_others_are_not_there(tmp_path: Path) -> None:
    assert embedded_model("danet88") is None
    assert embedded_model("danet88", "tflite") is None
    assert not is_embedded(tmp_path / "danet72.xml")
    with pytest.raises(ModelFileError, match="danet72"):
        PoseEstimator("danet88", backend="tflite")


@pytest.mark.needs("ai_edge_litert")
def test_both_formats_are_the_same_network(portrait: Path) -> None:
    frame = read_picture(portrait)
    found = {}
    for backend in ("openvino", "tflite"):
        with PoseEstimator("danet72", backend=backend, threads=1) as estimator:
            found[backend] = estimator.spec, estimator.infer(frame, [PORTRAIT_BOX])
    (spec, poses), (other_spec, others) = found["openvino"], found["tflite"]
    assert spec == other_spec
    sure = poses.scores[0] > 0.3
    assert sure.sum() >= 5  # the face
    np.testing.assert_allclose(others.scores, poses.scores, atol=0.01)
    np.testing.assert_allclose(others.keypoints[0, sure], poses.keypoints[0, sure], atol=0.05)
