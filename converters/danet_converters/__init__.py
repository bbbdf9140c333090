"""Checkpoint to ONNX and OpenVINO IR, with exact simplification and a parity check."""

# before any module here imports OpenVINO, whose telemetry it keeps from being loaded
import danet  # noqa: F401
