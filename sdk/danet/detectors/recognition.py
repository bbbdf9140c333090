"""Which head a network has: recognised by its outputs for a blank picture, or told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from danet.detectors import heads
from danet.detectors.base import SCORE_TOLERANCE
from danet.detectors.heads import Arrays, Candidates, Reading, SsdParts, grid, rows_of
from danet.detectors.metadata import StatedFacts, stated_person_class
from danet.detectors.preprocessing import Preprocessing
from danet.errors import DetectorError, InputError
from danet.model_spec import IMAGENET_MEAN_BGR, IMAGENET_STD_BGR

_YOLO_STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32))
_END_TO_END_ROWS = 1000
_COCO_CLASSES = 80
_PADDED = -1
"""Score of rows that hold nobody, where an export fills its table up so."""
_NOT_READ = "not read here; pass a callable frame -> (boxes, scores) in place of the file"
_PERSON_IS_0 = "person-detection-02"
"""How file names of Open Model Zoo begin whose DetectionOutput has persons as class 0 (by their pages); its others,
as person-detection-retail-0013, have the background there, as Caffe's do."""


@dataclass(frozen=True)
class Probe:
    """What a network gave for a grey picture, and what its file says."""

    outputs: Arrays
    names: tuple[str, ...]
    """Of the outputs."""
    input_size: tuple[int, int]
    stated: StatedFacts
    stem: str
    """The file's name without its suffix."""

    def rows(self) -> NDArray[np.float32] | None:
        """The output (1, A, B) as (A, B), where there is one and the others are maps of more dimensions."""
        flat = [one for one in self.outputs if one.ndim <= 3]
        return rows_of(flat) if len(flat) == 1 and flat[0].ndim == 3 and flat[0].shape[0] == 1 else None

    def cells(self, anchors: int = 1) -> list[int]:
        """Numbers of rows that a YOLO has for this input, by the sets of strides in use."""
        return [anchors * len(grid(self.input_size, strides)[0]) for strides in _YOLO_STRIDES]


@dataclass(frozen=True)
class Head:
    """A kind of detector export."""

    name: str
    decode: Callable[[Arrays, Reading], Candidates]
    fits: Callable[[Probe], bool]
    preprocessing: Preprocessing
    person_class: Callable[[Probe], int] = lambda _: 0
    """Where the file states no names."""
    suppressed: bool = False
    """Whether overlapping boxes are already gone."""

    def read(self, outputs: Arrays, reading: Reading) -> Candidates:
        """`decode`, for outputs that need not be of this kind.

        Raises:
            DetectorError: they are not.
        """
        try:
            with np.errstate(all="ignore"):  # what is not finite is left out by `best_boxes`
                return self.decode(outputs, reading)
        except (IndexError, ValueError) as error:  # too few columns, or a size that is none of rows
            shapes = ", ".join(str(one.shape) for one in outputs)
            raise DetectorError(
                f"outputs {shapes} are none of head {self.name!r} ({error}); say another head= (--head)"
            ) from error


def _are_probabilities(values: NDArray[np.float32]) -> bool:
    return bool(((values >= 1 - SCORE_TOLERANCE) & (values <= SCORE_TOLERANCE)).all())


def _are_whole(values: NDArray[np.float32]) -> bool:
    """Class numbers, exactly: scores for a grey picture may all be about 0, but none is 0 after a sigmoid."""
    return bool((values == np.rint(values)).all())


def _are_corners(boxes: NDArray[np.float32]) -> bool:
    return bool((boxes[:, 2:] >= boxes[:, :2]).all())


def _has_yolox_rows(probe: Probe) -> bool:
    rows = probe.rows()
    return (
        rows is not None
        and rows.shape[1] >= 6
        and len(rows) == probe.cells()[0]
        and "outputs" not in probe.names  # so YOLOv6 names its output; YOLOX: "output"
        and probe.stated.names is None  # YOLOX states nothing
        # other exports of as many rows: NanoDet's distances are no probabilities, and DeepStream's (xyxy, score,
        # class) have whole numbers in the sixth column, 0 only where there is one class
        and _are_probabilities(rows[:, 4:])
        and not (rows.shape[1] == 6 and _are_whole(rows[:, 5]) and _are_corners(rows[:, :4]))
    )


