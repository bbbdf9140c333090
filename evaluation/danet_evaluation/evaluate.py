"""One evaluation from a model and a data set to its figures: AP, AP per source, PCK."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np

from danet.errors import InputError
from danet.keypoints import COCO_KEYPOINTS
from danet_evaluation.coco import KeypointDataset
from danet_evaluation.detections import Detections
from danet_evaluation.keypoint_ap import KeypointAP, keypoint_ap
from danet_evaluation.pck import LIMBS, Pck, pck, torso_diameters
from danet_evaluation.predict import Progress, persons_by_image, predict_on_detections, predict_on_truth, silent

if TYPE_CHECKING:
    from danet.estimator import PoseEstimator

GROUND_TRUTH = "ground truth"
LSP = "lsp"
PCK_ALPHA = 0.2


@dataclass(frozen=True)
class SourceAP:
    """AP on the pictures of one source of a mixed data set."""

    source: str
    persons: int
    figures: KeypointAP


@dataclass(frozen=True)
class Evaluation:
    """What a model reaches on a data set."""

    data: str
    boxes: str
    """"ground truth", or the name of the detections file."""
    pictures: int
    persons: int
    """Annotated persons with a labelled keypoint."""
    figures: KeypointAP
    sources: tuple[SourceAP, ...]
    """In the data set's order; empty where its images carry no "source"."""
    lsp_pck: Pck | None
    """PCK@0.2 of the torso diameter over LSP's limb keypoints; None without LSP or ground-truth boxes."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, NaN as None; the PCK's joints by their names."""
        values = asdict(self)
        if self.lsp_pck is not None:
            values["lsp_pck"]["per_joint"] = dict(zip(COCO_KEYPOINTS[LIMBS], self.lsp_pck.per_joint, strict=True))
        plain: dict[str, Any] = _without_nan(values)
        return plain


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and isnan(value) else value


def evaluate(
    estimator: PoseEstimator,
    dataset: KeypointDataset,
    detections: Detections | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Run an estimator over a data set, with its annotated boxes or with a detector's, and measure.

    Raises:
        InputError: a data set without persons, a model of other keypoints than COCO's, a picture
            that cannot be read, annotations that AP cannot be measured on, or detections of other
            pictures.
    """
    if not dataset.persons:
        raise InputError(f"{dataset.name}: no person with a box and a labelled keypoint")
    if estimator.spec.keypoints != COCO_KEYPOINTS:
        count = len(estimator.spec.keypoints)
        raise InputError(f"{estimator.spec.name} has {count} keypoints of its own, expected COCO's {COCO_KEYPOINTS}")
    if detections is None:
        return measure(dataset, predict_on_truth(estimator, dataset, progress))
    return measure(dataset, predict_on_detections(estimator, dataset, detections, progress), detections.name)


def measure(dataset: KeypointDataset, results: Sequence[dict[str, Any]], boxes: str = GROUND_TRUTH) -> Evaluation:
    """The figures of COCO results on a data set.

    Args:
        dataset: the ground truth.
        results: in COCO's result format; with `boxes` "ground truth" one per person, as
            `predict_on_truth` gives them.
        boxes: where the person boxes came from.

    Raises:
        InputError: as `keypoint_ap`.
    """
    sources = {name: dataset.of_images(image_ids) for name, image_ids in dataset.sources().items()}
    with_pck = boxes == GROUND_TRUTH and LSP in sources
    return Evaluation(
        data=dataset.name,
        boxes=boxes,
        pictures=len(dataset.pictures),
        persons=len(dataset.persons),
        figures=keypoint_ap(dataset, results),
        sources=tuple(
            SourceAP(name, len(part.persons), keypoint_ap(part, _on(part, results))) for name, part in sources.items()
        ),
        lsp_pck=_torso_pck(sources[LSP], _on(sources[LSP], results)) if with_pck else None,
    )


def _on(part: KeypointDataset, results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [result for result in results if result["image_id"] in part.pictures]


def _torso_pck(dataset: KeypointDataset, results: list[dict[str, Any]]) -> Pck | None:
    """PCK over the limbs, which LSP labels itself; people17's faces there are pseudo-labels."""
    persons = persons_by_image(dataset)
    if not persons or [person.image_id for person in persons] != [result["image_id"] for result in results]:
        return None
    truth = np.stack([person.keypoints for person in persons])
    labelled = np.stack([person.visibility > 0 for person in persons])
    predicted = np.array([result["keypoints"] for result in results]).reshape(len(results), -1, 3)[..., :2]
    lengths = torso_diameters(truth, labelled)
    return pck(predicted[:, LIMBS], truth[:, LIMBS], labelled[:, LIMBS], lengths, PCK_ALPHA)
