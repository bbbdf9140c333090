"""What a person detector is: a frame in, boxes and scores out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from danet.errors import DetectorError, InputError
from danet.frame import MIN_SIDE, as_boxes, as_numbers

SCORE_TOLERANCE = 1.02
"""INT8 models overshoot 1 by a rounding."""


class Detections(NamedTuple):
    """The persons that a detector found in one frame, the best first; those of a callable in its order."""

    boxes: NDArray[np.float32]
    """(N, 4) float32 xyxy, pixels of the frame, edges."""
    scores: NDArray[np.float32]
    """(N,) float32 in [0, 1]; 1 where a detector gives none."""


@runtime_checkable
class Detector(Protocol):
    """Finds persons. `danet.detectors` has two; an object of your own needs this one method."""

    def detect(self, frame: Any) -> Detections:
        """The persons in a frame (H, W, 3) uint8 BGR."""
        ...


DetectFunction = Callable[[Any], Any]
"""Any callable frame -> boxes (N, 4) xyxy, or -> (boxes, scores)."""


class CallableDetector:
    """A plain function as a Detector.

    Args:
        function: frame (H, W, 3) uint8 BGR -> boxes (N, 4) xyxy in frame pixels, or a pair of them and scores (N,).
    """

    def __init__(self, function: DetectFunction) -> None:
        self._function = function

    def detect(self, frame: NDArray[np.uint8]) -> Detections:
        """The persons in a frame (H, W, 3) uint8 BGR.

        Raises:
            DetectorError: the function raised, or gave what are no boxes.
        """
        try:
            found = self._function(frame)
        except Exception as error:  # whatever a user's function raises
            raise DetectorError(f"the detector raised {type(error).__name__}: {error}") from error
        return checked(found, (frame.shape[0], frame.shape[1]))


def checked(found: Any, frame_size: tuple[int, int]) -> Detections:
    """What somebody's detector gave, as Detections that can be relied on.

    Boxes without a finite number or without area, as some networks give them, are nobody and are left out.

    Args:
        found: boxes (N, 4) xyxy, or a pair of them and scores (N,), or None for nobody.
        frame_size: (height, width) of the frame.

    Raises:
        DetectorError: another shape, scores that do not fit, coordinates beyond what can be cropped.
    """
    try:
        boxes, scores = found if _is_pair(found) else (found, None)
        edges = as_numbers(boxes if boxes is not None else ())
        edges = edges if edges.size else edges.reshape(0, 4)
        values = np.ones(len(edges)) if scores is None else np.asarray(scores, np.float64)
        if values.shape != (len(edges),):
            raise DetectorError(f"the detector gave {len(edges)} boxes and scores of shape {values.shape}")
        if edges.ndim == 2 and edges.shape[1] == 4:
            sides = edges[:, 2:] - edges[:, :2]
            usable = np.isfinite(edges).all(1) & np.isfinite(values) & (sides >= MIN_SIDE).all(1)
            edges, values = edges[usable], values[usable]
        if (odd := values[(values < 1 - SCORE_TOLERANCE) | (values > SCORE_TOLERANCE)]).size:
            raise DetectorError(
                f"the detector gave a score of {odd[0]:g}, expected scores in 0..1; divide percent by 100, take a "
                "sigmoid of margins, or give boxes alone"
            )
        scores = values.clip(0, 1).astype(np.float32)
        return Detections(as_boxes(edges, "xyxy", frame_size).astype(np.float32), scores)
    except (InputError, OverflowError, TypeError, ValueError) as error:
        raise DetectorError(f"the detector's boxes cannot be used: {error}") from error


def _is_pair(found: Any) -> bool:
    """Whether these are boxes and scores, and not a tuple of two boxes."""
    if not (isinstance(found, tuple) and len(found) == 2):
        return False
    return [np.shape(one) for one in found] != [(4,), (4,)]


def as_detector(detector: Detector | DetectFunction) -> Detector:
    """A Detector as it is; any other callable wrapped.

    Raises:
        InputError: neither of the two.
    """
    if isinstance(detector, Detector):
        return detector
    if callable(detector):
        return CallableDetector(detector)
    raise InputError(f"detector of type {type(detector).__name__}, expected an object with detect(frame) or a callable")
