"""Data sets in COCO's keypoint format: pictures, person boxes, keypoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from danet.errors import InputError

_SPLITS = ("{split}.json", "annotations/person_keypoints_{split}2017.json", "annotations/{split}.json")
_FOLDERS = ("images", "{split}2017", "images/{split}2017", "{split}", ".")


@dataclass(frozen=True, eq=False)
class Person:
    """One annotated person."""

    id: int
    image_id: int
    path: Path
    box: NDArray[np.float64]
    """(4,) float64 xyxy, frame pixels, edges."""
    keypoints: NDArray[np.float32]
    """(K, 2) float32 x, y, frame pixel indices."""
    visibility: NDArray[np.int8]
    """(K,) int8: 0 unlabelled, 1 labelled but hidden, 2 visible."""


@dataclass(frozen=True, eq=False)
class KeypointDataset:
    """A COCO-format keypoint data set, its persons in the order of the file."""

    name: str
    annotation_file: Path
    persons: tuple[Person, ...]
    content: dict[str, Any]
    """The annotation file as parsed, for pycocotools."""

    def images(self) -> Iterator[tuple[int, Path, list[Person]]]:
        """Image id, path and persons of each picture that has persons, in the file's order."""
        by_image: dict[int, list[Person]] = {}
        for person in self.persons:
            by_image.setdefault(person.image_id, []).append(person)
        for image_id, persons in by_image.items():
            yield image_id, persons[0].path, persons


def read_image(path: Path) -> NDArray[np.uint8]:
    """A picture as (H, W, 3) uint8 BGR, as it lies in the file (COCO's boxes ignore EXIF turns).

    Raises:
        InputError: missing, or no picture that OpenCV can decode.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        reason = "not a picture that OpenCV can decode" if path.exists() else "no such file"
        raise InputError(f"{path}: {reason}")
    return np.asarray(image, np.uint8)


def load_split(folder: Path, split: str) -> KeypointDataset:
    """The `split` ("train" or "val") of a folder, laid out as COCO 2017 or as people17.

    Raises:
        InputError: no annotation file of that split, or not in COCO's keypoint format.
    """
    candidates = [folder / pattern.format(split=split) for pattern in _SPLITS]
    for annotation_file in candidates:
        if annotation_file.is_file():
            return load_coco(annotation_file, _image_folders(folder, split))
    raise InputError(f"{folder}: no annotations of split {split!r}; looked for {', '.join(map(str, candidates))}")


def _image_folders(folder: Path, split: str) -> list[Path]:
    return [path for pattern in _FOLDERS if (path := folder / pattern.format(split=split)).is_dir()]


def load_coco(annotation_file: Path, image_folders: list[Path]) -> KeypointDataset:
    """A COCO keypoint file whose pictures lie in the first of `image_folders` that has the first one.

    Crowds and persons without a labelled keypoint are left out of `persons`, as the COCO protocol
    leaves them out of recall; `content` keeps them.

    Raises:
        InputError: unreadable JSON or missing fields.
    """
    try:
        content = json.loads(annotation_file.read_text(encoding="utf-8"))
        images = {image["id"]: image["file_name"] for image in content["images"]}
        first = next(iter(images.values()), "")
        folder = next((path for path in image_folders if (path / first).is_file()), annotation_file.parent)
        persons = tuple(
            _person(annotation, folder / images[annotation["image_id"]])
            for annotation in content["annotations"]
            if not annotation.get("iscrowd") and any(annotation["keypoints"][2::3])
        )
    except OSError as error:
        raise InputError(f"{annotation_file}: {error.strerror}") from error
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        kind = type(error).__name__
        raise InputError(f"{annotation_file}: not in COCO's keypoint format ({kind}: {error})") from error
    return KeypointDataset(f"{folder.parent.name}/{annotation_file.stem}", annotation_file, persons, content)


def _person(annotation: dict[str, Any], path: Path) -> Person:
    x, y, width, height = annotation["bbox"]
    triples = np.asarray(annotation["keypoints"], np.float32).reshape(-1, 3)
    return Person(
        id=annotation["id"],
        image_id=annotation["image_id"],
        path=path,
        box=np.array([x, y, x + width, y + height], np.float64),
        keypoints=triples[:, :2],
        visibility=triples[:, 2].astype(np.int8),
    )
