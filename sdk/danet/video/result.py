"""What the pipeline gives for each frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danet.poses import Poses
from danet.video.frame import Frame


@dataclass(frozen=True, eq=False)
class FramePoses:
    """A frame and the persons in it."""

    frame: Frame
    poses: Poses
    """With ids where there is a tracker."""
    detected: bool
    """Whether the detector ran on this frame."""
    latency_s: float
    """Seconds from the frame being taken out of the source to its poses."""

    def draw(self, *, threshold: float = 0.2, boxes: bool = False, ids: bool = True) -> NDArray[np.uint8]:
        """A copy of the picture with the skeletons on it; see `Poses.draw`."""
        return self.poses.draw(self.frame.image, threshold=threshold, boxes=boxes, ids=ids)

    def to_dict(self) -> dict[str, Any]:
        """Frame index, time stamp in seconds, size in pixels, and the persons as `Poses.to_dict` gives them."""
        height, width = self.frame.image.shape[:2]
        content = {
            "frame": int(self.frame.index),  # NumPy's numbers, which JSON does not take, come from sources of others
            "time_s": round(float(self.frame.time_s), 6),
            "width": width,
            "height": height,
        }
        if self.frame.name:
            content["name"] = self.frame.name
        return {**content, **self.poses.to_dict()}
