"""Poses on one picture that a visitor uploads."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from danet.detectors.base import Detector
from danet.errors import InputError
from danet.estimator import PoseEstimator
from danet.frame import read_picture
from danet.poses import Poses

MOST_PIXELS = 50_000_000
"""A camera of today has fewer; a small file may unpack to many more."""


@dataclass(frozen=True, eq=False)
class PictureResult:
    """What the page shows for a picture."""

    picture: NDArray[np.uint8]
    """(H, W, 3) uint8 BGR, upright."""
    poses: Poses
    seconds: float
    """For detector and estimator, a warm one: opening a model is not counted."""

    def draw(self, *, threshold: float, boxes: bool) -> NDArray[np.uint8]:
        """The picture with skeletons: (H, W, 3) uint8 BGR."""
        return self.poses.draw(self.picture, threshold=threshold, boxes=boxes)

    def to_dict(self) -> dict[str, Any]:
        """Size in pixels, and the persons as `Poses.to_dict` gives them."""
        height, width = self.picture.shape[:2]
        return {"width": width, "height": height, **self.poses.to_dict()}


def read_upload(path: Path) -> NDArray[np.uint8]:
    """An uploaded picture (H, W, 3) uint8 BGR, turned upright by its EXIF tag.

    Raises:
        InputError: no picture, or more than `MOST_PIXELS`.
    """
    try:
        with Image.open(path) as header:  # reads the size only
            width, height = header.size
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not a picture; expected JPEG, PNG, WebP, BMP or TIFF") from error
    except (Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:  # all that Pillow raises
        raise InputError(f"{path}: the picture cannot be read ({error})") from error
    if width * height > MOST_PIXELS:
        raise InputError(f"{path}: {width} x {height} pixels, expected at most {MOST_PIXELS // 10**6} million")
    return read_picture(path)


def find_poses(picture: NDArray[np.uint8], estimator: PoseEstimator, detector: Detector | None) -> PictureResult:
    """The persons in a picture (H, W, 3) uint8 BGR; without a detector the whole picture is one person.

    Raises:
        InputError: a picture that cannot be used.
        DetectorError: the detector failed.
        BackendError: the network failed.
    """
    start = time.perf_counter()
    boxes = None if detector is None else detector.detect(picture).boxes
    poses = estimator.infer(picture, boxes)
    return PictureResult(picture, poses, time.perf_counter() - start)
