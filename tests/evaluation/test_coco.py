from __future__ import annotations

import json
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danet.errors import InputError
from danet.keypoints import COCO_KEYPOINTS, MPII_KEYPOINTS
from danet_evaluation.coco import load_coco, load_split, read_image

POINTS = np.arange(34).reshape(17, 2)


@pytest.mark.parametrize(
    ("json_name", "pictures", "split"),
    [
        ("val.json", "images", "val"),
        ("annotations/person_keypoints_val2017.json", "val2017", "val"),
        ("annotations/person_keypoints_val2017.json", "images/val2017", "val"),
        ("annotations/person_keypoints_val2017.json", "val2017", "val2017"),
        ("annotations/person_keypoints_val2017.json", "images/val2017", "val2017"),
        ("annotations/val.json", "val", "val"),
    ],
)
def test_layouts(write_folder: Any, annotate: Any, json_name: str, pictures: str, split: str) -> None:
    (Path(write_folder([], [])) / "images").mkdir(exist_ok=True)
    (write_folder([], []) / "val.json").unlink()
    folder = write_folder([4], [annotate(4, 9, POINTS)], json_name, pictures)
    dataset = load_split(folder, split)
    assert dataset.name == f"set/{Path(json_name).stem}"
    assert dataset.keypoints == COCO_KEYPOINTS
    (person,) = dataset.persons
    assert (person.id, person.image_id) == (9, 4)
    assert person.box.tolist() == [10, 20, 70, 100]
    assert person.area == 4800
    assert isnan(person.head_size)
    assert person.keypoints.dtype == np.float32
    assert person.visibility.tolist() == [2] * 17
    picture = person.picture.read()
    assert picture.shape == (200, 150, 3)
    assert picture[0, 0].tolist() == [4, 4, 4]


def test_keypoints_of_the_category_and_sizes_of_heads(write_folder: Any, annotate: Any) -> None:
    # 30 x 40: a diagonal of 50, of which 0.6
    annotations = [
        annotate(1, 1, POINTS[:2], headbox=[5, 5, 35, 45]),
        annotate(1, 2, POINTS[:2], head_size=21.5),
        annotate(1, 3, POINTS[:2]),
    ]
    categories = [{"id": 3, "name": "dog"}, {"id": 1, "name": "person", "keypoints": ["head_top", "pelvis"]}]
    dataset = load_split(write_folder([1], annotations, categories=categories), "val")
    assert dataset.keypoints == ("head_top", "pelvis")
    assert [person.head_size for person in dataset.persons] == pytest.approx([30.0, 21.5, nan], nan_ok=True)


def test_crowds_unlabelled_and_empty_boxes_are_no_persons(write_folder: Any, annotate: Any) -> None:
    annotations = [
        annotate(1, 1, POINTS),
        annotate(1, 2, POINTS, iscrowd=1),
        annotate(1, 3, POINTS, keypoints=[0] * 51, num_keypoints=0),
        annotate(1, 4, POINTS, (5, 5, 0, 10)),
    ]
    dataset = load_split(write_folder([1], annotations), "val")
    assert [person.id for person in dataset.persons] == [1]
    assert len(dataset.content["annotations"]) == 4


def test_other_categories_are_no_persons(write_folder: Any, annotate: Any) -> None:
    annotations = [
        annotate(1, 1, POINTS),
        annotate(1, 2, POINTS[:3], category_id=18),  # a dog's keypoints
        {"id": 3, "image_id": 1, "category_id": 44, "bbox": [1, 2, 3, 4]},
    ]
    categories = [{"id": 44, "name": "bottle"}, {"id": 1, "keypoints": COCO_KEYPOINTS}, {"id": 18, "keypoints": ["x"]}]
    dataset = load_split(write_folder([1], annotations, categories=categories), "val")
    assert [person.id for person in dataset.persons] == [1]
    assert [one["id"] for one in dataset.content["annotations"]] == [1]
    # no category, or none that lists keypoints, tells nothing; nor does an id that no category has
    for told in ([], [{"id": 3, "name": "person"}], [{"id": 7, "keypoints": COCO_KEYPOINTS}]):
        dataset = load_split(write_folder([1], annotations[:1], categories=told), "val")
        assert len(dataset.persons) == 1


