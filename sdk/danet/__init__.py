"""Human pose for camera apps without a GPU: model files in, keypoints out.

from danet import PoseEstimator

estimator = PoseEstimator("danet72")
poses = estimator.infer(frame, boxes)  # frame (H, W, 3) uint8 BGR; boxes (N, 4) xyxy pixels
"""

from danet.backends.base import Backend
from danet.errors import (
    BackendError,
    DanetError,
    InputError,
    MissingExtraError,
    ModelFileError,
    ModelSpecError,
)
from danet.estimator import PoseEstimator
from danet.model_spec import DecoderSpec, Metric, ModelSpec
from danet.poses import Poses

__all__ = [
    "Backend",
    "BackendError",
    "DanetError",
    "DecoderSpec",
    "InputError",
    "Metric",
    "MissingExtraError",
    "ModelFileError",
    "ModelSpec",
    "ModelSpecError",
    "PoseEstimator",
    "Poses",
]