def _is_decoded(probe: Probe) -> bool:
    """Whether centres are pixels, near their own cell, rather than offsets within it.

    Raw offsets lie about 0 for every cell; decoded centres lie about their cell's place, which is tens of
    cells away from 0 for most. So the smaller median distance tells, whatever the picture shows.
    """
    rows = probe.rows()
    assert rows is not None
    cells, strides = grid(probe.input_size, heads.YOLOX_STRIDES)
    from_cell = np.abs(rows[:, :2] / strides - cells)
    return float(np.median(from_cell)) < float(np.median(np.abs(rows[:, :2])))


def _is_yolov5(probe: Probe) -> bool:
    rows = probe.rows()
    if rows is None or rows.shape[1] < 6:
        return False
    return len(rows) in probe.cells(anchors=3) or (len(rows) in probe.cells() and "outputs" in probe.names)


def _is_yolov8(probe: Probe) -> bool:
    rows = probe.rows()
    return rows is not None and rows.shape[0] >= 5 and rows.shape[1] in probe.cells()


def _is_end_to_end(probe: Probe) -> bool:
    rows = probe.rows()
    if rows is None or _is_yolov8(probe):
        return False
    if len(rows) > _END_TO_END_ROWS or len(rows) in probe.cells() + probe.cells(anchors=3):
        return False
    if rows.shape[1] < 6 or not _are_whole(rows[:, 5]):  # RT-DETR of two classes: the second one's scores
        return False
    return rows.shape[1] == 6 or probe.stated.task in ("pose", "segment")


def _has_dets_and_labels(probe: Probe) -> bool:
    dets = [one for one in probe.outputs if one.ndim == 3 and one.shape[::2] == (1, 5)]
    return len(dets) == 1 and any(one.shape == dets[0].shape[:2] and one.dtype.kind in "iu" for one in probe.outputs)


def _is_tensorflow(probe: Probe) -> bool:
    return heads.tensorflow_outputs(probe.outputs, probe.names).keys() >= set(heads.TENSORFLOW)


def _is_ssd(probe: Probe) -> bool:
    return _ssd_parts(probe) is not None and _ssd_fault(probe) is None


def _ssd_parts(probe: Probe) -> SsdParts | None:
    if len(probe.outputs) < 2:
        return None
    try:
        with np.errstate(all="ignore"):  # of what is not finite, or too large for float32
            return heads.ssd_parts(probe.outputs, probe.names)
    except DetectorError:
        return None


def _ssd_fault(probe: Probe) -> str | None:
    """Why outputs of an SSD's shapes are none of an SSD's, and what to do; None where they may be, or have others."""
    parts = _ssd_parts(probe)
    if parts is None:
        return None
    if "detection_boxes" in heads.tensorflow_outputs(probe.outputs, probe.names):
        return f"TensorFlow's boxes, y before x, without one of {', '.join(heads.TENSORFLOW)}; export it with all three"
    if {"logits", "pred_logits"} & set(probe.names):
        return f"rows of a DETR, {_NOT_READ}"
    scores = parts.scores[np.isfinite(parts.scores) & (parts.scores != _PADDED)]
    if not _are_probabilities(scores):
        low, high = scores.min(), scores.max()
        return (
            f"boxes with scores from {low:.3g} to {high:.3g}, expected probabilities in 0..1; export it with its "
            f"sigmoid or softmax. If these are rows of a DETR, they are {_NOT_READ}"
        )
    if 2 * np.count_nonzero((parts.boxes[:, 2:] < parts.boxes[:, :2]).any(1)) > len(parts.boxes):
        return f"boxes by centre and size, expected two corners. If these are rows of a DETR, they are {_NOT_READ}"
    return None


def _ssd_person_class(probe: Probe) -> int:
    """1, since 0 is the background; but YOLO-NAS and DAMO-YOLO have COCO's 80 classes and no background.

    Nor has a network of one class. YOLO-NAS with NMS inside is known by the name of its labels.
    """
    parts = _ssd_parts(probe)
    columns = 0 if parts is None or parts.scores.ndim == 1 else parts.scores.shape[1]
    return 0 if columns in (1, _COCO_CLASSES) or "pred_classes" in probe.names else 1


def _detection_output_person_class(probe: Probe) -> int:
    return 0 if probe.stem.lower().startswith(_PERSON_IS_0) else 1


