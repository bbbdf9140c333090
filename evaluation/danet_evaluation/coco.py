"""Data sets in COCO's keypoint format: pictures, person boxes, keypoints."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from math import hypot, nan
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from danet.bounded_file import read_at_most
from danet.errors import InputError
from danet.frame import MAX_COORDINATE, MIN_SIDE
from danet.keypoints import COCO_KEYPOINTS, MPII_KEYPOINTS
from danet.picture_file import decode_file

_SPLITS = (
    "{split}.json",
    "annotations/person_keypoints_{split}2017.json",
    "annotations/person_keypoints_{split}.json",
    "annotations/{split}.json",
)
_FOLDERS = ("images", "{split}2017", "images/{split}2017", "{split}", "images/{split}", ".")
MAX_ANNOTATION_BYTES = 1 << 30
"""COCO's largest annotation file has half of that; parsed, JSON takes some ten times its text's memory."""
_MOST_LOOKED_FOR = 200
"""Pictures; where none of so many is in any folder, the others will not be there either."""
HEAD_BOX_FACTOR = 0.6
"""Head size over the head box's diagonal (SC_BIAS of the MPII evaluation kit)."""


class Picture(Protocol):
    """Where a picture comes from; hashable, so that it can be the key of a cache."""

    def read(self) -> NDArray[np.uint8]:
        """The picture as (H, W, 3) uint8 BGR.

        Raises:
            InputError: it cannot be had.
        """


@dataclass(frozen=True)
class PictureFile:
    """A picture in a file."""

    path: Path
    size: tuple[int, int] | None = None
    """(height, width) that the annotations state; None where they state none."""

    def read(self) -> NDArray[np.uint8]:
        """As `read_image`; turned upright by its EXIF tag where the annotations were made on it so.

        Raises:
            InputError: as `read_image`, or a picture of another size than that of its annotations.
        """
        picture = read_image(self.path)
        if self.size in (None, picture.shape[:2]):
            return picture
        if self.size == picture.shape[1::-1]:
            upright = decode_file(self.path, cv2.IMREAD_COLOR)
            if self.size == upright.shape[:2]:
                return upright
        raise InputError(
            f"{self.path}: of height and width {picture.shape[:2]}, but its annotations are of {self.size}, so that "
            "boxes and keypoints lie elsewhere; put the picture there that was annotated, or mend the annotations"
        )


@dataclass(frozen=True, eq=False)
class Person:
    """One annotated person."""

    id: int
    image_id: int
    picture: Picture
    box: NDArray[np.float64]
    """(4,) float64 xyxy, frame pixels, edges."""
    keypoints: NDArray[np.float32]
    """(K, 2) float32 x, y, frame pixel indices."""
    visibility: NDArray[np.int8]
    """(K,) int8: 0 unlabelled, 1 labelled but hidden, 2 visible."""
    area: float = nan
    """Pixels^2 that OKS is relative to; NaN where the annotation states none."""
    head_size: float = nan
    """Pixels that PCKh is relative to: 0.6 x the head box's diagonal; NaN where the annotation states none."""


