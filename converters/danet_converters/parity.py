"""Does an exported file compute what the checkpoint computes? Asked before the file is kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from danet.backends.base import Backend
from danet.crop import crop_affines, crop_persons
from danet.decode import blur, decode
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
    keypoints: float
    """Crop pixels."""


TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(heatmaps=1e-4, keypoints=0.01),
    "fp16": Tolerance(heatmaps=1e-2, keypoints=0.01),
}
"""By the precision of the file's weights. Half-precision weights are rounded by up to 2^-11 each."""


@dataclass(frozen=True)
class Parity:
    """How far a file is from its checkpoint."""

    heatmaps: float
    """Largest absolute difference, as a part of the reference heatmaps' range."""
    keypoints: float
    """Largest distance in crop pixels, over keypoints whose place is determined."""
    undetermined: int
    """Keypoints whose best cells lie closer together in response than the two maps differ, so that
    either is a right answer."""
    compared: int
    """Keypoints in all."""

    def within(self, tolerance: Tolerance) -> bool:
        """Whether both differences are allowed."""
        return self.heatmaps <= tolerance.heatmaps and self.keypoints <= tolerance.keypoints


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
    difference = float(np.abs(found - expected).max())
    if not np.isfinite(difference):
        return Parity(float("inf"), float("inf"), 0, expected.shape[0] * expected.shape[1])
    points, other = decode(expected, spec)[0], decode(found, spec)[0]
    kernel = spec.decoder.blur_kernel
    smooth = blur(expected, kernel)
    moved = np.abs(blur(found, kernel) - smooth).max((2, 3))
    clear = _margins(smooth, spec) > 2 * moved
    distance = np.linalg.norm(points - other, axis=2)
    return Parity(difference / spread, float(distance[clear].max(initial=0.0)), int((~clear).sum()), clear.size)


def _margins(responses: NDArray[np.float32], spec: ModelSpec) -> NDArray[np.float32]:
    """Smallest gap (N, K) between the successive responses that the decoder looks at, and the next.

    Args:
        responses: blurred heatmaps (N, K, h, w).
        spec: its decoder looks at 1 + len(offsets) responses.
    """
    ranked = 2 + len(spec.decoder.offsets)
    flat = responses.reshape(*responses.shape[:2], -1)
    best = np.sort(np.partition(flat, -ranked, axis=2)[..., -ranked:], axis=2)
    gaps: NDArray[np.float32] = np.diff(best, axis=2).min(2)
    return gaps
