"""A model beside its reference: the same persons in both, how far their keypoints lie apart, and what AP that costs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isclose
from typing import TYPE_CHECKING

import numpy as np

from danet.errors import InputError
from danet.model_spec import ModelSpec
from danet_evaluation.coco import KeypointDataset
from danet_evaluation.detections import Detections
from danet_evaluation.evaluate import GROUND_TRUTH, Evaluation, Run, run
from danet_evaluation.predict import Progress, silent

if TYPE_CHECKING:
    from danet.estimator import PoseEstimator


@dataclass(frozen=True)
class Comparison:
    """How far a model is from its reference."""

    persons: int
    """Boxes that both were given; each of their keypoints counts."""
    distance_px: float
    """Mean distance of the keypoints, pixels of the frame."""
    distance_relative: float
    """The same, each distance over the square root of its box's area."""
    ap: float
    reference_ap: float

    @property
    def ap_difference(self) -> float:
        """The model's AP minus the reference's."""
        return self.ap - self.reference_ap


def compare(
    model: PoseEstimator,
    reference: PoseEstimator,
    dataset: KeypointDataset,
    detections: Detections | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Run a model and its reference on the same crops of a data set.

    The reference is, as a rule, the checkpoint in the torch backend. Where several models have one
    reference, `run` it once and take `difference`.

    Raises:
        InputError: models whose crops or keypoints differ; else as `evaluate.run`.
    """
    require_same_crops(model.spec, reference.spec)
    given = run(reference, dataset, detections, progress)
    return difference(run(model, dataset, detections, progress), given)


def require_same_crops(spec: ModelSpec, reference: ModelSpec) -> None:
    """Check that two models see the same pixels of a person and name the same keypoints.

    Raises:
        InputError: what differs.
    """
    for field in ("input_size", "box_padding", "keypoints"):
        ours, theirs = getattr(spec, field), getattr(reference, field)
        if ours != theirs:
            raise InputError(
                f"{spec.name} has {field} {ours}, its reference {reference.name} {theirs}; expected the same, "
                "so that distances are the model's and not the crop's: take the checkpoint it was made from"
            )


def difference(model: Run, reference: Run) -> Comparison:
    """How far one run is from another over the same boxes.

    Raises:
        InputError: runs over other boxes.
    """
    ours, theirs = model.predictions, reference.predictions
    if ours.image_ids != theirs.image_ids or not np.array_equal(ours.boxes, theirs.boxes):
        raise InputError(
            f"{model.model} was run on {len(ours)} boxes of {model.evaluation.data}, its reference {reference.model} "
            f"on {len(theirs)} of {reference.evaluation.data}; expected the same boxes in both"
        )
    way = ours.keypoints.astype(np.float64) - theirs.keypoints
    distances = np.hypot(way[..., 0], way[..., 1])
    sides = np.sqrt((ours.boxes[:, 2:] - ours.boxes[:, :2]).prod(axis=1))
    return Comparison(
        persons=len(ours),
        distance_px=float(distances.mean()),
        distance_relative=float((distances / sides[:, None]).mean()),
        ap=model.evaluation.figures.ap,
        reference_ap=reference.evaluation.figures.ap,
    )


def recorded_ap(spec: ModelSpec, evaluation: Evaluation, used: ModelSpec | None = None) -> float | None:
    """The AP that a spec records for the data and the protocol of an evaluation; None where it has none.

    Metrics describe themselves in words: all words of the data set's name must be among those of
    `Metric.data`; a number of persons there, and "flip test", "no flip test" and "annotated boxes" in
    `Metric.method`, must fit where they are stated. A decoder and a box padding that are not stated ("decoder
    offset", "box padding 1.25") are the spec's. The last that fits counts. None is recorded of a part of the boxes.

    Args:
        spec: as the model file holds it.
        evaluation: of that file.
        used: the spec that persons were cropped and decoded by; the file's if not given.
    """
    if evaluation.protocol.min_box_score:
        return None
    used = used or spec
    values = [
        metric.value
        for metric in spec.metrics
        if metric.name == "AP"
        and _words(evaluation.data) <= _words(metric.data)
        and _persons(metric.data) in (None, evaluation.persons)
        and stated_flip_test(metric.method) in (None, evaluation.protocol.flip_test)
        and _same_boxes(metric.method, evaluation.protocol.boxes)
        and (_decoder(metric.method) or spec.decoder.refinement) == used.decoder.refinement
        and isclose(_padding(metric.method) or spec.box_padding, used.box_padding, rel_tol=1e-5)
    ]
    return values[-1] if values else None


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _persons(data: str) -> int | None:
    stated = re.search(r"(\d+) persons", data)
    return int(stated[1]) if stated else None


def stated_flip_test(method: str) -> bool | None:
    """What a metric's method says of the flip test; None where it says nothing."""
    return "no flip test" not in method if "flip test" in method else None


def _decoder(method: str) -> str | None:
    stated = re.search(r"decoder (\w+)", method)
    return stated[1] if stated else None


def _padding(method: str) -> float | None:
    stated = re.search(r"box padding (\d+(?:\.\d+)?)", method)
    return float(stated[1]) if stated else None


def _same_boxes(method: str, boxes: str) -> bool:
    return "annotated boxes" in method if boxes == GROUND_TRUTH else boxes in method