@dataclass(frozen=True, eq=False)
class KeypointDataset:
    """A COCO-format keypoint data set, its persons in the order of the file."""

    name: str
    annotation_file: Path | None
    """None where the annotations come from no file."""
    persons: tuple[Person, ...]
    pictures: Mapping[int, Picture]
    """By image id, those without a person included: a detector may find one there."""
    content: dict[str, Any]
    """The annotations in COCO's format, for pycocotools."""
    keypoints: tuple[str, ...] = COCO_KEYPOINTS
    """Names of the K keypoints, as the person category lists them; COCO's where it lists none. COCO's and MPII's are
    given as `danet.keypoints` has them, however the file spells them."""

    def images(self) -> Iterator[tuple[int, Picture, list[Person]]]:
        """Image id, picture and persons of each picture that has persons, in the file's order."""
        by_image: dict[int, list[Person]] = {}
        for person in self.persons:
            by_image.setdefault(person.image_id, []).append(person)
        for image_id, persons in by_image.items():
            yield image_id, persons[0].picture, persons

    @property
    def without_box(self) -> int:
        """Labelled persons whose box has no area: nobody can crop them, and for AP they count all the same."""
        return sum(_is_labelled(one) and not is_usable(one) for one in self.content.get("annotations", ()))

    def of_images(self, image_ids: Collection[int]) -> KeypointDataset:
        """The part that lies on some pictures, crowds and unlabelled persons of `content` included."""
        kept = frozenset(image_ids)
        images = [image for image in self.content["images"] if image["id"] in kept]
        annotations = [item for item in self.content["annotations"] if item["image_id"] in kept]
        return replace(
            self,
            persons=tuple(person for person in self.persons if person.image_id in kept),
            pictures={image_id: picture for image_id, picture in self.pictures.items() if image_id in kept},
            content={**self.content, "images": images, "annotations": annotations},
        )

    def first(self, persons: int) -> KeypointDataset:
        """The first whole pictures that together hold at least `persons` persons, or all of them."""
        on_image = Counter(person.image_id for person in self.persons)
        kept: list[int] = []
        count = 0
        for image in self.content["images"]:
            if count >= persons:
                break
            kept.append(image["id"])
            count += on_image[image["id"]]
        return self.of_images(kept)

    def sources(self) -> dict[str, list[int]]:
        """Image ids by the "source" that the images carry, as people17's do; COCO's carry none."""
        ids: dict[str, list[int]] = {}
        for image in self.content["images"]:
            if "source" in image:
                ids.setdefault(str(image["source"]), []).append(image["id"])
        return ids


