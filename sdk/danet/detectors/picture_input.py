"""What a detector's network takes: one picture, of which size, type and layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danet.detectors.letterbox import PADDING
from danet.detectors.metadata import MAX_SIDE, StatedFacts
from danet.detectors.network import NetworkFacts, TensorFacts
from danet.errors import DetectorError, InputError

DEFAULT_SIDE = 640
"""Of a dynamic input, where neither the caller nor the file says more."""


@dataclass(frozen=True)
class PictureInput:
    """A network's input, its batch of 1 and all sides settled."""

    size: tuple[int, int]
    """Height and width, pixels."""
    dtype: np.dtype[Any]
    channels_last: bool

    def grey(self) -> NDArray[Any]:
        """A picture of nothing, with values that are usual where pixels are 0..255."""
        shape = (1, *self.size, 3) if self.channels_last else (1, 3, *self.size)
        return np.full(shape, PADDING, self.dtype)


def picture_input(facts: NetworkFacts, asked: int | tuple[int, int] | None, stated: StatedFacts) -> PictureInput:
    """The only input of a network, with its sides as declared, else as asked for, as the file states, or 640.

    Raises:
        DetectorError: several inputs, or one that is no picture of 3 colours.
        InputError: `asked` is no size, or the network has another.
    """
    if len(facts.inputs) != 1:
        raise DetectorError(f"{len(facts.inputs)} inputs ({_named(facts.inputs)}), expected one, the picture")
    given = facts.inputs[0]
    shape = given.shape or (None, 3, None, None)
    if len(shape) != 4 or 3 not in (shape[1], shape[3]) or given.dtype.kind not in "fu":
        raise DetectorError(f"input {_named([given])}, expected (1, 3, H, W) or (1, H, W, 3) of floats or uint8")
    if shape[0] not in (1, None):
        raise DetectorError(f"input {_named([given])} of batches of {shape[0]}, expected 1; export it with batch=1")
    channels_last = shape[1] != 3
    sides = shape[1:3] if channels_last else shape[2:]
    wanted = _size(asked)
    fallback = wanted or stated.image_size or (DEFAULT_SIDE, DEFAULT_SIDE)
    size = (sides[0] or fallback[0], sides[1] or fallback[1])
    if not all(1 <= side <= MAX_SIDE for side in size):
        raise DetectorError(f"input {_named([given])}, expected sides of 1..{MAX_SIDE} pixels; no detector takes that")
    if wanted not in (None, size):
        raise InputError(f"input_size {asked!r}, but the network's input is fixed to {given.shape}; leave it out")
    return PictureInput(size, given.dtype, channels_last)


def _size(asked: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if asked is None:
        return None
    sides = tuple(asked) if isinstance(asked, (tuple, list)) else (asked, asked)
    if len(sides) != 2 or not all(isinstance(side, int) and 1 <= side <= MAX_SIDE for side in sides):
        raise InputError(f"input_size {asked!r}, expected a side or (height, width) in 1..{MAX_SIDE} pixels")
    return sides[0], sides[1]


def _named(tensors: tuple[TensorFacts, ...] | list[TensorFacts]) -> str:
    return ", ".join(f"{one.name} {one.shape} {one.dtype}" for one in tensors)
