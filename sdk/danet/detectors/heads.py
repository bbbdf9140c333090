"""From the raw outputs of the usual detector exports to boxes and person scores.

Each function takes a network's outputs for one picture, in the file's order, and gives every candidate
in pixels of the network's input; thresholds, NMS and the way back to the frame come later and are the
same for all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from danet.errors import DetectorError

YOLOX_STRIDES = (8, 16, 32)
NORMALISED_LIMIT = 2.0
"""No useful box ends within two pixels of the input's corner; one in 0..1 never reaches beyond by a whole side."""
TENSORFLOW = ("detection_boxes", "detection_scores", "detection_classes")
"""How the outputs are called that are read of TensorFlow's detectors."""
_LABELS = re.compile("label|class(?!.*(score|prob))")
_BOXES = re.compile("box|loc|rect")
_SCORES = re.compile("score|prob|conf|class|cls")

Arrays = Sequence[NDArray[Any]]


class Candidates(NamedTuple):
    """What may be persons."""

    boxes: NDArray[np.float32]
    """(N, 4) float32 xyxy, pixels of the network's input, edges."""
    scores: NDArray[np.float32]
    """(N,) float32, the probability of a person."""


@dataclass(frozen=True)
class Reading:
    """What a head must know to be read."""

    input_size: tuple[int, int]
    """Height and width of the network's input, pixels."""
    person_class: int
    classes: int | None = None
    """How many columns are class scores, where the file says so; None: all that are left."""
    names: tuple[str, ...] = ()
    """Of the outputs."""


def decode_yolox(outputs: Arrays, reading: Reading) -> Candidates:
    """YOLOX as exported by default, (1, A, 5 + C): offsets in grid cells, logarithms of sizes, objectness, classes.

    Source: YOLOX's `demo_postprocess`.

    Raises:
        DetectorError: A is not the number of cells of strides 8, 16 and 32.
    """
    rows = rows_of(outputs)
    cells, strides = grid(reading.input_size, YOLOX_STRIDES)
    if len(cells) != len(rows):
        raise DetectorError(
            f"{len(rows)} rows from an input of {reading.input_size}, expected {len(cells)}: one for each cell of "
            f"strides {YOLOX_STRIDES}; say another head= (--head), or an input_size that is a multiple of 32"
        )
    centers = (rows[:, :2] + cells) * strides
    with np.errstate(over="ignore"):  # an infinite size is dropped later
        sizes = np.exp(rows[:, 2:4]) * strides
    return Candidates(_edges(centers, sizes), _objectness_times_class(rows, reading))


def decode_centre_rows(outputs: Arrays, reading: Reading) -> Candidates:
    """Decoded rows (1, A, 5 + C) cx, cy, w, h in input pixels, objectness, classes.

    YOLOv5, v6 and v7, and YOLOX exported with `--decode_in_inference`.
    """
    rows = rows_of(outputs)
    return Candidates(_edges(rows[:, :2], rows[:, 2:4]), _objectness_times_class(rows, reading))


def decode_yolov8(outputs: Arrays, reading: Reading) -> Candidates:
    """YOLOv8, v9, 11 and 12 (1, 4 + C, A): cx, cy, w, h in input pixels and class scores; also its transpose.

    Columns behind the classes (keypoints, mask coefficients) are left out where the file tells their number.
    """
    rows = rows_of(outputs)
    if rows.shape[0] < rows.shape[1]:
        rows = rows.T
    return Candidates(_edges(rows[:, :2], rows[:, 2:4]), _column(rows[:, 4:], reading))


def decode_end_to_end(outputs: Arrays, reading: Reading) -> Candidates:
    """YOLOv10, YOLO26 and Ultralytics exports with NMS (1, 300, 6): xyxy in input pixels, score, class."""
    rows = rows_of(outputs)
    persons = rows[np.rint(rows[:, 5]) == reading.person_class]
    return Candidates(persons[:, :4], persons[:, 4])


def decode_dets_labels(outputs: Arrays, reading: Reading) -> Candidates:
    """Mmdeploy's exports: dets (1, N, 5) xyxy in input pixels and score, labels (1, N).

    Raises:
        DetectorError: no such two outputs.
    """
    boxes = _only(outputs, lambda shape: len(shape) >= 2 and shape[-1] == 5, "dets of shape (1, N, 5)")
    labels = _only(outputs, lambda shape: shape == boxes.shape[:-1], "labels of shape (1, N)")
    persons = boxes.reshape(-1, 5)[labels.reshape(-1) == reading.person_class].astype(np.float32)
    return Candidates(persons[:, :4], persons[:, 4])


