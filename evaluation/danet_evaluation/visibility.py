"""AP by how much of a person is in sight, and over the keypoints in sight alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danet_evaluation.coco import KeypointDataset, is_usable
from danet_evaluation.evaluate import without_nan
from danet_evaluation.keypoint_ap import KeypointAP, keypoint_ap
from danet_evaluation.predict import persons_by_image
from danet_evaluation.predictions import Predictions

IN_SIGHT = 2
"""COCO's visibility of a keypoint that is labelled and visible; 1 is labelled and hidden."""
GROUPS = ((13, 17), (9, 12), (5, 8), (1, 4), (0, 0))
"""Least and most keypoints in sight of a group's persons."""


@dataclass(frozen=True)
class VisibilityGroup:
    """Persons with so many keypoints in sight, and what a model reaches on them alone."""

    least: int
    most: int
    persons: int
    figures: KeypointAP
    """Hidden keypoints of these persons count, as COCO has it."""


@dataclass(frozen=True)
class VisibilityFigures:
    """What a model reaches on what can be seen, and on what cannot."""

    labelled: int
    """Keypoints of the persons; all count in AP."""
    hidden: int
    """Those of them that are annotated as hidden (v = 1)."""
    groups: tuple[VisibilityGroup, ...]
    """From the best to be seen on; those without a person are left out."""
    in_sight: KeypointAP | None
    """Hidden keypoints left out of the truth, and persons with no other; None where no person is left."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, NaN as None."""
        plain: dict[str, Any] = without_nan(asdict(self))
        return plain


def by_visibility(dataset: KeypointDataset, predictions: Predictions) -> VisibilityFigures:
    """The figures of predictions by the keypoints that are in sight.

    AP knows no difference between a keypoint that a model put beside the one that is seen, and one that
    nobody can see: these figures tell them apart. A data set whose hidden keypoints are not labelled, or all
    labelled as visible, has groups by labelled keypoints.

    Args:
        dataset: the ground truth.
        predictions: with boxes of the ground truth, one per person in the order of `persons_by_image`.

    Raises:
        InputError: as `keypoint_ap`.
    """
    visibility = np.array([person.visibility for person in persons_by_image(dataset)], np.int8)
    seen = (visibility >= IN_SIGHT).sum(axis=1)

    def figures(chosen: NDArray[np.bool_], of: KeypointDataset) -> KeypointAP:
        return keypoint_ap(of, predictions[np.flatnonzero(chosen)].to_coco())

    members = [(least, most, (seen >= least) & (seen <= most)) for least, most in GROUPS]
    return VisibilityFigures(
        labelled=int((visibility > 0).sum()),
        hidden=int((visibility == 1).sum()),
        groups=tuple(
            VisibilityGroup(least, most, int(chosen.sum()), figures(chosen, _persons_of(dataset, chosen)))
            for least, most, chosen in members
            if chosen.any()
        ),
        in_sight=figures(seen > 0, _persons_of(dataset, seen > 0, _without_hidden)) if seen.any() else None,
    )


def _without_hidden(annotation: dict[str, Any]) -> dict[str, Any]:
    triples = np.array(annotation["keypoints"], np.float64).reshape(-1, 3)
    triples[triples[:, 2] < IN_SIGHT] = 0
    return {**annotation, "keypoints": triples.ravel().tolist(), "num_keypoints": int((triples[:, 2] > 0).sum())}


def _persons_of(
    dataset: KeypointDataset,
    chosen: NDArray[np.bool_],
    change: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> KeypointDataset:
    """The chosen persons of `persons_by_image` and their pictures; nobody else, since nobody else is predicted."""
    persons = [person for person, kept in zip(persons_by_image(dataset), chosen, strict=True) if kept]
    pictures = dataset.of_images({person.image_id for person in persons})
    # by their order, which is the file's: the ids of some files begin anew on each picture
    usable = [one for one in dataset.content["annotations"] if is_usable(one)]
    kept = {id(person) for person in persons}
    pairs = zip(dataset.persons, usable, strict=True)
    annotations = [change(one) for person, one in pairs if id(person) in kept]
    return replace(pictures, persons=tuple(persons), content={**pictures.content, "annotations": annotations})
