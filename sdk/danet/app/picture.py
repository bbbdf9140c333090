"""Poses on one picture that a visitor uploads."""

from __future__ import annotations

import base64
import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
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
LIVE_QUALITY = 85
"""Of the JPEGs that a webcam's visitor sees, ten and more to a second, 0 to 100."""


@dataclass(frozen=True, eq=False)
class PictureResult:
    """What the page shows for a picture."""

    picture: NDArray[np.uint8]
    """(H, W, 3) uint8 BGR."""
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
    """An uploaded picture (H, W, 3) uint8 BGR, turned upright by its EXIF tag (AVIF is not, see `read_picture`).

    Raises:
        InputError: no picture, or more than `MOST_PIXELS`.
    """
    _refuse_large(path, str(path))
    return read_picture(path)


def read_data_url(url: str) -> NDArray[np.uint8]:
    """A webcam's picture (H, W, 3) uint8 BGR, out of the `data:` URL in which the page sends it.

    Raises:
        InputError: no picture, or more than `MOST_PIXELS`.
    """
    kind, _, text = url.partition(",")
    if not (kind.startswith("data:image/") and kind.endswith(";base64")):
        raise InputError(f"a webcam's picture of {kind!a:.40}, expected data:image/jpeg;base64; use the page's own")
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InputError(f"the webcam's picture cannot be read: no base64 ({error})") from error
    _refuse_large(io.BytesIO(content), "the webcam's picture")
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise InputError(f"the webcam's picture cannot be read ({error.err})") from error
    if picture is None:
        raise InputError(f"the webcam's picture of {len(content)} bytes cannot be read; expected JPEG, PNG or WebP")
    return np.asarray(picture, np.uint8)


def as_data_url(picture: NDArray[np.uint8]) -> str:
    """A picture (H, W, 3) uint8 BGR as a JPEG in a `data:` URL, which leaves no file behind."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, LIVE_QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"


def _refuse_large(file: Path | io.BytesIO, name: str) -> None:
    try:
        with Image.open(file) as header:  # reads the size only
            width, height = header.size
    except UnidentifiedImageError as error:
        raise InputError(f"{name}: not a picture; expected JPEG, PNG, WebP, BMP or TIFF") from error
    except (Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:  # all that Pillow raises
        raise InputError(f"{name}: the picture cannot be read ({error})") from error
    if width * height > MOST_PIXELS:
        raise InputError(f"{name}: {width} x {height} pixels, expected at most {MOST_PIXELS // 10**6} million")


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
