"""What a model is calibrated on, tuned on, and measured on: never the same pictures, where there are enough."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from danet.errors import InputError
from danet.keypoints import COCO_KEYPOINTS
from danet_calibration.candidates import (
    RENDERED_SPAN,
    Candidate,
    dataset_candidates,
    folder_candidates,
    in_reading_order,
    picture_files,
    rendered_candidates,
    video_candidates,
)
from danet_calibration.sampling import choose
from danet_evaluation.coco import KeypointDataset, Picture, load_split
from danet_evaluation.keypoint_ap import keypoint_ap
from danet_evaluation.predict import Progress, silent
from danet_evaluation.rendered import FIRST_SEED, rendered_dataset

SPLITS = CALIBRATION_SPLIT, VALIDATION_SPLIT = "train", "val"
RENDERED_PERSONS = 300
"""Measured on where there is no annotated data."""
TUNING_PERSONS = 500
"""At most, to choose by which layers stay in float."""
LEAST_TUNING = 100
"""Fewer tell no layers apart."""


@dataclass(frozen=True)
class DataChoice:
    """Which data a run uses."""

    data: Path | None = None
    """A folder laid out as COCO 2017 or people17, a folder of pictures, or a video; None: rendered persons."""
    boxes: Path | None = None
    """Persons on a folder's pictures, as `danet infer --boxes` takes them, or a video's frames: `video_candidates`."""
    samples: int = 300
    """Crops to calibrate on."""
    seed: int = 0
    rendered: int | None = None
    """Rendered persons to measure on. Beside annotated data: measured on both, and half of the crops are of rendered
    persons; None: on annotated data alone, or on `RENDERED_PERSONS` where there is none."""
    limit: int | None = None
    """Measure on the first pictures of each data set with so many persons; None: on all."""

    def __post_init__(self) -> None:
        """Refuse what NumPy's generators refuse.

        Raises:
            InputError: a seed below 0.
        """
        if self.seed < 0:
            raise InputError(f"seed {self.seed}, expected 0 or more")

    @property
    def annotated(self) -> bool:
        """Whether the data is a folder laid out as a data set, with annotations of some split."""
        return self.data is not None and self.data.is_dir() and _is_annotated(self.data)

    @property
    def rendered_persons(self) -> int:
        """How many rendered persons are measured on."""
        return self.rendered or (0 if self.annotated else RENDERED_PERSONS)


@dataclass(frozen=True)
class Data:
    """What was found."""

    calibration: str
    """In words."""
    chosen: tuple[Candidate, ...]
    validations: tuple[KeypointDataset, ...]
    """The annotated one first."""
    tuning: KeypointDataset
    """What the ladder's last rungs choose by: held out from the calibration split, or rendered, and on no other side;
    the first validation's persons where fewer than `LEAST_TUNING` are left."""


def find_data(choice: DataChoice, progress: Progress = silent) -> Data:
    """The persons to calibrate on, the data sets to measure on, and one to tune on.

    A folder with annotations of the split "train" is calibrated on that, and measured on its split
    "val", and on rendered persons where the choice asks for them; everything else on rendered persons.

    Raises:
        InputError: no pictures, boxes that do not fit, or pictures that both would use.
    """
    refuse_unusable(choice)
    split = load_split(choice.data, CALIBRATION_SPLIT) if choice.data and choice.annotated else None
    words, chosen = _chosen(choice, split)
    validations = _validations(choice, progress)
    for validation in validations:
        _refuse_shared(chosen, validation)
    tuning = _held_out(choice, split, chosen, validations) or validations[0].first(TUNING_PERSONS)
    return Data(words, tuple(chosen), validations, tuning)


def refuse_unusable(choice: DataChoice) -> None:
    """Refuse data that is not there, and boxes of data that takes none.

    Raises:
        InputError: such a choice.
    """
    if choice.data is not None and not (choice.data.is_file() or choice.data.is_dir()):
        raise InputError(f"{choice.data}: no such file or folder")
    if choice.boxes is not None and choice.data is None:
        raise InputError("--boxes goes with the --data that the boxes were found on")
    if choice.boxes is not None and choice.annotated:
        raise InputError(
            f"--boxes {choice.boxes} beside {choice.data}, whose annotations have boxes of their own; leave --boxes "
            "out, or give the folder of the pictures alone"
        )
    if choice.boxes is not None and choice.boxes != Path("-") and not choice.boxes.exists():
        raise InputError(f"{choice.boxes}: no such file")


def _chosen(choice: DataChoice, split: KeypointDataset | None) -> tuple[str, list[Candidate]]:
    """The persons to calibrate on, before them in words what they are."""
    mixed = choice.samples // 2 if split and choice.rendered else 0
    words, candidates = _candidates(choice, split)
    chosen = in_reading_order(choose(candidates, choice.samples - mixed, choice.seed))
    words = f"{len(chosen)} crops of {words}"
    if mixed:
        # the rest where the annotated persons are fewer
        mixed = choice.samples - len(chosen)
        chosen += choose(rendered_candidates(mixed, choice.seed), mixed, choice.seed)
        words += f" and {mixed} of rendered persons"
    return words, chosen