def test_who_has_a_persons_keypoints_is_one_whatever_the_category(write_folder: Any, annotate: Any) -> None:
    annotations = [annotate(1, number, POINTS, category_id=number) for number in (1, 2, 3)]
    spelt = [name.replace("_", " ").title() for name in COCO_KEYPOINTS]
    categories = [
        {"id": 1, "name": "person"},  # merged from a file that lists no keypoints
        {"id": 1, "name": "person", "keypoints": COCO_KEYPOINTS},
        {"id": 2, "name": "rider"},
        {"id": 3, "name": "child", "keypoints": spelt},
    ]
    dataset = load_split(write_folder([1], annotations, categories=categories), "val")
    assert [person.id for person in dataset.persons] == [1, 2, 3]


def test_an_image_that_is_listed_twice(write_folder: Any, annotate: Any) -> None:
    folder = write_folder([1], [annotate(1, 1, POINTS)])
    (file,) = folder.rglob("*val*.json")
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "images": content["images"] * 2}))
    assert len(load_split(folder, "val").persons) == 1


@pytest.mark.parametrize("known", [COCO_KEYPOINTS, MPII_KEYPOINTS])
def test_keypoints_by_other_spellings(write_folder: Any, known: tuple[str, ...]) -> None:
    spelt = [name.replace("_", " ").title() for name in known]
    assert load_split(write_folder([1], [], categories=[{"id": 1, "keypoints": spelt}]), "val").keypoints == known


def test_boxes_too_small_to_crop_are_no_persons(write_folder: Any, annotate: Any) -> None:
    """As of a detector's boxes, and as PoseEstimator refuses them."""
    boxes = [(10, 20, 0.0009, 80), (10, 20, 0.0011, 80), (1000, 20, 0.001, 80)]  # 1000.001 - 1000 is less
    annotations = [annotate(1, number, POINTS, box) for number, box in enumerate(boxes, 1)]
    assert [person.id for person in load_split(write_folder([1], annotations), "val").persons] == [2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bbox": [2e6, 0, 10, 10]}, "annotation 7: bbox .*, expected within a million pixels"),
        ({"bbox": [float("nan"), 0, 10, 10]}, "annotation 7: bbox or keypoints that are not finite"),
        ({"iscrowd": "0"}, "annotation 7: iscrowd '0', expected 0 or 1"),
    ],
)
def test_annotations_that_nobody_could_use_later(
    write_folder: Any, annotate: Any, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_split(write_folder([1], [annotate(1, 7, POINTS, **change)]), "val")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1, 2, 1], "1 image ids of several images, the first is 1; give each its own"),
        ([1, "2"], "image ids of int, str, expected whole numbers, or text alone"),
        ([None], "image ids of NoneType"),
    ],
)
def test_image_ids_that_tell_nothing_apart(tmp_path: Path, ids: list[Any], message: str) -> None:
    images = [{"id": one, "file_name": f"{number}.png"} for number, one in enumerate(ids)]
    (tmp_path / "val.json").write_text(json.dumps({"images": images, "annotations": []}))
    with pytest.raises(InputError, match=message):
        load_split(tmp_path, "val")


def test_first_takes_whole_pictures(write_folder: Any, annotate: Any) -> None:
    annotations = [annotate(image, number, POINTS) for number, image in enumerate([1, 3, 3, 4], 1)]
    dataset = load_split(write_folder([1, 2, 3, 4], annotations), "val")
    part = dataset.first(2)
    assert list(part.pictures) == [1, 2, 3]
    assert [person.id for person in part.persons] == [1, 2, 3]
    assert [image["id"] for image in part.content["images"]] == [1, 2, 3]
    assert len(part.content["annotations"]) == 3
    assert len(dataset.first(100).persons) == 4


