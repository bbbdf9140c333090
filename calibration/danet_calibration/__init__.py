"""INT8 quantization behind an accuracy gate: no file is written whose keypoint AP was not measured."""