def _candidates(choice: DataChoice, split: KeypointDataset | None) -> tuple[str, list[Candidate]]:
    data = choice.data
    if data is None:
        return "rendered persons", rendered_candidates(choice.samples, choice.seed)
    if data.is_file():
        return data.name, video_candidates(data, choice.boxes, choice.samples)
    if split:
        return split.name, dataset_candidates(split)
    return data.resolve().name, folder_candidates(data, choice.boxes)


def _held_out(
    choice: DataChoice,
    split: KeypointDataset | None,
    chosen: Sequence[Candidate],
    validations: Sequence[KeypointDataset],
) -> KeypointDataset | None:
    """Persons of pictures that are neither calibrated nor measured on; None where AP cannot be measured on enough."""
    persons = max(LEAST_TUNING, min(TUNING_PERSONS, choice.limit or TUNING_PERSONS))
    if split is None:
        # below the seeds that calibration draws from
        rendered = rendered_dataset(min(persons, choice.rendered_persons), first_seed=FIRST_SEED - 2 * RENDERED_SPAN)
        return _named_held_out(rendered)
    used = {candidate.picture for candidate in chosen}
    # a copied part of a data set keeps the annotations of all its pictures
    left = split.of_images(
        [image_id for image_id, picture, _ in split.images() if picture not in used and not _is_missing(picture)]
    )
    images = left.content["images"]  # a file may have its sources one after the other
    shuffled = [images[index] for index in np.random.default_rng(choice.seed).permutation(len(images))]
    held_out = replace(left, content={**left.content, "images": shuffled}).first(persons)
    measured = {path for validation in validations for path, _ in _shared(_files(held_out), validation)}
    kept = [image_id for image_id, picture, _ in held_out.images() if getattr(picture, "path", None) not in measured]
    held_out = held_out.of_images(kept)
    enough = len(held_out.persons) >= LEAST_TUNING
    return _named_held_out(held_out) if enough and _has_ap(held_out) else None


def _is_missing(picture: Picture) -> bool:
    path = getattr(picture, "path", None)
    return path is not None and not path.is_file()


def _has_ap(dataset: KeypointDataset) -> bool:
    """Whether AP can be measured; calibrating asks less of a split's annotations."""
    try:
        keypoint_ap(dataset, ())
    except InputError:
        return False
    return dataset.keypoints == COCO_KEYPOINTS


def _named_held_out(dataset: KeypointDataset) -> KeypointDataset:
    return replace(dataset, name=f"{dataset.name}, held out")


def _is_annotated(folder: Path) -> bool:
    """Whether a folder is laid out as a data set, with annotations of some split."""
    return (folder / "annotations").is_dir() or any((folder / f"{split}.json").is_file() for split in SPLITS)


def _validations(choice: DataChoice, progress: Progress) -> tuple[KeypointDataset, ...]:
    found = []
    if choice.annotated:
        assert choice.data is not None
        dataset = load_split(choice.data, VALIDATION_SPLIT)
        found.append(dataset.first(choice.limit) if choice.limit else dataset)
    if persons := choice.rendered_persons:
        found.append(rendered_dataset(min(persons, choice.limit or persons), progress))
    return tuple(found)


def _refuse_shared(chosen: Sequence[Candidate], validation: KeypointDataset) -> None:
    """Raise InputError where a picture is on both sides, be it under two names."""
    used = picture_files(chosen)
    if shared := _shared(used, validation):
        raise InputError(
            f"{len(shared)} of the {len(used)} pictures to calibrate on are among those of {validation.name} too, such "
            f"as {shared[0][0]}; expected other pictures, or the measured drop would say too little"
        )


def _shared(used: Sequence[Path], validation: KeypointDataset) -> list[tuple[Path, Path]]:
    """Files that a data set has too, be it under another name, each beside that."""
    measured = _files(validation)
    sizes = {path.stat().st_size for path in used if path.is_file()}
    alike = [path for path in measured if path.is_file() and path.stat().st_size in sizes]
    if not alike:
        return []
    known = {_digest(path): path for path in alike}
    return [(path, known[digest]) for path in used if path.is_file() and (digest := _digest(path)) in known]


def _files(dataset: KeypointDataset) -> list[Path]:
    found = (getattr(picture, "path", None) for picture in dataset.pictures.values())
    return [path for path in found if path is not None]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def dataset_digest(dataset: KeypointDataset) -> str:
    """sha256 of a data set's annotations, which say which persons are measured, and of its picture files' states.

    Sizes and times, not bytes: COCO's 5,000 pictures of val2017 are 0.8 GB, asked for at each attempt.
    """
    paths = (getattr(picture, "path", None) for _, picture, _ in dataset.images())
    found = [path.stat() for path in paths if path is not None and path.is_file()]  # one that is missing is told later
    states = [(one.st_size, one.st_mtime_ns) for one in found]
    return hashlib.sha256(json.dumps([dataset.name, dataset.content, states], sort_keys=True).encode()).hexdigest()
