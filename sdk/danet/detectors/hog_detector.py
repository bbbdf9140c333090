"""HogDetector: OpenCV's people detector, which needs no model file. Finds upright, whole persons only."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from danet.detectors.base import Detections
from danet.detectors.suppression import Limits, best_boxes, in_frame, within
from danet.errors import DetectorError, InputError
from danet.frame import as_bgr

WINDOW_PERSON = 96
"""Height in pixels of a person in the detector's window of 64 x 128 (Dalal and Triggs 2005, section 4)."""
PERSON_IN_WINDOW = np.array((0.21, 0.115, 0.79, 0.85))
"""Edges of the person as shares of the window: medians measured on real walkers, see docs/detectors.md."""
SCORE_SLOPE, SCORE_MIDDLE = 3.6, 0.9
"""Platt scaling: the share of true persons among windows of an SVM margin m is about 1 / (1 + exp(-3.6 (m - 0.9)))."""
SMALLEST = 0.02, 1.0
"""Shares of the frame's height that may be looked for."""
MOST_ENLARGED = 4.0
"""Beyond this a frame shows nothing more to a detector of edges."""
MOST_WORKING_SIDE = 8192
"""Pixels: bounds time and memory for frames of odd shape."""
NEAR = 0.7
"""Share of the frame's height from which a person may want more margin than the frame has."""
_WINDOW = (64, 128)
"""Width and height of the detector's window, pixels."""
_PADDING = (16, 16)


class HogDetector:
    """Finds upright persons by OpenCV's HOG and linear SVM (Dalal and Triggs 2005).

    Frames are scaled so that the smallest person that is looked for is 96 pixels tall, the least that the
    detector knows; larger ones are found by its pyramid. Time goes with 1 / smallest**2 and the frame's
    aspect, not with its resolution. What it finds and what not: docs/detectors.md.

    Args:
        smallest: height of the smallest person to be found, as a share of the frame's height, 0.02 to 1.
        score_threshold: lowest score of a person.
        nms_threshold: IoU above which the lesser of two boxes is dropped.
        max_detections: most persons to a frame.
        stride: pixels between windows, 8 or 4; 4 takes three times as long.
        pyramid_step: ratio of neighbouring sizes in the pyramid, above 1.

    A score is the detector's SVM margin m as a probability: 1 / (1 + exp(-3.6 (m - 0.9))).

    Safe to call from several threads.

    Raises:
        InputError: an argument out of its range.
        DetectorError: this OpenCV has no such detector, as 5 has none.
    """

    def __init__(
        self,
        *,
        smallest: float = 0.2,
        score_threshold: float = 0.4,
        nms_threshold: float = 0.3,
        max_detections: int = 100,
        stride: int = 8,
        pyramid_step: float = 1.1,
    ) -> None:
        if not within(smallest, *SMALLEST):
            least, most = SMALLEST
            raise InputError(f"smallest {smallest!r}, expected a share of the frame's height in {least:g}..{most:g}")
        if stride not in (4, 8):
            raise InputError(f"stride {stride!r}, expected 8 or 4 pixels")
        if not within(pyramid_step, 1.01, 2):
            raise InputError(f"pyramid_step {pyramid_step!r}, expected a ratio in 1.01..2")
        self.limits = Limits(score_threshold, nms_threshold, max_detections)
        self._smallest = smallest
        self._stride = stride
        self._pyramid_step = pyramid_step
        # the default descriptor but for the number of levels: with its 64 a fine pyramid would end before the near view
        levels = max(64, math.ceil(math.log(1 / smallest) / math.log(pyramid_step)) + 2)
        window, block, cell = (64, 128), (16, 16), (8, 8)
        if not hasattr(cv2, "HOGDescriptor"):
            raise DetectorError(
                f"OpenCV {cv2.__version__} has no HOG people detector, expected 4.x; install opencv-python (or "
                "opencv-python-headless) below 5, or use a detector's file"
            )
        norm = cv2.HOGDescriptor_L2Hys
        self._hog = cv2.HOGDescriptor(window, block, cell, cell, 9, 1, -1.0, norm, 0.2, True, levels, False)
        self._hog.setSVMDetector(np.array(cv2.HOGDescriptor.getDefaultPeopleDetector(), np.float32))

    def detect(self, frame: Any) -> Detections:
        """The persons in a frame (H, W, 3) uint8 BGR; also BGRA and grey.

        Raises:
            InputError: a frame that cannot be used.
            DetectorError: OpenCV failed, for instance out of memory.
        """
        picture = as_bgr(frame)
        size = (picture.shape[0], picture.shape[1])
        try:
            views = (far_view(picture, self._smallest), near_view(picture))
            found = [self._windows(view.picture) for view in views]
        except cv2.error as error:
            raise DetectorError(f"OpenCV's HOG failed on a frame of {size} ({error.err})") from error
        boxes = np.concatenate(
            [view.to_frame(persons_in(windows)) for view, (windows, _) in zip(views, found, strict=True)]
        )
        margins = np.concatenate([one for _, one in found])
        scores = scores_of(margins)
        kept = best_boxes(boxes, scores, self.limits)
        return in_frame(boxes[kept], scores[kept], size, self.limits.max_detections)

    def _windows(self, picture: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Windows (N, 4) x, y, width, height and their margins (N,), the finest level's first.

        As OpenCV's `detectMultiScale` without grouping, level by level: that one adds a level's windows to its answer
        under one lock and their margins under another, so that two threads may give each other's margins to them
        (HOGInvoker in OpenCV's hog.cpp, 4.14).
        """
        scales = self._scales(picture.shape[0], picture.shape[1])
        level = partial(self._level, picture)
        try:
            with ThreadPoolExecutor(min(len(scales), cv2.getNumThreads()), thread_name_prefix="danet-hog") as pool:
                levels = list(pool.map(level, scales))
        except RuntimeError:  # no thread may be started any more: the program ends, or the system has none
            levels = list(map(level, scales))
        windows, margins = zip(*levels, strict=True)
        return np.concatenate(windows), np.concatenate(margins)

    def _scales(self, height: int, width: int) -> list[float]:
        """How many times smaller than the picture each level of the pyramid is; as OpenCV chooses them."""
        scales = []
        scale = 1.0
        for _ in range(self._hog.nlevels):
            scales.append(scale)
            if round(width / scale) < _WINDOW[0] or round(height / scale) < _WINDOW[1]:
                break
            scale *= self._pyramid_step
        return scales

    def _level(self, picture: NDArray[np.uint8], scale: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Windows (N, 4) in pixels of the picture and margins (N,) of one level."""
        height, width = picture.shape[:2]
        size = (round(width / scale), round(height / scale))
        if size != (width, height):
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR_EXACT), np.uint8)
        corners, margins = self._hog.detect(
            picture,
            hitThreshold=margin_of(self.limits.score_threshold),
            winStride=(self._stride, self._stride),
            padding=_PADDING,
        )
        places = np.rint(np.asarray(corners, np.float64).reshape(-1, 2) * scale)
        sides = np.rint(np.multiply(_WINDOW, scale))
        windows = np.column_stack((places, np.broadcast_to(sides, places.shape)))
        return windows, np.asarray(margins, np.float64).reshape(-1)


