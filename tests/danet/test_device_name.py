"""Devices as other libraries write them."""

from __future__ import annotations

from danet.embedded import PORTRAIT
from danet.estimator import PoseEstimator
from danet.frame import read_picture


def test_lower_case_finds_the_same_tuning_and_device() -> None:
    with PoseEstimator("danet72", device="cpu") as lower, PoseEstimator("danet72") as upper:
        assert lower.tuning == upper.tuning
        assert lower.settings == upper.settings
        assert (lower.infer(read_picture(PORTRAIT)).scores == upper.infer(read_picture(PORTRAIT)).scores).all()
