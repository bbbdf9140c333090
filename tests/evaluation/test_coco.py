from __future__ import annotations

import json
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danet.errors import InputError
from danet.keypoints import COCO_KEYPOINTS, MPII_KEYPOINTS
from danet_evaluation.coco import KeypointDataset, load_coco, load_split, read_image
from danet_evaluation.keypoint_ap import keypoint_ap

POINTS = np.arange(34).reshape(17, 2)


def perfect(dataset: KeypointDataset) -> list[dict[str, Any]]:
    """Results that are the truth."""
    return [
        {
            "image_id": person.image_id,
            "category_id": 1,
            "keypoints": [float(value) for x, y in person.keypoints for value in (x, y, 1)],
            "score": 0.5,
        }
        for person in dataset.persons
    ]


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


@pytest.mark.parametrize("value", [0.9, 200, 3, -1])
def test_visibilities(write_folder: Any, annotate: Any, value: float) -> None:
    """The scores of a file of results would all become 0; AI Challenger means "not labelled" by 3, and of -1 the
    AP is NaN."""
    item = annotate(1, 1, POINTS)
    item["keypoints"][2] = value
    with pytest.raises(InputError, match=rf"annotation 1: a visibility of {value}, expected 0 \(not labelled\), 1"):
        load_split(write_folder([1], [item]), "val")


def test_persons_of_whom_there_is_a_box_alone(write_folder: Any, annotate: Any) -> None:
    """Beside persons with keypoints they are what tools leave of those who were not annotated."""
    annotations = [
        annotate(1, 1, POINTS),
        annotate(1, 2, POINTS, keypoints=None),
        annotate(1, 3, POINTS, keypoints=[], iscrowd=1),
        {key: value for key, value in annotate(1, 4, POINTS).items() if key not in ("keypoints", "num_keypoints")},
        annotate(1, 5, POINTS, keypoints=[0] * 51, bbox=None),
        {"id": 6, "image_id": 1, "category_id": 1, "bbox": [5, 5, 50, 50]},
    ]
    dataset = load_split(write_folder([1], annotations, height=[200], width=[150]), "val")
    assert [person.id for person in dataset.persons] == [1]
    assert keypoint_ap(dataset, perfect(dataset)).ap == pytest.approx(1.0, abs=1e-9)


def test_annotations_of_pictures_that_are_not_listed(write_folder: Any, annotate: Any) -> None:
    with pytest.raises(InputError, match="annotation 7: image_id 9 is of none of the images"):
        load_split(write_folder([1], [annotate(9, 7, POINTS)]), "val")


def test_labelled_persons_without_a_box_are_counted(write_folder: Any, annotate: Any) -> None:
    annotations = [annotate(1, 1, POINTS), annotate(1, 2, POINTS, (5, 5, 0, 0)), annotate(1, 3, POINTS, iscrowd=1)]
    assert load_split(write_folder([1], annotations), "val").without_box == 1


def test_mpiis_own_names(write_folder: Any) -> None:
    names = [name.replace("right_", "r ").replace("left_", "L_").replace("_", " ") for name in MPII_KEYPOINTS]
    assert (names[0], names[3], names[8]) == ("r ankle", "L hip", "upper neck")
    folder = write_folder([1], [], categories=[{"id": 1, "keypoints": names}])
    assert load_split(folder, "val").keypoints == MPII_KEYPOINTS


@pytest.mark.parametrize("upright", [False, True])
def test_a_picture_that_its_annotations_are_of(write_folder: Any, annotate: Any, upright: bool) -> None:
    """By the size that they state: some tools turn pictures by EXIF before boxes are drawn, COCO's did not."""
    pillow = pytest.importorskip("PIL.Image")
    size = (150, 200) if upright else (200, 150)
    folder = write_folder([1], [annotate(1, 1, POINTS)], height=[size[0]], width=[size[1]])
    path = folder / "images" / "001.png"
    lying = np.zeros((200, 150, 3), np.uint8)
    lying[:100] = 255
    exif = pillow.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise
    pillow.fromarray(lying).save(path, exif=exif)
    (person,) = load_split(folder, "val").persons
    expected = np.rot90(lying, -1) if upright else lying
    np.testing.assert_array_equal(person.picture.read(), expected)


@pytest.mark.parametrize("size", [(100, 75), (150, 200)])
def test_a_picture_of_another_size_than_its_annotations(
    write_folder: Any, annotate: Any, size: tuple[int, int]
) -> None:
    folder = write_folder([1], [annotate(1, 1, POINTS)], height=[size[0]], width=[size[1]])
    (person,) = load_split(folder, "val").persons
    with pytest.raises(InputError, match=rf"height and width \(200, 150\), but .* of \({size[0]}, {size[1]}\)"):
        person.picture.read()


@pytest.mark.parametrize("stated", [0, None, "200", -1])
def test_sizes_that_state_nothing(write_folder: Any, annotate: Any, stated: Any) -> None:
    folder = write_folder([1], [annotate(1, 1, POINTS)], height=[stated], width=[150])
    assert load_split(folder, "val").persons[0].picture.read().shape == (200, 150, 3)