def read_image(path: Path) -> NDArray[np.uint8]:
    """A picture as (H, W, 3) uint8 BGR, as it lies in the file (COCO's boxes ignore EXIF turns).

    Raises:
        InputError: missing, too large, or no picture that OpenCV can decode.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file; the annotations name it, so put the split's pictures there")
    try:
        return decode_file(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except InputError as error:
        raise InputError(f"{error}; mend the picture, or take it out of the annotations") from error


def require_pictures(where: object, pictures: Collection[Picture]) -> None:
    """Check that the files of pictures are there, before the work on them and not within it.

    Args:
        where: what names them, for the message.
        pictures: those that will be read, each once.

    Raises:
        InputError: how many are missing, and the first of them.
    """
    missing = sorted(str(one.path) for one in pictures if isinstance(one, PictureFile) and not one.path.is_file())
    if missing:
        raise InputError(
            f"{where}: {len(missing)} of {len(pictures)} pictures are not there, the first is {missing[0]}; unpack "
            "the split's pictures, or take their persons out of the annotations"
        )


def load_split(folder: Path, split: str) -> KeypointDataset:
    """A split ("val", "val2017") of a folder that is laid out as COCO 2017 or as people17.

    Looked for: SPLIT.json, annotations/person_keypoints_SPLIT.json (also with "2017" after SPLIT) and
    annotations/SPLIT.json; pictures in images, SPLIT, images/SPLIT (also with "2017"), or the folder itself.

    Raises:
        InputError: no annotation file of that split, or not in COCO's keypoint format.
    """
    found = annotation_file(folder, split)
    name = f"{folder.resolve().name}/{found.stem}"
    return replace(load_coco(found, _image_folders(folder, split)), name=name)


def annotation_file(folder: Path, split: str) -> Path:
    """Where a split's annotations are, as `load_split` looks for them.

    Raises:
        InputError: no annotation file of that split.
    """
    candidates = [folder / pattern.format(split=split) for pattern in _SPLITS]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise InputError(f"{folder}: no annotations of split {split!r}; looked for {', '.join(map(str, candidates))}")


def _image_folders(folder: Path, split: str) -> list[Path]:
    return [path for pattern in _FOLDERS if (path := folder / pattern.format(split=split)).is_dir()]


def load_coco(annotation_file: Path, image_folders: list[Path]) -> KeypointDataset:
    """A COCO keypoint file whose pictures lie in the one of `image_folders` that has the first of those with persons.

    Pictures that are not there are passed over in the search, since many keep those with persons alone.

    Crowds and persons without a labelled keypoint, or of whom the file has a box alone, are left out of `persons`, as
    the COCO protocol leaves them out of recall, and so are boxes without an area, which nobody can crop; `content`
    keeps them all. Annotations of other categories are left out of both.

    Raises:
        InputError: unreadable JSON, more than `MAX_ANNOTATION_BYTES`, missing fields, images of one id, or a
            file_name that leads out of the folder of pictures.
    """
    try:
        content = read_json(annotation_file)
        _refuse_ids(content["images"])
        names = {image["id"]: _inside(image["file_name"]) for image in content["images"]}
        annotated = dict.fromkeys(one["image_id"] for one in content["annotations"])  # crowds and the unlabelled too
        needed = [names[one] for one in islice(annotated, _MOST_LOOKED_FOR) if one in names]
        folder = _first_with(image_folders, [*needed, *islice(names.values(), 1)])
        sizes = {image["id"]: _size(image) for image in content["images"]}
        pictures = {image_id: PictureFile(folder / name, sizes[image_id]) for image_id, name in names.items()}
        keypoints, others, bare = _keypoint_names(content.get("categories", []))
        annotations = [
            _completed(one, len(keypoints))
            for one in content["annotations"]
            if (category := one.get("category_id")) not in others and (category not in bare or "keypoints" in one)
        ]
        content = {**content, "annotations": annotations}
        persons = tuple(
            person_of(annotation, _picture_of(annotation, pictures))
            for annotation in annotations
            if is_usable(annotation)
        )
    except OSError as error:
        raise InputError(f"{annotation_file}: {error.strerror}") from error
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError, RecursionError) as error:
        kind = type(error).__name__
        raise InputError(f"{annotation_file}: not in COCO's keypoint format ({kind}: {error})") from error
    return KeypointDataset(annotation_file.stem, annotation_file, persons, pictures, content, keypoints)


def read_json(path: Path) -> Any:
    """What a JSON file of annotations or results holds.

    Raises:
        ValueError: more than `MAX_ANNOTATION_BYTES`, or no JSON; RecursionError, OSError.
    """
    data = read_at_most(path, MAX_ANNOTATION_BYTES)
    if len(data) > MAX_ANNOTATION_BYTES:
        raise ValueError(f"more than {MAX_ANNOTATION_BYTES} bytes")
    return json.loads(data.decode("utf-8"))


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    """Height and width that an image entry states; some tools write 0 or nothing there."""
    height, width = image.get("height"), image.get("width")
    if isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0:
        return height, width
    return None


def _picture_of(annotation: dict[str, Any], pictures: Mapping[int, Picture]) -> Picture:
    image_id = annotation["image_id"]
    if image_id not in pictures:
        raise ValueError(f"annotation {annotation.get('id')}: image_id {image_id!r} is of none of the images")
    return pictures[image_id]


def _completed(annotation: dict[str, Any], keypoints: int) -> dict[str, Any]:
    """An annotation with what files leave out of persons without labelled keypoints, of whom nothing is read."""
    given = annotation.get("keypoints")
    if given and any(given[2::3]):
        return annotation
    box = annotation["bbox"] or [0, 0, 0, 0]
    empty = {"keypoints": [0] * 3 * keypoints, "num_keypoints": 0, "area": annotation.get("area") or box[2] * box[3]}
    return {**annotation, **({} if given else empty), "bbox": box}


def _inside(name: str) -> str:
    """A file_name, which a file of others must not point elsewhere with."""
    for path in (PurePosixPath(name), PureWindowsPath(name)):
        if path.drive or path.root or ".." in path.parts or "\0" in name:
            raise ValueError(f"file_name {name[:200]!a}, expected a path below the folder of pictures, without ..")
    return name


def _first_with(image_folders: list[Path], names: list[str]) -> Path:
    """The first folder that has any of the pictures; the first one, where missing ones are told, if none has."""
    there = (folder for name in names for folder in image_folders if (folder / name).is_file())
    return next(there, next(iter(image_folders), Path()))


def _refuse_ids(images: list[dict[str, Any]]) -> None:
    ids = [one["id"] for one in images]
    kinds = {type(one) for one in ids}
    if not (kinds <= {int, float} or kinds == {str}):  # COCOeval sorts them
        found = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ValueError(f"image ids of {found}, expected whole numbers, or text alone")
    first = dict(zip(reversed(ids), reversed(images), strict=True))
    if twice := [one["id"] for one in images if one != first[one["id"]]]:  # the same entry again does no harm
        raise ValueError(f"{len(twice)} image ids of several images, the first is {twice[0]!r}; give each its own")


def _keypoint_names(categories: list[dict[str, Any]]) -> tuple[tuple[str, ...], set[Any], set[Any]]:
    """The keypoints of the first category that lists any, the ids of those that list others, and of those with none."""
    listing = [category for category in categories if category.get("keypoints")]
    if not listing:
        return COCO_KEYPOINTS, set(), set()
    spelled = [[*map(_letters, map(str, one["keypoints"]))] for one in listing]  # "Left Eye" and "l eye" are as good
    names = tuple(map(str, listing[0]["keypoints"]))
    for known in (COCO_KEYPOINTS, MPII_KEYPOINTS):
        if spelled[0] == [*map(_letters, known)]:
            names = known
    fitting = {one.get("id") for one, letters in zip(listing, spelled, strict=True) if letters == spelled[0]}
    bare = {one["id"] for one in categories if "id" in one and not one.get("keypoints")}
    return names, {one.get("id") for one in listing} - fitting, bare - fitting


def _letters(name: str) -> str:
    words = re.sub(r"^([lr])(?=[^a-z])", lambda side: {"l": "left", "r": "right"}[side[1]], name.lower())
    return "".join(filter(str.isalpha, words))


def is_usable(annotation: dict[str, Any]) -> bool:
    """Whether an annotation in COCO's format is one person, not a crowd, with a labelled keypoint and a box to crop."""
    if not _is_labelled(annotation):
        return False
    x, y, width, height = annotation["bbox"]
    return not (x + width - x < MIN_SIDE or y + height - y < MIN_SIDE)  # as `load_detections` has it; NaN is told later