@dataclass(frozen=True)
class View:
    """A frame scaled and given a border, as one run of the detector sees it."""

    picture: NDArray[np.uint8]
    """(h, w, 3), at least as large as the detector's window."""
    scale: NDArray[np.float64]
    """Pixels of the view to a frame pixel in x and y (2,)."""
    border: int
    """Pixels of the view at the left and at the top."""

    def to_frame(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Boxes (N, 4) xyxy in pixels of the view -> frame pixels."""
        moved: NDArray[np.float64] = (boxes - self.border) / self.scale[[0, 1, 0, 1]]
        return moved


def far_view(frame: NDArray[np.uint8], smallest: float) -> View:
    """For persons of `smallest` to three quarters of the frame's height; the smallest are 96 pixels tall."""
    return _view(frame, WINDOW_PERSON / (smallest * frame.shape[0]), 0)


def near_view(frame: NDArray[np.uint8]) -> View:
    """For persons that fill the frame.

    The detector's window wants a margin about the person. OpenCV mirrors the picture there, which doubles
    feet and heads; with an edge that is drawn out
    it finds four times as many.
    """
    height = round(WINDOW_PERSON / NEAR)
    return _view(frame, height / frame.shape[0], height // 4)


def _view(frame: NDArray[np.uint8], ratio: float, border: int) -> View:
    height, width = frame.shape[:2]
    ratio = min(ratio, MOST_ENLARGED, MOST_WORKING_SIDE / max(height, width))
    inner = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    resized = cv2.resize(frame, inner, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR)
    right, bottom = (
        max(border, least - border - side) for side, least in zip(inner, _WINDOW, strict=True)
    )  # OpenCV refuses pictures under a window
    picture = cv2.copyMakeBorder(resized, border, bottom, border, right, cv2.BORDER_REPLICATE)
    return View(np.asarray(picture, np.uint8), np.divide(inner, (width, height)), border)


def persons_in(windows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Windows (N, 4) x, y, width, height -> boxes (N, 4) xyxy of the persons in them, without the windows' margin."""
    boxes: NDArray[np.float64] = windows[:, [0, 1, 0, 1]] + windows[:, [2, 3, 2, 3]] * PERSON_IN_WINDOW
    return boxes


def scores_of(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """SVM margins (N,) -> scores (N,) in [0, 1]."""
    scores: NDArray[np.float64] = 1 / (1 + np.exp(-SCORE_SLOPE * (margins - SCORE_MIDDLE)))
    return scores


def margin_of(score: float) -> float:
    """The inverse of `scores_of`, within the margins that occur."""
    inside = min(max(score, 0.005), 1 - 1e-9)
    return SCORE_MIDDLE + float(np.log(inside / (1 - inside))) / SCORE_SLOPE
