from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("danet.scenes.scene")

from danet.estimator import PoseEstimator
from danet_evaluation.evaluate import evaluate
from danet_evaluation.rendered import FIRST_SEED, FRAME_SIZE, RenderedPicture, rendered_dataset


def test_rendered_persons(estimator: PoseEstimator) -> None:
    seen: list[int] = []
    dataset = rendered_dataset(7, seen.append)
    assert len(dataset.persons) == sum(seen) == 7
    assert len({person.id for person in dataset.persons}) == 7
    for person in dataset.persons:
        assert person.keypoints.shape == (17, 2)
        assert (person.box[2:] > person.box[:2]).all()
        assert isinstance(person.picture, RenderedPicture)
        assert person.picture.seed >= FIRST_SEED == 2**62
    first = dataset.persons[0].picture.read()
    assert first.dtype == np.uint8
    assert first.shape == (*FRAME_SIZE, 3)
    assert np.array_equal(first, rendered_dataset(1).persons[0].picture.read())
    report = evaluate(estimator, dataset)
    assert report.persons == 7
    assert 0 <= report.figures.ap < 1
