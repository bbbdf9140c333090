"""Seeded pictures of articulated, clothed figures with exact COCO keypoints: training, tests, calibration, demo."""
