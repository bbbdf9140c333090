from __future__ import annotations

import json
from math import isnan
from typing import Any

import numpy as np
import pytest

from danet.errors import InputError
from danet.estimator import PoseEstimator
from danet.keypoints import COCO_KEYPOINTS, MPII_FLIP_PAIRS, MPII_KEYPOINTS, MPII_SKELETON
from danet.model_spec import DecoderSpec, ModelSpec
from danet_evaluation.coco import KeypointDataset, load_split
from danet_evaluation.evaluate import evaluate
from danet_evaluation.mpii import pckh, run_pckh

from .conftest import FixedBackend

BOX = (10, 20, 60, 80)
CATEGORY = {"id": 1, "name": "person", "keypoints": list(MPII_KEYPOINTS)}
SPEC = ModelSpec(
    name="mpii",
    box_padding=1.0,
    decoder=DecoderSpec(blur_kernel=1, offsets=()),
    keypoints=MPII_KEYPOINTS,
    flip_pairs=MPII_FLIP_PAIRS,
    skeleton=MPII_SKELETON,
)


@pytest.fixture
def mpii_estimator(open_fixed: Any) -> PoseEstimator:
    opened: PoseEstimator = open_fixed(FixedBackend(keypoints=16), SPEC)
    return opened


@pytest.fixture
def dataset(write_folder: Any, annotate: Any, expected_in: Any) -> KeypointDataset:
    """Two persons whose head boxes of 30 x 40 allow 0.5 * 0.6 * 50 = 15 pixels, and one without a head."""
    here = expected_in(10, 20, 60)[:16]
    missed = here.copy()
    missed[MPII_KEYPOINTS.index("left_knee")] += (15.1, 0)
    missed[MPII_KEYPOINTS.index("right_wrist")] += (0, 14.9)
    missed[MPII_KEYPOINTS.index("pelvis")] += (90, 0)
    hidden = annotate(1, 2, missed, BOX, head_size=30)
    hidden["keypoints"][3 * MPII_KEYPOINTS.index("head_top") + 2] = 0
    annotations = [
        annotate(1, 1, here, BOX, headbox=[0, 0, 30, 40]),
        hidden,
        annotate(2, 3, missed, BOX),
    ]
    return load_split(write_folder([1, 2], annotations, categories=[CATEGORY]), "val")


def test_the_order_is_mpii_s_own() -> None:
    # ids 0 to 15 as the data set's page lists them: r ankle, r knee, r hip, l hip, ... l wrist
    assert MPII_KEYPOINTS.index("pelvis") == 6
    assert MPII_KEYPOINTS.index("head_top") == 9
    # the pairs of HRNet's mpii.py
    assert sorted(sorted(pair) for pair in MPII_FLIP_PAIRS) == [[0, 5], [1, 4], [2, 3], [10, 15], [11, 14], [12, 13]]
    assert sorted(SPEC.flip_order) == list(range(16))
    assert len(MPII_SKELETON) == 15
    assert {index for pair in MPII_SKELETON for index in pair} == set(range(16))
    assert ModelSpec.from_json(SPEC.to_json()) == SPEC


def test_pckh_by_hand(mpii_estimator: PoseEstimator, dataset: KeypointDataset) -> None:
    done = run_pckh(mpii_estimator, dataset)
    figures = done.evaluation.pckh
    # 2 persons x 14 joints, less one hidden head top; one knee beyond 15 pixels; the pelvis does not count
    assert figures.labelled == 27
    assert figures.mean == pytest.approx(26 / 27)
    groups = {share.group: share.value for share in figures.groups}
    assert groups == {
        "Head": 1.0, "Shoulder": 1.0, "Elbow": 1.0, "Wrist": 1.0, "Hip": 1.0, "Knee": 0.75, "Ankle": 1.0,
    }  # fmt: skip
    assert isnan(figures.per_joint[MPII_KEYPOINTS.index("pelvis")])
    assert (done.evaluation.persons, done.evaluation.pictures, done.model) == (3, 2, "mpii")
    content = done.evaluation.to_dict()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["pckh"]["per_joint"]["pelvis"] is None


def test_perfect_predictions(dataset: KeypointDataset, predictions_at: Any) -> None:
    assert pckh(dataset, predictions_at(dataset).keypoints).mean == 1.0
    assert pckh(dataset, predictions_at(dataset, 15.01).keypoints).mean == 0.0


def test_refused(
    write_folder: Any, annotate: Any, dataset: KeypointDataset, mpii_estimator: PoseEstimator, estimator: PoseEstimator
) -> None:
    with pytest.raises(InputError, match=r"fixed has 17 keypoints of its own .*expected MPII's 16"):
        run_pckh(estimator, dataset)
    with pytest.raises(InputError, match=r"expected COCO's 17"):
        evaluate(estimator, dataset)
    headless = load_split(write_folder([1], [annotate(1, 1, np.ones((16, 2)))], categories=[CATEGORY]), "val")
    with pytest.raises(InputError, match="no person has a head_size or headbox"):
        run_pckh(mpii_estimator, headless)
    short = [annotate(1, 8, np.ones((17, 2)), head_size=20)]
    with pytest.raises(InputError, match="annotation 8 has 17 keypoints, expected 16"):
        run_pckh(mpii_estimator, load_split(write_folder([1], short, categories=[CATEGORY]), "val"))
    assert len(COCO_KEYPOINTS) == 17
