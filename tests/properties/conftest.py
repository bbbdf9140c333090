from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from danet.backends.base import BackendOptions
from danet.backends.registry import load_model
from danet.embedded import embedded_model
from danet.estimator import PoseEstimator
from danet.scenes.scene import render_scene

GOLDEN_ONNX = Path(__file__).parents[1] / "compatibility" / "golden" / "version-1" / "tiny.onnx"
LARGEST_BATCH = 10
"""So that nine persons are padded (danet/batching.py); none are in batches of eight or less."""
SHOWN = 0.3
"""Score above which a keypoint of the embedded model is no guess."""
SURE = 0.4
"""Score above which its map has one narrow peak; below, the top of a broad one moves with each pixel of the crop."""


@dataclass(frozen=True)
class Street:
    """A frame of rendered persons, each with room around."""

    frame: NDArray[np.uint8]
    boxes: NDArray[np.float64]
    """(6, 4) xyxy"""


@pytest.fixture(scope="session")
def street() -> Street:
    """Six persons of two rendered scenes beside each other."""
    scenes = [render_scene(seed, (400, 400), persons=3) for seed in (5, 9)]
    boxes = [np.add(scene.boxes, (400 * index, 0, 400 * index, 0)) for index, scene in enumerate(scenes)]
    return Street(np.concatenate([scene.image for scene in scenes], axis=1), np.concatenate(boxes)[:6])


@pytest.fixture(scope="session")
def danet72_unpadded() -> Iterator[PoseEstimator]:
    """The embedded model, refined by DARK, with boxes taken as they are: some of them need no rounding in the crop."""
    path = embedded_model("danet72")
    assert path is not None
    opened = load_model(path, None, BackendOptions())
    assert opened.spec is not None
    spec = replace(opened.spec.decoded_by("dark"), box_padding=1.0)
    opened.backend.close()
    with PoseEstimator("danet72", spec=spec, flip_test=True) as estimator:
        yield estimator


@pytest.fixture(scope="session", params=["openvino", "tflite", "onnxruntime"])
def any_backend(request: pytest.FixtureRequest) -> Iterator[PoseEstimator]:
    """The embedded model on each backend that is installed; ONNX, of which none is embedded, as the golden file."""
    name = request.param
    if name == "onnxruntime":
        pytest.importorskip("onnxruntime", reason="danet-edge[onnxruntime] is not installed")
        model = GOLDEN_ONNX
    else:
        if name == "tflite" and not any(map(importlib.util.find_spec, ("ai_edge_litert", "tflite_runtime"))):
            pytest.skip("danet-edge[tflite] is not installed")
        model = embedded_model("danet72", name)
    assert model is not None
    with PoseEstimator(model, backend=name, decoder="dark", batch_size=LARGEST_BATCH) as estimator:
        yield estimator
