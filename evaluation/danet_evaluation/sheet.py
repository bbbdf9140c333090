"""A contact sheet: persons of a data set with what a model found of them, from its worst to its best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import cv2
import numpy as np
from numpy.typing import NDArray

from danet.crop import crop_affines, crop_persons, to_crop
from danet.draw import draw_poses
from danet.errors import InputError
from danet.keypoints import COCO_KEYPOINTS, MPII_KEYPOINTS
from danet.model_spec import ModelSpec
from danet.oks import paired_oks
from danet.printable import printable
from danet_evaluation.coco import KeypointDataset, Person
from danet_evaluation.mpii import LEFT_OUT, PCKH_ALPHA
from danet_evaluation.predict import persons_by_image
from danet_evaluation.predictions import Predictions, keypoint_arrays

DARK, LIGHT, TRUTH = (28, 28, 28), (235, 235, 235), (0, 230, 255)
"""BGR of the ground, the text, and the annotated keypoints."""
PLATES = ((0.75, (70, 140, 50)), (0.5, (30, 130, 210)), (0.0, (50, 50, 200)))
"""Lowest measure of a person and BGR of the plate that shows it: green, amber, red."""
TILE = ModelSpec(name="tile", input_size=(288, 216), box_padding=1.2, mean=DARK)
"""The crop that a person is shown in; what lies outside the picture is the ground's colour."""
GAP, TITLE_HEIGHT = 6, 40
THIN = np.array([[0, 0, 135, 180]], np.float32)
"""A box for which `draw_poses` draws lines of two pixels, which leave the person to be seen."""
LEAST_OVERLAP = 0.3
"""Intersection over union with the annotated box, below which a detector's box is of somebody else."""
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FAR = 1e6


@dataclass(frozen=True, eq=False)
class Found:
    """An annotated person and what was found of it."""

    person: Person
    prediction: int
    """Index in the predictions."""
    measure: float
    """OKS, or for MPII's keypoints the share within PCKh's limit; in [0, 1]."""


def contact_sheet(
    dataset: KeypointDataset,
    predictions: Predictions,
    spec: ModelSpec,
    persons: int = 24,
    with_truth: bool = True,
) -> NDArray[np.uint8]:
    """A sheet (H, W, 3) uint8 BGR of persons at even steps from the lowest measure to the highest.

    Each shows the skeleton that was found, whatever its scores, since all of it counts; the annotated
    keypoints as dots, with a line from each to where it was found; and in the corner the person's OKS.

    Args:
        dataset: the ground truth.
        predictions: of its persons, by annotated or a detector's boxes.
        spec: of the model, for the skeleton.
        persons: how many; fewer where fewer were found.
        with_truth: draw the annotated keypoints.

    Raises:
        InputError: nothing was found of anybody, or a picture that cannot be read.
    """
    found = sorted(found_persons(dataset, predictions), key=lambda one: one.measure)
    if not found:
        raise InputError(f"{dataset.name}: no box on any annotated person, so there is nothing to show on a sheet")
    count = min(persons, len(found))
    chosen = [found[index] for index in np.linspace(0, len(found) - 1, count).round().astype(int)]
    tiles = [_tile(one, predictions, spec, with_truth) for one in chosen]
    name = "OKS" if dataset.keypoints == COCO_KEYPOINTS else f"share of keypoints within PCKh@{PCKH_ALPHA}"
    title = f"{spec.name} on {dataset.name}: {count} of {len(found)} persons, from lowest to highest {name}"
    return _with_title(_grid(tiles), title + ("; yellow: annotated" if with_truth else ""))


def found_persons(dataset: KeypointDataset, predictions: Predictions) -> list[Found]:
    """The annotated persons that were given a box, each with the prediction whose box overlaps its own most."""
    by_image: dict[int, list[int]] = {}
    for index, image_id in enumerate(predictions.image_ids):
        by_image.setdefault(image_id, []).append(index)
    pairs = []
    for person in persons_by_image(dataset):
        near = by_image.get(person.image_id, [])
        overlaps = _overlaps(person.box, predictions.boxes[near])
        if len(near) and overlaps.max() >= LEAST_OVERLAP:
            pairs.append((person, near[int(overlaps.argmax())]))
    persons = [person for person, _ in pairs]
    measures = _measures(persons, predictions.keypoints[[index for _, index in pairs]], dataset.keypoints)
    return [Found(person, index, float(one)) for (person, index), one in zip(pairs, measures, strict=True)]