_BGR = Preprocessing("BGR", "corner")
_RGB_OF_1 = Preprocessing("RGB", "centre", 1 / 255)
_MMDET = Preprocessing("BGR", "corner", 1.0, IMAGENET_MEAN_BGR, IMAGENET_STD_BGR)

HEADS = {
    head.name: head
    for head in (
        Head("yolox", heads.decode_yolox, lambda probe: _has_yolox_rows(probe) and not _is_decoded(probe), _BGR),
        Head(
            "yolox-decoded",
            heads.decode_centre_rows,
            lambda probe: _has_yolox_rows(probe) and _is_decoded(probe),
            _BGR,
        ),
        Head("yolov5", heads.decode_centre_rows, _is_yolov5, _RGB_OF_1),
        Head("yolov8", heads.decode_yolov8, _is_yolov8, _RGB_OF_1),
        Head("end-to-end", heads.decode_end_to_end, _is_end_to_end, _RGB_OF_1, suppressed=True),
        # mmdeploy writes the same two outputs for both, whose pixels are normalised differently; only the
        # file's name can tell. Where it does not, both fit, and the caller is asked.
        Head(
            "rtmdet",
            heads.decode_dets_labels,
            lambda probe: _has_dets_and_labels(probe) and "yolox" not in probe.stem.lower(),
            _MMDET,
            suppressed=True,
        ),
        Head(
            "yolox-nms",
            heads.decode_dets_labels,
            lambda probe: _has_dets_and_labels(probe) and "rtmdet" not in probe.stem.lower(),
            _BGR,
            suppressed=True,
        ),
        Head("ssd", heads.decode_ssd, _is_ssd, Preprocessing("RGB", "stretch", 1 / 255), _ssd_person_class),
        Head(
            "tensorflow",
            heads.decode_tensorflow,
            _is_tensorflow,
            Preprocessing("RGB", "stretch"),
            lambda _: 1,  # its label maps begin with 1
            suppressed=True,
        ),
        Head(
            "detection-output",
            heads.decode_detection_output,
            lambda probe: [one.shape[:2] + one.shape[3:] for one in probe.outputs] == [(1, 1, 7)],
            Preprocessing("BGR", "stretch"),
            _detection_output_person_class,
            suppressed=True,
        ),
    )
}


def find_head(name: str | None) -> Head | None:
    """The head that a caller named; None for None.

    Raises:
        InputError: there is none of that name.
    """
    if name is not None and name not in HEADS:
        raise InputError(f"head {name!r}, expected one of {', '.join(HEADS)}")
    return None if name is None else HEADS[name]


def recognised_head(probe: Probe) -> Head:
    """The one head that fits.

    Raises:
        DetectorError: none does, or several do; lists the outputs and the heads.
    """
    with np.errstate(all="ignore"):  # outputs that are not finite are refused or left out when they are read
        fitting = [head for head in HEADS.values() if head.fits(probe)]
        fault = None if fitting else _ssd_fault(probe)
    if len(fitting) == 1:
        return fitting[0]
    shown = ", ".join(
        f"{name or '(no name)'} {one.shape} {one.dtype}" for name, one in zip(probe.names, probe.outputs, strict=True)
    )
    if fault is not None:
        raise DetectorError(f"outputs {shown} are {fault}")
    if not fitting:
        raise DetectorError(
            f"outputs {shown} for an input of {probe.input_size} are of no detector known here; if it is one, say "
            f"head= (--head) one of {_listed(list(HEADS.values()))}"
        )
    raise DetectorError(f"outputs {shown} may be of several kinds; say head= (--head) one of {_listed(fitting)}")


def _listed(choices: Sequence[Head]) -> str:
    return ", ".join(repr(head.name) for head in choices)


def as_reading(probe: Probe, head: Head, person_class: int | None) -> Reading:
    """What the decoding of a head is told; the person class as given, as the file states it, or as usual.

    Raises:
        DetectorError: the file names its classes, and none is a person.
        InputError: a person class that is no whole number.
    """
    if person_class is not None and (isinstance(person_class, bool) or not isinstance(person_class, Integral)):
        raise InputError(f"person_class {person_class!r:.40}, expected its number as the file counts them, from 0")
    names = probe.stated.names
    found = stated_person_class(names) if person_class is None else person_class
    if found is None:
        found = head.person_class(probe)
    return Reading(probe.input_size, found, len(names) if names else None, probe.names)
