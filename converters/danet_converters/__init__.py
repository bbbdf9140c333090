"""Checkpoint to ONNX and OpenVINO IR, with exact simplification and a parity check."""
