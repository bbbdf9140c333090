from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from danet.backends.base import Backend, BackendOptions
from danet.backends.null_backend import NullBackend, load
from danet.estimator import PoseEstimator
from danet.model_spec import ModelSpec


def test_is_a_backend() -> None:
    assert isinstance(NullBackend(ModelSpec(name="x")), Backend)


@pytest.mark.parametrize("persons", [0, 1, 5])
def test_zeros_in_the_shape_of_the_spec(persons: int) -> None:
    spec = ModelSpec(
        name="x", input_size=(64, 32), stride=8, keypoints=("a", "b", "c"), flip_pairs=(), skeleton=((0, 1),)
    )
    heatmaps = NullBackend(spec).run(np.zeros((persons, 64, 32, 3), np.uint8))
    assert heatmaps.shape == (persons, 3, 8, 4)
    assert heatmaps.dtype == np.float32
    assert not heatmaps.any()


def test_load_takes_any_name() -> None:
    loaded = load(Path("/nowhere/camera.xml"), BackendOptions())
    assert loaded.spec == ModelSpec(name="camera")
    assert loaded.batch_sizes is None


def test_closes_twice() -> None:
    backend = NullBackend(ModelSpec(name="x"))
    backend.close()
    backend.close()


def test_the_whole_pipeline_without_a_network() -> None:
    with PoseEstimator("null", backend="null") as estimator:
        poses = estimator.infer(np.zeros((48, 64, 3), np.uint8), [[0, 0, 30, 40], [5, 5, 60, 45]])
    assert len(poses) == 2
    assert (poses.scores == 0).all()
    assert np.isfinite(poses.keypoints).all()
