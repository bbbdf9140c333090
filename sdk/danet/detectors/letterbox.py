"""How a frame is fitted into a network's input, and how boxes get back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Fit = Literal["corner", "centre", "stretch"]
"""Aspect kept and padded at the right and bottom, kept and padded on all sides, or not kept."""
PADDING = 114
"""The grey that YOLO and RTMDet models are trained with."""


@dataclass(frozen=True)
class Letterbox:
    """Where a frame lies in a network's input. All coordinates are edges, pixels."""

    frame_size: tuple[int, int]
    """Height and width of the frame."""
    input_size: tuple[int, int]
    """Height and width of the network's input."""
    inner_size: tuple[int, int]
    """Height and width of the resized frame in the input."""
    offset: tuple[int, int]
    """Top and left of the resized frame in the input."""

    @property
    def scale(self) -> NDArray[np.float64]:
        """Input pixels to a frame pixel in x and y (2,): not quite equal, since the sides are rounded."""
        scale: NDArray[np.float64] = np.divide(self.inner_size[::-1], self.frame_size[::-1])
        return scale

    def apply(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The frame (H, W, 3) uint8 in the input (h, w, 3) uint8, the rest grey."""
        height, width = self.inner_size
        inner = frame if frame.shape[:2] == self.inner_size else cv2.resize(frame, (width, height))
        if self.inner_size == self.input_size:
            return np.asarray(inner, np.uint8)
        top, left = self.offset
        bottom, right = self.input_size[0] - top - height, self.input_size[1] - left - width
        grey = (PADDING, PADDING, PADDING)
        return np.asarray(
            cv2.copyMakeBorder(inner, top, bottom, left, right, cv2.BORDER_CONSTANT, value=grey), np.uint8
        )

    def to_frame(self, boxes: NDArray[np.floating]) -> NDArray[np.float64]:
        """Boxes (N, 4) xyxy in input pixels -> frame pixels."""
        points = boxes.reshape(-1, 2, 2).astype(np.float64)
        return ((points - self.offset[::-1]) / self.scale).reshape(-1, 4)

    def to_input(self, boxes: NDArray[np.floating]) -> NDArray[np.float64]:
        """Boxes (N, 4) xyxy in frame pixels -> input pixels."""
        points = boxes.reshape(-1, 2, 2).astype(np.float64)
        return (points * self.scale + self.offset[::-1]).reshape(-1, 4)


def fitted(frame_size: tuple[int, int], input_size: tuple[int, int], fit: Fit) -> Letterbox:
    """How a frame of (height, width) goes into an input of (height, width).

    Sides and offsets are rounded as the projects do that the models come from: Ultralytics'
    `LetterBox` for "centre", YOLOX's `preproc` for "corner".
    """
    if fit == "stretch":
        return Letterbox(frame_size, input_size, input_size, (0, 0))
    ratio = min(input_size[0] / frame_size[0], input_size[1] / frame_size[1])
    # int with a nudge: 0.7 * 640 / 448 is a hair below 1, which would lose a row of pixels
    whole: Callable[[float], int] = round if fit == "centre" else lambda side: int(side + 1e-6)
    inner = [min(limit, max(1, whole(side * ratio))) for side, limit in zip(frame_size, input_size, strict=True)]
    offset = (0, 0)
    if fit == "centre":  # an odd rest: the larger half goes to the right and bottom
        offset = ((input_size[0] - inner[0]) // 2, (input_size[1] - inner[1]) // 2)
    return Letterbox(frame_size, input_size, (inner[0], inner[1]), offset)
