"""Published results that a measured AP may be compared with, and when it may."""

from __future__ import annotations

from dataclasses import dataclass

from danet.model_spec import ModelSpec
from danet_evaluation.evaluate import Evaluation

VAL2017_ANNOTATIONS = "person_keypoints_val2017"
VAL2017_PICTURES = 5000
INPUT_SIZE = (256, 192)
DETECTOR = "AP_H_56"
"""In the name of the boxes file that the paper, HRNet and SimpleBaseline share, from a detector with 56.4 AP:
COCO_val2017_detections_AP_H_56_person.json."""


@dataclass(frozen=True)
class PublishedRow:
    """What was published for one model on COCO val2017, 256 x 192, those boxes, flip test."""

    model: str
    """As ModelSpecs name it, or the rival's name in the benchmark."""
    title: str
    parameters_m: float | None
    """10^6."""
    gflops: float | None
    """10^9 multiply-adds."""
    ap: float
    """In [0, 1], as all the following; None where the table leaves it open."""
    ap50: float | None = None
    ap75: float | None = None
    ap_medium: float | None = None
    ap_large: float | None = None
    ar: float | None = None


TABLE_II = (
    PublishedRow("hourglass-8", "8-stage Hourglass", 25.2, 26.2, 0.669),
    PublishedRow("cpn-r50", "CPN ResNet-50", 27.0, 6.2, 0.686),
    PublishedRow("simplebaseline-r50", "SimpleBaseline ResNet-50", 34.0, 8.9, 0.704, 0.806, 0.783, 0.671, 0.772, 0.763),
    PublishedRow("hrnet-w32", "HRNet-W32", 28.5, 7.1, 0.744, 0.905, 0.819, 0.708, 0.810, 0.798),
    PublishedRow("mspn-r50", "MSPN ResNet-50", 95.5, 4.7, 0.733, 0.9045, 0.803, 0.692, 0.794, 0.786),
    PublishedRow("hrnet-w16", "HRNet-W16", 6.9, 1.9, 0.718, 0.895, 0.789, 0.686, 0.768, 0.772),
    PublishedRow("mspn-r18", "MSPN ResNet-18", 11.7, 2.5, 0.708, 0.895, 0.773, 0.666, 0.769, 0.762),
    PublishedRow("mspn-r34", "MSPN ResNet-34", 21.4, 4.2, 0.731, 0.905, 0.802, 0.691, 0.791, 0.785),
    PublishedRow("danet72", "DANet-72", 3.4, 1.0, 0.710, 0.896, 0.781, 0.676, 0.762, 0.766),
    PublishedRow("danet88", "DANet-88", 5.3, 1.4, 0.719, 0.900, 0.790, 0.682, 0.773, 0.775),
    PublishedRow("danet98", "DANet-98", 5.7, 1.6, 0.728, 0.903, 0.799, 0.692, 0.783, 0.784),
    PublishedRow("danet102", "DANet-102", 5.8, 1.8, 0.734, 0.906, 0.805, 0.699, 0.786, 0.788),
)
"""Table II of the paper, in its order."""

ZOO = (
    PublishedRow("danet72", "DANet-72 (zoo)", None, None, 0.698),
    PublishedRow("danet88", "DANet-88 (zoo)", None, None, 0.704),
    PublishedRow("danet98", "DANet-98 (zoo)", None, None, 0.713),
    PublishedRow("danet102", "DANet-102 (zoo)", None, None, 0.717),
)
"""What the files of the MegEngine zoo are named after: preset "zoo". Its test program does no OKS NMS, scores a
person by box score x (1 + mean response), and moves a location by 0.15 and 0.05 of a cell: the 0.35 toward the
second-highest are lost, since it clears another cell than the highest, which it then finds again (`find_keypoints`
at cabce09).
"""


def is_paper_protocol(evaluation: Evaluation) -> bool:
    """Whether an AP may stand beside the published ones: all of COCO val2017, their boxes, flip test."""
    protocol = evaluation.protocol
    on_val2017 = evaluation.data.endswith(VAL2017_ANNOTATIONS) and evaluation.pictures == VAL2017_PICTURES
    all_boxes = DETECTOR in protocol.boxes and not protocol.min_box_score
    return on_val2017 and all_boxes and protocol.flip_test


def published_row(spec: ModelSpec) -> PublishedRow | None:
    """The zoo's or the paper's row of the model that a spec describes ("danet72" and "danet72-..."), or None."""
    rows = ZOO if spec.preset == "zoo" else TABLE_II
    return next((row for row in rows if spec.name == row.model or spec.name.startswith(row.model + "-")), None)


def comparable_row(spec: ModelSpec, evaluation: Evaluation) -> PublishedRow | None:
    """The row that an evaluation of that model may be compared with; None for other crops, data or another protocol."""
    comparable = spec.input_size == INPUT_SIZE and is_paper_protocol(evaluation)
    return published_row(spec) if comparable else None
