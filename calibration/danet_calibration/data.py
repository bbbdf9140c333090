"""What a model is calibrated on, and what its accuracy is measured on: never the same pictures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from danet.errors import InputError
from danet_calibration.candidates import (
    Candidate,
    dataset_candidates,
    folder_candidates,
    picture_files,
    rendered_candidates,
    video_candidates,
)
from danet_calibration.sampling import choose
from danet_evaluation.coco import KeypointDataset, load_split
from danet_evaluation.predict import Progress, silent
from danet_evaluation.rendered import rendered_dataset

CALIBRATION_SPLIT, VALIDATION_SPLIT = "train", "val"


@dataclass(frozen=True)
class DataChoice:
    """Which data a run uses."""

    data: Path | None = None
    """A folder laid out as COCO 2017 or people17, a folder of pictures, or a video; None: rendered persons."""
    boxes: Path | None = None
    """Persons on a folder's pictures or a video's frames, as `danet infer --boxes` takes them."""
    samples: int = 300
    """Crops to calibrate on."""
    seed: int = 0
    rendered: int = 300
    """Rendered persons to measure on, where there is no annotated data."""
    limit: int | None = None
    """Measure on the first pictures with so many persons; None: on all."""


@dataclass(frozen=True)
class Data:
    """What was found."""

    calibration: str
    """In words."""
    chosen: tuple[Candidate, ...]
    validation: KeypointDataset


def find_data(choice: DataChoice, progress: Progress = silent) -> Data:
    """The persons to calibrate on and the data set to measure on.

    A folder with annotations of the split "train" is calibrated on that, and measured on its split
    "val"; everything else is measured on rendered persons.

    Raises:
        InputError: no pictures, boxes that do not fit, or pictures that both would use.
    """
    words, candidates = _candidates(choice)
    chosen = choose(candidates, choice.samples, choice.seed)
    validation = _validation(choice, progress)
    _refuse_shared(chosen, validation)
    return Data(f"{len(chosen)} crops of {words}", tuple(chosen), validation)


def _candidates(choice: DataChoice) -> tuple[str, list[Candidate]]:
    data = choice.data
    if data is None:
        return "rendered persons", rendered_candidates(choice.samples, choice.seed)
    if data.is_file():
        return data.name, video_candidates(data, choice.boxes, choice.samples)
    if not data.is_dir():
        raise InputError(f"{data}: no such file or folder")
    if _is_annotated(data):
        dataset = load_split(data, CALIBRATION_SPLIT)
        return dataset.name, dataset_candidates(dataset)
    return data.resolve().name, folder_candidates(data, choice.boxes)


def _is_annotated(folder: Path) -> bool:
    """Whether a folder is laid out as a data set, with annotations of some split."""
    splits = (CALIBRATION_SPLIT, VALIDATION_SPLIT)
    return (folder / "annotations").is_dir() or any((folder / f"{split}.json").is_file() for split in splits)


def _validation(choice: DataChoice, progress: Progress) -> KeypointDataset:
    if choice.data is not None and choice.data.is_dir() and _is_annotated(choice.data):
        dataset = load_split(choice.data, VALIDATION_SPLIT)
        return dataset.first(choice.limit) if choice.limit else dataset
    return rendered_dataset(min(choice.rendered, choice.limit or choice.rendered), progress)


def _refuse_shared(chosen: Sequence[Candidate], validation: KeypointDataset) -> None:
    """Raise InputError where a picture is on both sides, be it under two names."""
    used = picture_files(chosen)
    measured = [
        path for picture in validation.pictures.values() if (path := getattr(picture, "path", None)) is not None
    ]
    sizes = {path.stat().st_size for path in used if path.is_file()}
    alike = [path for path in measured if path.is_file() and path.stat().st_size in sizes]
    known = {_digest(path): path for path in alike} if alike else {}
    shared = [(path, known[digest]) for path in used if path.is_file() and (digest := _digest(path)) in known]
    if shared:
        raise InputError(
            f"{len(shared)} of the {len(used)} pictures to calibrate on are among those of {validation.name} too, such "
            f"as {shared[0][0]}; expected other pictures, or the measured drop would say too little"
        )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def dataset_digest(dataset: KeypointDataset) -> str:
    """sha256 of a data set's annotations, which say which persons are measured."""
    return hashlib.sha256(json.dumps([dataset.name, dataset.content], sort_keys=True).encode()).hexdigest()
