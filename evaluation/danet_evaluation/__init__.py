"""COCO-format data sets and keypoint metrics: one evaluator for training, the INT8 gate and the benchmark."""
