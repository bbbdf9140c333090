"""From a frame to the tensor that a detector's network takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from danet.detectors.letterbox import Fit
from danet.errors import InputError

Color = Literal["BGR", "RGB"]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Preprocessing:
    """What a network expects: (pixel * scale - mean) / std of pixels 0..255, in its colour order."""

    color: Color
    fit: Fit
    scale: float = 1.0
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        """Refuse what would make nonsense of every picture.

        Raises:
            InputError: the first field out of its range.
        """
        if self.color not in get_args(Color):
            raise InputError(f"color {self.color!r}, expected 'BGR' or 'RGB'")
        if self.fit not in get_args(Fit):
            raise InputError(f"fit {self.fit!r}, expected one of {', '.join(get_args(Fit))}")
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise InputError(f"scale {self.scale!r}, expected a number above 0, such as 1 or 1 / 255")
        if np.shape(self.mean) != (3,) or not np.isfinite(self.mean).all():
            raise InputError(f"mean {self.mean!r}, expected three numbers in the model's colour order")
        if np.shape(self.std) != (3,) or not np.isfinite(self.std).all() or min(self.std) <= 0:
            raise InputError(f"std {self.std!r}, expected three numbers above 0 in the model's colour order")

    def blob(self, picture: NDArray[np.uint8], dtype: np.dtype[Any], channels_last: bool) -> NDArray[Any]:
        """A letterboxed picture (h, w, 3) uint8 BGR as the network's input.

        Returns:
            (1, 3, h, w), or (1, h, w, 3) if `channels_last`, of the given dtype.
        """
        if channels_last:
            ordered = picture if self.color == "BGR" else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
            return self._normalised(ordered[None].astype(np.float32), (1, 1, 1, 3)).astype(dtype)
        planes = cv2.dnn.blobFromImage(picture, swapRB=self.color == "RGB")
        return self._normalised(np.asarray(planes, np.float32), (1, 3, 1, 1)).astype(dtype, copy=False)

    def _normalised(self, values: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
        """In place."""
        factor = self.scale / np.array(self.std, np.float32).reshape(shape)
        shift = (np.array(self.mean, np.float64) / self.std).astype(np.float32).reshape(shape)
        if (factor != 1).any():
            values *= factor
        if shift.any():
            values -= shift
        return values


def for_input(usual: Preprocessing, dtype: np.dtype[Any], overrides: dict[str, Any]) -> Preprocessing:
    """A head's usual preprocessing for an input of that type, with what a caller says otherwise (None: nothing).

    Raises:
        InputError: an override out of its range.
    """
    if dtype == np.uint8:  # such a graph normalises by itself
        usual = Preprocessing(usual.color, usual.fit)
    return replace(usual, **{key: value for key, value in overrides.items() if value is not None})