def _overlaps(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union (N,) of a box (4,) with boxes (N, 4), xyxy."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    common = np.maximum(sides, 0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return np.asarray(common / ((box[2:] - box[:2]).prod() + areas - common), np.float64)


def _measures(persons: Sequence[Person], found: NDArray[np.float32], names: tuple[str, ...]) -> NDArray[np.float64]:
    truth, labelled = keypoint_arrays(persons, names)
    if names != MPII_KEYPOINTS:
        return paired_oks(truth, found, np.array([person.area for person in persons]), labelled)
    counted = labelled & ~np.isin(names, LEFT_OUT)
    way = found.astype(np.float64) - truth
    limits = PCKH_ALPHA * np.nan_to_num([person.head_size for person in persons])[:, None]
    hits = counted & (np.hypot(way[..., 0], way[..., 1]) <= limits)
    return np.asarray(hits.sum(1) / np.maximum(counted.sum(1), 1), np.float64)


def _tile(found: Found, predictions: Predictions, spec: ModelSpec, with_truth: bool) -> NDArray[np.uint8]:
    person, index = found.person, found.prediction
    affine = crop_affines(person.box[None], TILE)
    (crop,) = crop_persons(person.picture.read(), affine, TILE)
    (points,) = to_crop(predictions.keypoints[[index]], affine)
    shown = points[None].astype(np.float32)
    scores = predictions.scores[[index]]
    tile = draw_poses(crop, shown, scores, THIN, spec.keypoints, spec.skeleton, threshold=0.0)
    if with_truth:
        (truth,) = to_crop(person.keypoints[None], affine)
        _draw_truth(tile, truth, points, person.visibility > 0)
    _draw_plate(tile, found.measure)
    return tile


def _draw_truth(
    tile: NDArray[np.uint8],
    truth: NDArray[np.float64],
    points: NDArray[np.float64],
    labelled: NDArray[np.bool_],
) -> None:
    # what lies far outside, or of a tiny box, is beyond OpenCV's integers
    truth, points = np.clip(truth, -_FAR, _FAR), np.clip(points, -_FAR, _FAR)
    for annotated, found in zip(truth[labelled], points[labelled], strict=True):
        center, end = tuple(annotated.round().astype(int).tolist()), tuple(found.round().astype(int).tolist())
        cv2.line(tile, center, end, TRUTH, 1, cv2.LINE_AA)
        cv2.circle(tile, center, 3, DARK, -1, cv2.LINE_AA)
        cv2.circle(tile, center, 2, TRUTH, -1, cv2.LINE_AA)


def _draw_plate(tile: NDArray[np.uint8], measure: float) -> None:
    color = next((color for least, color in PLATES if measure >= least), PLATES[-1][1])
    cv2.rectangle(tile, (0, 0), (50, 21), color, -1)
    cv2.putText(tile, f"{measure:.2f}", (6, 16), _FONT, 0.5, (255, 255, 255), 1, cv2.LINE_AA)


def _grid(tiles: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The tiles in rows on a dark ground, about twice as wide as high."""
    height, width = TILE.input_size
    columns = min(len(tiles), ceil(sqrt(len(tiles) * 2 * height / width)))
    rows = ceil(len(tiles) / columns)
    sheet = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), DARK, np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def _with_title(sheet: NDArray[np.uint8], title: str) -> NDArray[np.uint8]:
    band = np.full((TITLE_HEIGHT, sheet.shape[1], 3), DARK, np.uint8)
    title = printable(title)  # OpenCV ends the process at a folder's name that is no UTF-8
    (width, _), _ = cv2.getTextSize(title, _FONT, 0.6, 1)
    scale = min(0.6, 0.6 * (sheet.shape[1] - 4 * GAP) / width)
    cv2.putText(band, title, (2 * GAP, 27), _FONT, scale, LIGHT, 1, cv2.LINE_AA)
    return np.concatenate((band, sheet))