class SsdParts(NamedTuple):
    """The outputs of an SSD, told apart."""

    boxes: NDArray[np.float32]
    """(N, 4) float32 xyxy, in 0..1 or pixels of the network's input."""
    scores: NDArray[np.float32]
    """(N, C) float32, or (N,) of the class that `labels` names, or of the only one."""
    labels: NDArray[Any] | None
    """(N,), or None."""


def ssd_parts(outputs: Arrays, names: Sequence[str]) -> SsdParts:
    """Boxes (1, N, 4) with scores (1, N, C), or with scores (1, N) and perhaps labels (1, N), in any order.

    Raises:
        DetectorError: no such outputs.
    """
    raw = _boxes(outputs, names)
    boxes = raw.reshape(-1, 4).astype(np.float32)
    others = [one for one in outputs if one is not raw]
    table = [one for one in others if one.ndim == raw.ndim and one.shape[:-1] == raw.shape[:-1]]
    if table:
        return SsdParts(boxes, table[0].reshape(-1, table[0].shape[-1]).astype(np.float32), None)
    flat = [one for one in others if one.shape == raw.shape[:-1]]
    scores, labels = _scores_and_labels(outputs, flat, names)
    return SsdParts(boxes, scores.reshape(-1).astype(np.float32), None if labels is None else labels.reshape(-1))


def decode_ssd(outputs: Arrays, reading: Reading) -> Candidates:
    """Boxes (1, N, 4) xyxy, in 0..1 or input pixels, with scores (1, N, C), or scores (1, N) and perhaps labels (1, N).

    Raises:
        DetectorError: no such outputs.
    """
    boxes, scores, labels = ssd_parts(outputs, reading.names)
    boxes = _in_pixels(boxes, reading.input_size)
    if scores.ndim == 2:
        return Candidates(boxes, _column(scores, reading))
    persons = slice(None) if labels is None else labels == reading.person_class
    return Candidates(boxes[persons], scores[persons])


def decode_tensorflow(outputs: Arrays, reading: Reading) -> Candidates:
    """TensorFlow's Object Detection API: outputs told by their names, boxes (1, N, 4) as y1, x1, y2, x2 in 0..1.

    Source: `object_detection/exporter.py` of TensorFlow Models, by which the Model Zoo's files were made.

    Raises:
        DetectorError: no outputs of these names.
    """
    named = tensorflow_outputs(outputs, reading.names)
    if missing := [name for name in TENSORFLOW if name not in named]:
        raise DetectorError(f"no output named {' or '.join(missing)}, expected {', '.join(TENSORFLOW)}")
    boxes, scores, classes = (named[name] for name in TENSORFLOW)
    persons = np.rint(classes.reshape(-1)) == reading.person_class
    xyxy = boxes.reshape(-1, 4)[:, (1, 0, 3, 2)].astype(np.float32)
    return Candidates(_in_pixels(xyxy, reading.input_size)[persons], scores.reshape(-1).astype(np.float32)[persons])


