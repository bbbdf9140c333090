"""One evaluation from a model and a data set to its figures: AP, AP per source, PCK."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np

from danet.errors import InputError
from danet.keypoints import COCO_KEYPOINTS
from danet_evaluation.coco import KeypointDataset, require_pictures
from danet_evaluation.detections import Detections
from danet_evaluation.keypoint_ap import KeypointAP, keypoint_ap
from danet_evaluation.pck import LIMB_KEYPOINTS, LIMBS, Pck, pck, torso_diameters
from danet_evaluation.predict import Progress, persons_by_image, predict_on_detections, predict_on_truth, silent
from danet_evaluation.predictions import Predictions, keypoint_arrays, suppress

if TYPE_CHECKING:
    from danet.estimator import PoseEstimator

GROUND_TRUTH = "ground truth"
PCK_ALPHA = 0.2


@dataclass(frozen=True)
class Protocol:
    """How persons were given to a model and run."""

    boxes: str = GROUND_TRUTH
    """"ground truth", or the name of the detections file."""
    min_box_score: float | None = None
    """Boxes that a detector scored less were left out; None: all were run."""
    flip_test: bool = False


@dataclass(frozen=True)
class SourceFigures:
    """What a model reaches on the pictures of one source of a mixed data set."""

    source: str
    persons: int
    figures: KeypointAP
    pck: Pck | None
    """As `Evaluation.pck`."""


@dataclass(frozen=True)
class Evaluation:
    """What a model reaches on a data set."""

    data: str
    protocol: Protocol
    pictures: int
    """All of the data set, those without a person or a detection included."""
    persons: int
    """Annotated persons with a labelled keypoint."""
    figures: KeypointAP
    sources: tuple[SourceFigures, ...]
    """In the data set's order; empty where its images carry no "source"."""
    pck: Pck | None
    """PCK@0.2 of the torso diameter over the limbs, LSP's measure; None with a detector's boxes."""

    @property
    def boxes(self) -> str:
        """Where the person boxes came from, as `Protocol.boxes`."""
        return self.protocol.boxes

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, NaN as None; the PCK's joints by their names."""
        values = asdict(self)
        shares = [self.pck, *(part.pck for part in self.sources)]
        for share, part in zip(shares, [values, *values["sources"]], strict=True):
            part["pck"] = share.to_dict() if share else None
        plain: dict[str, Any] = without_nan(values)
        return plain


@dataclass(frozen=True, eq=False)
class Run:
    """One pass of an estimator over a data set."""

    model: str
    evaluation: Evaluation
    predictions: Predictions
    """Of all boxes that were given, in their order: with a detector's boxes before OKS NMS."""


def without_nan(value: Any) -> Any:
    """Nested plain values with None for NaN, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and isnan(value) else value


def evaluate(
    estimator: PoseEstimator,
    dataset: KeypointDataset,
    detections: Detections | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Run an estimator over a data set, with its annotated boxes or with a detector's, and measure. See `run`."""
    return run(estimator, dataset, detections, progress).evaluation


def run(
    estimator: PoseEstimator,
    dataset: KeypointDataset,
    detections: Detections | None = None,
    progress: Progress = silent,
) -> Run:
    """Run an estimator over a data set, with its annotated boxes or with a detector's, and measure.

    With a detector's boxes it is the protocol of the paper's section IV-A and of HRNet's and
    SimpleBaseline's evaluations: person score = box score x mean keypoint score, OKS NMS on each
    picture, AP over all pictures of the data set.

    Raises:
        InputError: a data set without persons, a model or data set of other keypoints than COCO's, a
            picture that cannot be read, annotations that AP cannot be measured on, or detections of
            other pictures.
    """
    refuse(estimator, dataset, COCO_KEYPOINTS, "COCO", detections)
    if detections is None:
        protocol = Protocol(flip_test=estimator.flip_test)
        predictions = predict_on_truth(estimator, dataset, progress)
        return Run(estimator.spec.name, measure(dataset, predictions, protocol), predictions)
    protocol = Protocol(detections.name, detections.min_score, estimator.flip_test)
    predictions = predict_on_detections(estimator, dataset, detections, progress)
    left = suppress(predictions, estimator.spec)
    return Run(estimator.spec.name, measure(dataset, left, protocol), predictions)


def refuse(
    estimator: PoseEstimator,
    dataset: KeypointDataset,
    keypoints: tuple[str, ...],
    layout: str,
    detections: Detections | None = None,
) -> None:
    """Check that a measure of some keypoints fits a model and a data set.

    Raises:
        InputError: a data set without persons, keypoints that differ, or pictures that are not there.
    """
    if not dataset.persons:
        raise InputError(
            f"{dataset.name}: no person with a box and a labelled keypoint on {len(dataset.pictures)} pictures, "
            "expected at least one; is it the right split?"
        )
    for name, found in ((estimator.spec.name, estimator.spec.keypoints), (dataset.name, dataset.keypoints)):
        if found != keypoints:
            differing = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
            raise InputError(
                f"{name} has {len(found)} keypoints of its own ({differing}), expected {layout}'s {len(keypoints)} "
                f"({', '.join(keypoints[:3])}, ...); model and data set must name the same"
            )
    pictures = {person.picture for person in dataset.persons}
    if detections is not None:
        boxed = {image_id for image_id, found in detections.by_image.items() if len(found.boxes)}
        pictures = {picture for image_id, picture in dataset.pictures.items() if image_id in boxed}
    require_pictures(dataset.annotation_file or dataset.name, pictures)


def measure(dataset: KeypointDataset, predictions: Predictions, protocol: Protocol | None = None) -> Evaluation:
    """The figures of predictions on a data set.

    Args:
        dataset: the ground truth.
        predictions: with boxes of the ground truth one per person in the order of `persons_by_image`.
        protocol: how they were made; with annotated boxes and no flip test if not given.

    Raises:
        InputError: as `keypoint_ap`.
    """
    protocol = protocol or Protocol()
    return Evaluation(
        data=dataset.name,
        protocol=protocol,
        pictures=len(dataset.pictures),
        persons=len(dataset.persons),
        figures=keypoint_ap(dataset, predictions.to_coco()),
        sources=tuple(
            _source(name, dataset.of_images(image_ids), predictions, protocol)
            for name, image_ids in dataset.sources().items()
        ),
        pck=_torso_pck(dataset, predictions, protocol),
    )


def _source(name: str, part: KeypointDataset, predictions: Predictions, protocol: Protocol) -> SourceFigures:
    found = predictions.on(frozenset(part.pictures))
    figures = keypoint_ap(part, found.to_coco())
    return SourceFigures(name, len(part.persons), figures, _torso_pck(part, found, protocol))


def _torso_pck(dataset: KeypointDataset, predictions: Predictions, protocol: Protocol) -> Pck | None:
    """PCK over the limbs, which all sources label; COCO's face keypoints have no counterpart in LSP."""
    persons = persons_by_image(dataset)
    if protocol.boxes != GROUND_TRUTH or not persons:
        return None
    truth, labelled = keypoint_arrays(persons, COCO_KEYPOINTS)
    lengths = torso_diameters(truth, labelled)
    limbs = np.s_[:, LIMBS]
    return pck(predictions.keypoints[limbs], truth[limbs], labelled[limbs], lengths, PCK_ALPHA, LIMB_KEYPOINTS)
