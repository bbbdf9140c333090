"""Speed, accuracy and memory of every backend, side by side."""

# before any module here imports OpenVINO, whose telemetry it keeps from being loaded
import danet  # noqa: F401
