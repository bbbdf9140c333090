"""Projection from body space to frame pixels: weak perspective with foreshortening."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Camera:
    """Where one person stands in the frame.

    Args:
        scale: pixels per body unit at the hips' depth.
        center: x, y of the hips' middle, frame pixel indices.
        distance: from the camera to the hips, body units; small values foreshorten more.
    """

    scale: float
    center: tuple[float, float]
    distance: float

    def factors(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixels per body unit at each of `points` (N, 3)."""
        return self.scale * self.distance / np.maximum(points[:, 2] + self.distance, 0.35 * self.distance)

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Body points (N, 3) -> frame pixel indices (N, 2)."""
        return points[:, :2] * self.factors(points)[:, None] + self.center

    def moved(self, scale: float, center: tuple[float, float]) -> Camera:
        """The same view at another place and size."""
        return replace(self, scale=scale, center=center)
