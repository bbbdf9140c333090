"""Rotation matrices (3, 3) float64 of a right-handed frame with x right, y down, z away from the camera.

Angles are in degrees. math.sin and math.cos are used rather than NumPy's, whose last bit depends on
the processor's vector units.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def about_x(degrees: float) -> Matrix:
    """Turns y towards z."""
    c, s = _cos_sin(degrees)
    return np.array(((1.0, 0.0, 0.0), (0.0, c, -s), (0.0, s, c)))


def about_y(degrees: float) -> Matrix:
    """Turns z towards x."""
    c, s = _cos_sin(degrees)
    return np.array(((c, 0.0, s), (0.0, 1.0, 0.0), (-s, 0.0, c)))


def about_z(degrees: float) -> Matrix:
    """Turns x towards y."""
    c, s = _cos_sin(degrees)
    return np.array(((c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0)))


def mirrored(matrix: Matrix) -> Matrix:
    """The same rotation seen in a mirror that swaps left and right."""
    flipped: Matrix = matrix * MIRROR_SIGNS
    return flipped


MIRROR_SIGNS = np.array(((1.0, -1.0, -1.0), (-1.0, 1.0, 1.0), (-1.0, 1.0, 1.0)))


def _cos_sin(degrees: float) -> tuple[float, float]:
    radians = math.radians(degrees)
    return math.cos(radians), math.sin(radians)
