"""Human pose for camera apps without a GPU: model files in, keypoints out.

from danet import PoseEstimator

estimator = PoseEstimator("danet72")
poses = estimator.infer(frame, boxes)  # frame (H, W, 3) uint8 BGR; boxes (N, 4) xyxy pixels

with PosePipeline(0, estimator, open_detector("hog"), Tracker()) as pipeline:  # a camera: ids, steady keypoints
    for result in pipeline:
        picture = result.draw()
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from danet.backends.base import Backend
    from danet.detectors.base import Detections, Detector
    from danet.detectors.opening import open_detector
    from danet.errors import (
        BackendError,
        DanetError,
        DetectorError,
        InputError,
        MissingExtraError,
        ModelFileError,
        ModelSpecError,
        SourceError,
    )
    from danet.estimator import PoseEstimator
    from danet.model_spec import DecoderSpec, Metric, ModelSpec
    from danet.poses import Poses
    from danet.tracking.one_euro import OneEuroSettings
    from danet.tracking.tracker import Tracker, TrackerSettings
    from danet.video.opening import open_source
    from danet.video.pipeline import PosePipeline

# OpenVINO reports its import to an analytics server, where its telemetry package is installed (it is, with the wheel).
# An SDK that runs inside other people's products must not phone home; OpenVINO and NNCF do well without that package.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

_HOMES = {
    "Backend": "danet.backends.base",
    "BackendError": "danet.errors",
    "DanetError": "danet.errors",
    "DecoderSpec": "danet.model_spec",
    "Detections": "danet.detectors.base",
    "Detector": "danet.detectors.base",
    "DetectorError": "danet.errors",
    "InputError": "danet.errors",
    "Metric": "danet.model_spec",
    "MissingExtraError": "danet.errors",
    "ModelFileError": "danet.errors",
    "ModelSpec": "danet.model_spec",
    "ModelSpecError": "danet.errors",
    "OneEuroSettings": "danet.tracking.one_euro",
    "PoseEstimator": "danet.estimator",
    "PosePipeline": "danet.video.pipeline",
    "Poses": "danet.poses",
    "SourceError": "danet.errors",
    "Tracker": "danet.tracking.tracker",
    "TrackerSettings": "danet.tracking.tracker",
    "open_detector": "danet.detectors.opening",
    "open_source": "danet.video.opening",
}
"""Where each public name is from. Imported when it is first asked for: an app that only infers does not wait for the
detectors, the tracker and the video files."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # takes longer than the rest of `import danet`

        return version("danet-edge")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


__all__ = [
    "Backend",
    "BackendError",
    "DanetError",
    "DecoderSpec",
    "Detections",
    "Detector",
    "DetectorError",
    "InputError",
    "Metric",
    "MissingExtraError",
    "ModelFileError",
    "ModelSpec",
    "ModelSpecError",
    "OneEuroSettings",
    "PoseEstimator",
    "PosePipeline",
    "Poses",
    "SourceError",
    "Tracker",
    "TrackerSettings",
    "open_detector",
    "open_source",
]
