from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from danet.errors import InputError
from danet_calibration import data as data_module
from danet_calibration.data import DataChoice, dataset_digest, find_data
from danet_evaluation.coco import load_split
from danet_evaluation.rendered import RenderedPicture


def test_annotated_folder_gives_both_sides(proven_folder: Path) -> None:
    data = find_data(DataChoice(proven_folder, samples=6))
    assert (len(data.chosen), len(data.validations[0].persons)) == (6, 16)
    assert "6 crops of" in data.calibration
    assert data.calibration.endswith("/train")
    assert data.validations[0].name.endswith("/val")


def test_limit(proven_folder: Path) -> None:
    assert len(find_data(DataChoice(proven_folder, samples=2, limit=3)).validations[0].persons) == 4


def test_pictures_alone_are_measured_on_rendered_persons(proven_folder: Path) -> None:
    data = find_data(DataChoice(proven_folder / "images", samples=4, rendered=5))
    assert (data.validations[0].name, len(data.chosen)) == ("rendered/5", 4)


def test_rendered_persons_beside_annotated_ones_are_on_both_sides(proven_folder: Path) -> None:
    data = find_data(DataChoice(proven_folder, samples=7, rendered=5))
    assert [one.name for one in data.validations] == [f"{proven_folder.name}/val", "rendered/5"]
    rendered = [candidate for candidate in data.chosen if isinstance(candidate.picture, RenderedPicture)]
    assert (len(data.chosen), len(rendered)) == (7, 3)
    assert data.calibration == f"4 crops of {proven_folder.name}/train and 3 of rendered persons"


def test_rendered_persons_fill_up_where_the_annotated_are_few(proven_folder: Path) -> None:
    data = find_data(DataChoice(proven_folder, samples=40, rendered=5))
    assert data.calibration == f"16 crops of {proven_folder.name}/train and 24 of rendered persons"


def test_annotated_persons_alone_where_no_rendered_ones_are_asked_for(proven_folder: Path) -> None:
    data = find_data(DataChoice(proven_folder, samples=7))
    assert (len(data.validations), data.calibration) == (1, f"7 crops of {proven_folder.name}/train")


def test_nothing_given_is_rendered_on_both_sides() -> None:
    data = find_data(DataChoice(samples=3, rendered=4))
    assert (len(data.chosen), data.validations[0].name) == (3, "rendered/4")
    assert "rendered persons" in data.calibration


