"""No network at all: empty heatmaps, to measure and test what surrounds the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from danet.backends.base import BackendOptions, LoadedModel
from danet.model_spec import ModelSpec


class NullBackend:
    """Answers every crop with heatmaps of zeros."""

    def __init__(self, spec: ModelSpec) -> None:
        self._shape = (len(spec.keypoints), *spec.heatmap_size)

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Crops (N, H, W, 3) uint8 BGR -> zeros (N, K, h, w) float32."""
        return np.zeros((len(images), *self._shape), np.float32)

    def close(self) -> None:
        """Nothing to free."""


def load(path: Path, options: BackendOptions) -> LoadedModel:
    """The null backend of the given ModelSpec, else of a default one; the path is only its name."""
    spec = options.spec or ModelSpec(name=path.stem or "null")
    return LoadedModel(NullBackend(spec), spec, "none")
