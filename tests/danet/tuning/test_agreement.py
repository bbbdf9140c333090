from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from danet.estimator import PoseEstimator
from danet.model_spec import ModelSpec
from danet.tuning.agreement import MOST_MOVED, Sample, find_keypoints, moved_share, render_sample


@pytest.fixture(scope="module")
def sample() -> Sample:
    return render_sample(ModelSpec(name="x"))


def test_enough_keypoints_that_one_is_far_less_than_the_limit(sample: Sample) -> None:
    assert sample.crops.shape == (72, 256, 192, 3)
    assert sample.visible.shape == (72, 17)
    assert 1 / sample.visible.sum() < MOST_MOVED / 5
    assert not sample.visible.all()


def test_only_visible_keypoints_that_leave_their_cell_count(sample: Sample) -> None:
    reference = np.zeros((72, 17, 2), np.float32)
    inside, outside = np.array([2.0, 3.4]), np.array([2.0, 3.5])  # 3.94 and 4.03 pixels; a cell is 4
    person, joint = np.argwhere(sample.visible)[5]
    hidden_person, hidden_joint = np.argwhere(~sample.visible)[0]
    keypoints = reference + inside.astype(np.float32)
    keypoints[hidden_person, hidden_joint] = 90
    assert moved_share(reference, keypoints, sample, 4) == 0
    keypoints[person, joint] = outside
    assert moved_share(reference, keypoints, sample, 4) == pytest.approx(1 / sample.visible.sum())


def test_other_keypoints_than_cocos_count_all(sample: Sample) -> None:
    reference = np.zeros((72, 2, 2), np.float32)
    keypoints = reference.copy()
    keypoints[:18] = 50
    assert moved_share(reference, keypoints, sample, 4) == 0.25


class Coarse:
    """Heatmaps with a peak that rounding to so few levels blurs: as bad arithmetic does."""

    def __init__(self, levels: int) -> None:
        self.levels = levels

    def run(self, images: np.ndarray) -> np.ndarray:
        columns, rows = np.meshgrid(np.arange(48), np.arange(64))
        seeds = images.reshape(len(images), -1)[:, :17].astype(float)
        x, y = (seeds % 41)[..., None, None], (seeds % 57)[..., None, None]
        heatmaps = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 200)
        return (np.round(heatmaps * self.levels) / self.levels).astype(np.float32)

    def close(self) -> None:
        """Nothing to free."""


def test_coarser_arithmetic_moves_more(sample: Sample) -> None:
    spec = replace(ModelSpec(name="x"), decoder=replace(ModelSpec(name="x").decoder, blur_kernel=1))
    found = [
        find_keypoints(PoseEstimator("coarse", backend=Coarse(levels), spec=spec), sample)
        for levels in (10_000, 9_999, 4)
    ]
    assert moved_share(found[0], found[0], sample, spec.stride) == 0
    assert moved_share(found[0], found[1], sample, spec.stride) < MOST_MOVED
    assert moved_share(found[0], found[2], sample, spec.stride) > MOST_MOVED
