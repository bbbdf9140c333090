from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from danet.crop import crop_affines, crop_persons
from danet.model_spec import ModelSpec
from danet_calibration.candidates import Candidate, dataset_candidates, rendered_candidates
from danet_calibration.crops import cut_crops
from danet_evaluation.coco import load_split

SPEC = ModelSpec(name="crops", input_size=(128, 96))


def test_crops_are_those_of_the_runtime(proven_folder: Path, tmp_path: Path) -> None:
    chosen = dataset_candidates(load_split(proven_folder, "train"))[:5]
    steps: list[int] = []
    crops = cut_crops(chosen, SPEC, tmp_path / "crops", steps.append)
    expected = np.concatenate(
        [crop_persons(one.picture.read(), crop_affines(np.asarray(one.box)[None], SPEC), SPEC) for one in chosen]
    )
    np.testing.assert_array_equal(np.concatenate(list(crops.batches(2))), expected)
    assert crops.hashes == tuple(hashlib.sha256(crop.tobytes()).hexdigest() for crop in expected)
    assert (len(crops), steps, sum(crops.sources.values())) == (5, [1] * 5, 5)


def test_batches_can_be_read_again_and_the_last_is_what_is_left(tmp_path: Path) -> None:
    crops = cut_crops(rendered_candidates(5, seed=0)[:5], SPEC, tmp_path / "crops")
    for _ in range(2):
        assert [batch.shape for batch in crops.batches(2)] == [(2, 128, 96, 3), (2, 128, 96, 3), (1, 128, 96, 3)]


def test_whole_picture_where_there_is_no_box(proven_folder: Path, tmp_path: Path) -> None:
    person = dataset_candidates(load_split(proven_folder, "train"))[0]
    crops = cut_crops([Candidate(person.picture, None, "whole")], SPEC, tmp_path / "crops")
    whole = np.array([[0.0, 0, 160, 160]])
    expected = crop_persons(person.picture.read(), crop_affines(whole, SPEC), SPEC)
    np.testing.assert_array_equal(next(crops.batches()), expected)


def test_digest_tells_other_crops(proven_folder: Path, tmp_path: Path) -> None:
    chosen = dataset_candidates(load_split(proven_folder, "train"))
    digests = {cut_crops(part, SPEC, tmp_path / "crops").digest for part in (chosen[:3], chosen[1:4], chosen[:2])}
    assert len(digests) == 3
    assert cut_crops(chosen[:3], SPEC, tmp_path / "crops").digest in digests