def _is_labelled(annotation: dict[str, Any]) -> bool:
    """Whether it is one person, not a crowd, with a labelled keypoint."""
    crowd = annotation.get("iscrowd")
    if crowd not in (None, 0, 1):
        raise ValueError(f"annotation {annotation.get('id')}: iscrowd {crowd!r}, expected 0 or 1")
    return not crowd and any(annotation["keypoints"][2::3])


def person_of(annotation: dict[str, Any], picture: Picture) -> Person:
    """The person that an annotation of COCO's keypoint format describes.

    Beyond COCO's fields it reads a head, for PCKh: "head_size" in pixels (0.6 x the diagonal of MPII's
    head box, mmpose's name for that value), or "headbox" [x1, y1, x2, y2] (mmpose's MPII-TRB files).
    """
    x, y, width, height = annotation["bbox"]
    box = np.array([x, y, x + width, y + height], np.float64)
    with np.errstate(over="ignore"):  # refused below
        triples = np.asarray(annotation["keypoints"], np.float32).reshape(-1, 3)
    if not (np.isfinite(box).all() and np.isfinite(triples).all()):
        raise ValueError(f"annotation {annotation['id']}: bbox or keypoints that are not finite in float32")
    if (np.abs(box) > MAX_COORDINATE).any():
        raise ValueError(f"annotation {annotation['id']}: bbox {annotation['bbox']}, expected within a million pixels")
    visibility = triples[:, 2]
    # fractions are the scores of a file of results, and other numbers have other meanings in other data sets
    if (odd := visibility[~np.isin(visibility, (0, 1, 2))]).size:
        raise ValueError(
            f"annotation {annotation['id']}: a visibility of {odd[0]:g}, expected 0 (not labelled), 1 (hidden) or 2"
        )
    return Person(
        id=annotation["id"],
        image_id=annotation["image_id"],
        picture=picture,
        box=box,
        keypoints=triples[:, :2],
        visibility=visibility.astype(np.int8),
        area=float(annotation.get("area") or nan),
        head_size=_head_size(annotation),
    )


def _head_size(annotation: dict[str, Any]) -> float:
    if "head_size" in annotation:
        return float(annotation["head_size"])
    if "headbox" not in annotation:
        return nan
    left, top, right, bottom = map(float, annotation["headbox"])
    return HEAD_BOX_FACTOR * hypot(right - left, bottom - top)
