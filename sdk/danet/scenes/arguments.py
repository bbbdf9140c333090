"""Arguments of `render_scene` and `render_clip`, checked alike."""

from __future__ import annotations

import math

import numpy as np

from danet.errors import InputError
from danet.typed_values import shown

MIN_SIDE, MAX_SIDE = 32, 16_384
"""Of a picture, pixels."""
MAX_SEED = 2**63 - 1


def integer(name: str, value: object, low: int, high: int) -> int:
    """A whole number of Python or NumPy, as an int.

    Raises:
        InputError: it is something else, or not within `low` and `high`, both included.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise InputError(f"{name} is {_told(value)}; expected an integer from {low} to {high}")
    return int(value)


def number(name: str, value: object, high: float) -> float:
    """A number of Python or NumPy, as a float.

    Raises:
        InputError: it is something else, or not above 0 and up to `high`.
    """
    numeric = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not numeric or not 0 < value <= high:  # type: ignore[operator] # compared before it is made a float: 10**400
        raise InputError(f"{name} is {_told(value)}; expected a number above 0 and up to {high:g}")
    return float(value)  # type: ignore[arg-type]


def moment(value: float) -> float:
    """A time in seconds.

    Raises:
        InputError: it is NaN or infinite.
    """
    if not math.isfinite(value):
        raise InputError(f"time_s is {value}; expected seconds, a finite number")
    return float(value)


def frame_size(value: object) -> tuple[int, int]:
    """Height and width of a picture.

    Raises:
        InputError: it is none of two integers in the range of sides.
    """
    sides = tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(sides) != 2:
        raise InputError(f"size is {_told(value)}; expected (height, width)")
    height, width = sides
    return integer("height", height, MIN_SIDE, MAX_SIDE), integer("width", width, MIN_SIDE, MAX_SIDE)


def _told(value: object) -> str:
    return shown(value.item() if isinstance(value, np.generic) else value)
