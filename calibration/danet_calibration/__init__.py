"""INT8 quantization behind an accuracy gate: no file is written whose keypoint AP was not measured."""

# before any module here imports OpenVINO, whose telemetry it keeps from being loaded
import danet  # noqa: F401
