"""Persons followed from frame to frame: ids that stay, keypoints that do not jitter."""