def test_pictures_on_both_sides_are_refused_under_any_name(proven_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(proven_folder, tmp_path / "copy")
    shutil.copy(folder / "images" / "val-101.png", folder / "images" / "train-1.png")
    with pytest.raises(InputError, match=r"are among those of copy/val too, such as .*train-1\.png"):
        find_data(DataChoice(folder, samples=16))


def test_a_split_for_both_is_refused(coco_folder: Path) -> None:
    with pytest.raises(InputError, match="expected other pictures"):
        find_data(DataChoice(coco_folder))


def test_persons_to_tune_on_are_on_no_other_side(proven_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_module, "LEAST_TUNING", 4)
    data = find_data(DataChoice(proven_folder, samples=3))
    pictures = set(data.tuning.pictures.values())
    assert data.tuning.name == f"{proven_folder.name}/train, held out"
    assert not pictures & {candidate.picture for candidate in data.chosen}
    assert not pictures & set(data.validations[0].pictures.values())
    assert len(pictures) + len({candidate.picture for candidate in data.chosen}) == 8  # all of the split
    assert len(find_data(DataChoice(proven_folder, samples=3, limit=3)).tuning.persons) == 4  # two on a picture


def test_a_small_limit_leaves_enough_persons_to_tune_on(proven_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_module, "LEAST_TUNING", 6)
    data = find_data(DataChoice(proven_folder, samples=1, limit=2))
    assert (len(data.validations[0].persons), len(data.tuning.persons)) == (2, 6)
    assert data.tuning.name == f"{proven_folder.name}/train, held out"


def test_where_too_few_are_held_out_those_of_the_validation_are_tuned_on(proven_folder: Path) -> None:
    data = find_data(DataChoice(proven_folder, samples=3))
    assert (data.tuning.name, len(data.tuning.persons)) == (data.validations[0].name, 16)


def test_pictures_that_are_not_there_are_not_tuned_on(
    proven_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a part of a data set with the annotations of the whole: the climb would end there, hours later."""
    monkeypatch.setattr(data_module, "LEAST_TUNING", 4)
    folder = shutil.copytree(proven_folder, tmp_path / "copy")
    gone = next(iter(find_data(DataChoice(folder, samples=1)).tuning.pictures.values()))
    gone.path.unlink()  # type: ignore[attr-defined]
    tuned = find_data(DataChoice(folder, samples=1)).tuning
    assert tuned.pictures
    assert gone not in tuned.pictures.values()


def test_boxes_that_are_not_there(proven_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"boxes\.json: no such file"):
        data_module.refuse_unusable(DataChoice(proven_folder / "images", tmp_path / "boxes.json"))


def test_a_held_out_picture_that_is_measured_on_too_is_left_out(
    proven_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_module, "LEAST_TUNING", 4)
    folder = shutil.copytree(proven_folder, tmp_path / "copy")
    before = find_data(DataChoice(folder, samples=1)).tuning
    twice = next(iter(before.pictures.values()))
    shutil.copy(folder / "images" / "val-101.png", twice.path)  # type: ignore[attr-defined]
    after = find_data(DataChoice(folder, samples=1)).tuning
    assert set(after.pictures.values()) == set(before.pictures.values()) - {twice}
    assert "held out" in after.name


@pytest.mark.parametrize("missing", ["area", "names"])
def test_a_split_that_has_no_ap_is_calibrated_on_alone(
    missing: str, proven_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_module, "LEAST_TUNING", 4)
    folder = shutil.copytree(proven_folder, tmp_path / "copy")
    content = json.loads((folder / "train.json").read_text())
    if missing == "area":
        for annotation in content["annotations"]:
            del annotation["area"]
    else:
        content["categories"] = [{"id": 1, "name": "person", "keypoints": [f"joint {n}" for n in range(17)]}]
    (folder / "train.json").write_text(json.dumps(content))
    data = find_data(DataChoice(folder, samples=1))
    assert len(data.chosen) == 1
    assert data.tuning.name == data.validations[0].name


def test_rendered_persons_to_tune_on_are_of_other_scenes() -> None:
    data = find_data(DataChoice(samples=20, rendered=6))
    sides = [
        {candidate.picture for candidate in data.chosen},
        set(data.validations[0].pictures.values()),
        set(data.tuning.pictures.values()),
    ]
    assert len(set.union(*sides)) == sum(map(len, sides))
    assert (data.tuning.name, len(data.tuning.persons)) == ("rendered/6, held out", 6)


def test_missing_data(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        find_data(DataChoice(tmp_path / "nowhere"))


def test_digest_tells_other_persons(proven_folder: Path) -> None:
    dataset = load_split(proven_folder, "val")
    assert dataset_digest(dataset) == dataset_digest(load_split(proven_folder, "val"))
    assert dataset_digest(dataset) != dataset_digest(dataset.first(2))


def test_digest_tells_other_pictures_of_the_same_names(proven_folder: Path, tmp_path: Path) -> None:
    dataset = load_split(shutil.copytree(proven_folder, tmp_path / "copy"), "val")
    pictures = tmp_path / "copy" / "images"
    found = [dataset_digest(dataset)]
    shutil.copy(pictures / "val-102.png", pictures / "val-101.png")
    found.append(dataset_digest(dataset))
    os.utime(pictures / "val-103.png", ns=(0, 0))  # another one of the same size
    found.append(dataset_digest(dataset))
    (pictures / "val-101.png").unlink()  # which is told where it is read
    found.append(dataset_digest(dataset))
    assert len(set(found)) == 4


def test_boxes_that_nothing_would_be_done_with_are_refused(proven_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="whose annotations have boxes of their own; leave --boxes out"):
        find_data(DataChoice(proven_folder, tmp_path / "boxes.json"))
    with pytest.raises(InputError, match="--boxes goes with the --data"):
        find_data(DataChoice(boxes=tmp_path / "boxes.json"))


def test_a_seed_that_numpy_does_not_take() -> None:
    with pytest.raises(InputError, match="seed -1, expected 0 or more"):
        DataChoice(seed=-1)


def test_nothing_is_read_where_nothing_can_be_shared(proven_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A video of hours would be read whole."""
    monkeypatch.setattr(data_module, "_digest", lambda path: pytest.fail(f"{path} was read"))
    find_data(DataChoice(proven_folder / "images", samples=4, rendered=2))