def tensorflow_outputs(outputs: Arrays, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Outputs by the names that TensorFlow gives them; converters append ":0"."""
    return {name.partition(":")[0]: one for name, one in zip(names, outputs, strict=False)}


def decode_detection_output(outputs: Arrays, reading: Reading) -> Candidates:
    """OpenVINO's and Caffe's DetectionOutput (1, 1, N, 7): picture, class, score, xyxy in 0..1; picture -1 ends it."""
    rows = outputs[0].reshape(-1, 7).astype(np.float32)
    ends = np.flatnonzero(rows[:, 0] < 0)
    rows = rows[: ends[0]] if len(ends) else rows
    persons = rows[np.rint(rows[:, 1]) == reading.person_class]
    height, width = reading.input_size
    return Candidates(persons[:, 3:] * np.array((width, height, width, height), np.float32), persons[:, 2])


def grid(input_size: tuple[int, int], strides: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cells (A, 2) x, y and their strides (A, 1), float32, row by row, the finest stride first."""
    cells, sizes = [], []
    for stride in strides:
        rows, columns = input_size[0] // stride, input_size[1] // stride
        ys, xs = np.mgrid[:rows, :columns]
        cells.append(np.stack((xs, ys), axis=-1).reshape(-1, 2))
        sizes.append(np.full((rows * columns, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(sizes).astype(np.float32)


def rows_of(outputs: Arrays) -> NDArray[np.float32]:
    """The output (1, A, B) as (A, B) float32: the first of three dimensions, since some exports add raw maps of five.

    Raises:
        DetectorError: there is none.
    """
    for output in outputs:
        if output.ndim == 3 and output.shape[0] == 1:
            rows: NDArray[np.float32] = output[0].astype(np.float32)
            return rows
    raise DetectorError(f"outputs of shapes {[one.shape for one in outputs]}, expected one of (1, A, B)")


def _edges(centers: NDArray[np.float32], sizes: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate((centers - sizes / 2, centers + sizes / 2), axis=1)


def _objectness_times_class(rows: NDArray[np.float32], reading: Reading) -> NDArray[np.float32]:
    scores: NDArray[np.float32] = rows[:, 4] * _column(rows[:, 5:], reading)
    return scores


def _column(scores: NDArray[np.float32], reading: Reading) -> NDArray[np.float32]:
    """The person's column of class scores (A, C)."""
    classes = min(reading.classes or scores.shape[1], scores.shape[1])
    if not 0 <= reading.person_class < classes:
        raise DetectorError(
            f"person_class {reading.person_class}, but the model has {classes} classes, 0 the first; say another "
            "person_class= (--person-class)"
        )
    return scores[:, reading.person_class]


def _in_pixels(boxes: NDArray[np.float32], input_size: tuple[int, int]) -> NDArray[np.float32]:
    # of what has an extent, without the rows of 0 or -1 that pad a fixed number; by the median, since one faint anchor
    # may reach beyond the picture
    reach = np.abs(boxes[(boxes[:, 2:] > boxes[:, :2]).all(1) & np.isfinite(boxes).all(1)]).max(axis=1, initial=0)
    if not reach.size or np.median(reach) > NORMALISED_LIMIT:
        return boxes
    height, width = input_size
    scaled: NDArray[np.float32] = boxes * np.array((width, height, width, height), np.float32)
    return scaled


def _scores_and_labels(outputs: Arrays, flat: Arrays, names: Sequence[str]) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Which of the outputs (1, N) are scores and which labels: those of whole numbers, or called so."""
    named = {id(one): name.lower() for one, name in zip(outputs, names, strict=False)}
    is_label = [one.dtype.kind in "iu" or _LABELS.search(named.get(id(one), "")) is not None for one in flat]
    scores = [one for one, label in zip(flat, is_label, strict=True) if not label]
    labels = [one for one, label in zip(flat, is_label, strict=True) if label]
    if len(scores) != 1 or len(labels) > 1:
        raise DetectorError(
            f"boxes (1, N, 4) with {len(scores)} outputs that may be scores and {len(labels)} that may be labels, "
            "expected one of scores (1, N) or (1, N, C), and at most one of labels"
        )
    return scores[0], labels[0] if labels else None


def _boxes(outputs: Arrays, names: Sequence[str]) -> NDArray[Any]:
    """The output (1, N, 4) of boxes; where the scores are of four classes, the one whose name says so."""
    first = _only(outputs, lambda shape: len(shape) >= 2 and shape[-1] == 4, "boxes of shape (1, N, 4)")
    alike = [one for one in outputs if one.ndim == first.ndim and one.shape[-1] == 4]
    may_be_scores = [one for one in outputs if one.ndim >= 2 and all(one is not other for other in alike)]
    if len(alike) == 1 or may_be_scores:
        return first
    named = {id(one): name.lower() for one, name in zip(outputs, names, strict=False)}
    called = [one for one in alike if _BOXES.search(named.get(id(one), ""))]
    others = [one for one in alike if not _SCORES.search(named.get(id(one), ""))]
    told = called if len(called) == 1 else others
    if len(told) != 1:
        raise DetectorError(
            f"{len(alike)} outputs of shape {first.shape}, of which one may be boxes and one scores of four classes, "
            'and no name that tells them apart; name one of them "boxes" in the file'
        )
    return told[0]


def _only(outputs: Arrays, fits: Any, expected: str) -> NDArray[Any]:
    """The output that fits; of several the one of most dimensions: of four boxes the scores (1, 4) end in 4 as well."""
    fitting = [output for output in outputs if fits(output.shape)]
    if fitting:
        return max(fitting, key=lambda output: output.ndim)
    raise DetectorError(f"outputs of shapes {[one.shape for one in outputs]}, expected {expected}")
