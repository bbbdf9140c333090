"""Does an exported file compute what the checkpoint computes? Asked before the file is kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from danet.backends.base import Backend
from danet.crop import crop_affines, crop_persons
from danet.decode import decode
from danet.embedded import PORTRAIT, PORTRAIT_BOX
from danet.errors import BackendError
from danet.frame import read_picture
from danet.model_spec import ModelSpec, Precision
from danet.scenes.scene import render_scene

BATCH = 4


@dataclass(frozen=True)
class Tolerance:
    """Largest differences that a file may show."""

    heatmaps: float
    """Part of the reference heatmaps' range."""
    moved: float
    """Share of the keypoints that may move by more than `KEYPOINT_TOLERANCE`."""


KEYPOINT_TOLERANCE = 0.01
"""Crop pixels. The decoder picks cells, so a keypoint either stays or jumps."""
ROUNDING = 1e-5
"""Part of the reference heatmaps' range by which a map may differ where two runtimes compute the same."""
TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(heatmaps=1e-4, moved=0.0),
    "fp16": Tolerance(heatmaps=1e-2, moved=0.1),
    "int8": Tolerance(heatmaps=0.1, moved=0.5),
}
"""By the precision of the file's weights. Half-precision weights are rounded by up to 2^-11 each, which
decides anew between cells that nearly tie; noise crops, a quarter of the sample, are full of those. int8
weights (dynamic range: activations are rounded as well, to the range of each call) by up to 2^-8 of the
largest of their channel: the check is then for a wrong graph, and accuracy is for `danet evaluate` to tell."""


@dataclass(frozen=True)
class Parity:
    """How far a file is from its checkpoint."""

    heatmaps: float
    """Largest absolute difference, as a part of the reference heatmaps' range."""
    keypoints: float
    """Largest distance in crop pixels, over the keypoints whose maps differ by more than `ROUNDING`."""
    moved: int
    """Keypoints that moved by more than `KEYPOINT_TOLERANCE`, on such maps."""
    compared: int
    """Keypoints in all."""

    def within(self, tolerance: Tolerance) -> bool:
        """Whether both differences are allowed; NaN is not."""
        return self.heatmaps <= tolerance.heatmaps and self.moved <= tolerance.moved * self.compared


def sample_crops(spec: ModelSpec, seed: int = 0) -> NDArray[np.uint8]:
    """Crops (16, H, W, 3) uint8 BGR: noise, the embedded portrait cut in ways, rendered persons."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (4, *spec.input_size, 3), dtype=np.uint8)
    portrait = read_picture(PORTRAIT)
    jitter = rng.uniform(-30, 30, (4, 4))
    faces = crop_persons(portrait, crop_affines(np.asarray(PORTRAIT_BOX) + jitter, spec), spec)
    scene = render_scene(seed + 1, (480, 640), persons=8)
    persons = crop_persons(scene.image, crop_affines(scene.boxes.astype(np.float64), spec), spec)
    return np.concatenate((noise, faces, persons))


def compare(reference: Backend, candidate: Backend, spec: ModelSpec, crops: NDArray[np.uint8]) -> Parity:
    """Run both on crops (N, H, W, 3) uint8 BGR and compare heatmaps and keypoints."""
    batches = [crops[start : start + BATCH] for start in range(0, len(crops), BATCH)]
    expected = np.concatenate([reference.run(batch) for batch in batches])
    found = np.concatenate([candidate.run(batch) for batch in batches])
    if found.shape != expected.shape:
        raise BackendError(f"the exported model answers {found.shape}, the checkpoint {expected.shape}")
    spread = float(expected.max() - expected.min()) or 1.0
    differences = np.abs(found - expected).max(axis=(2, 3))
    difference = float(differences.max())
    if not np.isfinite(difference):
        return Parity(float("inf"), float("inf"), expected[..., 0, 0].size, expected[..., 0, 0].size)
    # by cells, whatever the file's decoder: DARK follows the smallest difference where a map is flat
    spec = spec.decoded_by("offset")
    distance = np.linalg.norm(decode(expected, spec)[0] - decode(found, spec)[0], axis=2)
    # on such a map a keypoint jumps only between cells that tie, where the order of a sum decides
    distance[differences <= ROUNDING * spread] = 0
    moved = int((distance > KEYPOINT_TOLERANCE).sum())
    return Parity(difference / spread, float(distance.max()), moved, distance.size)