def test_images_groups_persons(write_folder: Any, annotate: Any) -> None:
    annotations = [annotate(image, number, POINTS) for number, image in enumerate([1, 2, 1], 1)]
    dataset = load_split(write_folder([1, 2], annotations), "val")
    assert [(image, [person.id for person in persons]) for image, _, persons in dataset.images()] == [
        (1, [1, 3]),
        (2, [2]),
    ]


def test_sources(write_folder: Any) -> None:
    dataset = load_split(write_folder([1, 2, 3], [], source=["lsp", "street", "lsp"]), "val")
    assert dataset.sources() == {"lsp": [1, 3], "street": [2]}
    assert load_split(write_folder([1], []), "val").sources() == {}


def test_missing_split_names_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"split 'val'.*val\.json.*person_keypoints_val2017\.json"):
        load_split(tmp_path, "val")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_coco(tmp_path / "absent.json", [])


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "3",
        '{"images": []}',
        "[" * 100_000,
        '{"images": [{"id": 1}], "annotations": []}',
        json.dumps(
            {"images": [], "annotations": [{"id": 1, "image_id": 1, "bbox": [0, 0, 1, 1], "keypoints": [1, 1, 2]}]}
        ),
        json.dumps({"images": [{"id": 1, "file_name": "a"}], "annotations": [{"id": 1, "image_id": 1}]}),
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "a"}],
                "annotations": [{"id": 1, "image_id": 1, "bbox": [0, 0, 1, 1], "keypoints": [1, 1, 2, 4]}],
            }
        ),
        json.dumps({"images": [], "annotations": [], "categories": 3}),
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "a"}],
                "annotations": [
                    {"id": 1, "image_id": 1, "bbox": [0, 0, 1, 1], "keypoints": [1, 1, 2], "headbox": [1, 2, 3]}
                ],
            }
        ),
    ],
)
def test_malformed(tmp_path: Path, content: str) -> None:
    file = tmp_path / "val.json"
    file.write_text(content)
    with pytest.raises(InputError, match="not in COCO's keypoint format"):
        load_coco(file, [tmp_path])


def test_missing_and_broken_pictures(tmp_path: Path, write_folder: Any, annotate: Any) -> None:
    folder = write_folder([1], [annotate(1, 1, POINTS)])
    (person,) = load_split(folder, "val").persons
    (folder / "images" / "001.png").unlink()
    with pytest.raises(InputError, match=r"set/images/001\.png: no such file; .* put the split's pictures there"):
        person.picture.read()
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"not a picture.*; mend the picture, or take it out of the annotations"):
        read_image(broken)


@pytest.mark.parametrize("kept", [3, None])
def test_pictures_without_persons_need_not_be_there(write_folder: Any, annotate: Any, kept: int | None) -> None:
    """Of COCO's 118,287 training pictures 56,599 have keypoints; many keep those alone."""
    annotations = [annotate(2, 1, POINTS), annotate(3, 2, POINTS)]
    (Path(write_folder([], [])) / "images").mkdir(exist_ok=True)
    (write_folder([], []) / "val.json").unlink()
    folder = write_folder([1, 2, 3], annotations, "annotations/person_keypoints_val2017.json", "images/val2017")
    for picture in (folder / "images" / "val2017").iterdir():
        if kept is None or picture.name != f"{kept:03}.png":
            picture.unlink()
    dataset = load_split(folder, "val")
    expected = folder / "images" / ("val2017" if kept else "")
    assert {Path(one.picture.path).parent for one in dataset.persons} == {expected}


@pytest.mark.parametrize(("value", "fine"), [(0.9, False), (200, False), (3, True), (-1, True)])
def test_visibilities(write_folder: Any, annotate: Any, value: float, fine: bool) -> None:
    """The scores of a file of results would all become 0; other numbers are their makers' affair."""
    item = annotate(1, 1, POINTS)
    item["keypoints"][2] = value
    folder = write_folder([1], [item])
    if fine:
        assert load_split(folder, "val").persons[0].visibility[0] == value
    else:
        with pytest.raises(InputError, match=f"annotation 1: a visibility of {value}, expected 0, 1 or 2"):
            load_split(folder, "val")
