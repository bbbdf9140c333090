"""OnnxDetector: a person detector of the usual exports, in ONNX Runtime or OpenVINO."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from danet.detectors.base import Detections
from danet.detectors.letterbox import Fit, fitted
from danet.detectors.metadata import stated_facts
from danet.detectors.network import Network, open_network
from danet.detectors.picture_input import PictureInput, picture_input
from danet.detectors.preprocessing import Color, Triple, for_input
from danet.detectors.recognition import Probe, as_reading, find_head, recognised_head
from danet.detectors.suppression import Limits, best_boxes, in_frame, refuse_logits
from danet.errors import DetectorError
from danet.frame import as_bgr

DEFAULT_NMS_THRESHOLD = 0.5
"""IoU, for exports without NMS of their own."""


class OnnxDetector:
    """Finds persons by a detector file: YOLOX, YOLOv5 to 26, RTMDet, SSD and their like.

    What the export expects and what its outputs mean is recognised from the file's metadata and from
    what it gives for a grey picture, which is run once here; every part may be told instead.

    Args:
        model: .onnx, or an OpenVINO IR's .xml.
        head: the kind of export, one of `danet.detectors.recognition.HEADS`: "yolox", "yolox-decoded",
            "yolox-nms", "yolov5", "yolov8", "end-to-end", "rtmdet", "ssd", "tensorflow",
            "detection-output".
        backend: "onnxruntime" or "openvino"; ONNX Runtime if installed, else OpenVINO, which reads ONNX too.
        threads: cores to use; all if None.
        score_threshold: lowest score of a person. 0.4: see docs/detectors.md.
        nms_threshold: IoU above which the lesser of two boxes is dropped; 0.5 if None, but no NMS for
            exports that have it inside.
        person_class: index of the person class; by the file's class names if None, else 0; 1 where 0 is the background
            (SSD and TensorFlow, but for those of docs/detectors.md).
        max_detections: most persons to a frame.
        input_size: side, or (height, width), of a dynamic input.
        color: "BGR" or "RGB", the network's colour order.
        fit: "corner" or "centre" (letterbox, padded with grey 114 at the right and bottom or on all sides),
            or "stretch".
        scale: the network gets (pixel * scale - mean) / std of pixels 0..255.
        mean: three numbers in the network's colour order.
        std: three numbers in the network's colour order.

    Safe to call from several threads. Of the process that made it: a forked child makes its own
    (docs/concurrency.md).

    Raises:
        DetectorError: no such file, damaged, no detector, or not recognised.
        InputError: an argument is out of its range.
        MissingExtraError: the backend that was asked for is not installed.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        head: str | None = None,
        backend: str | None = None,
        threads: int | None = None,
        score_threshold: float = 0.4,
        nms_threshold: float | None = None,
        person_class: int | None = None,
        max_detections: int = 100,
        input_size: int | tuple[int, int] | None = None,
        color: Color | None = None,
        fit: Fit | None = None,
        scale: float | None = None,
        mean: Triple | None = None,
        std: Triple | None = None,
    ) -> None:
        told = find_head(head)
        limits = Limits(score_threshold, nms_threshold, max_detections)
        self._path = Path(model)
        self._network = open_network(self._path, backend, threads)
        with self._errors_named():
            self._input, probe = _probed(self._network, input_size, self._path.stem)
            found = told or recognised_head(probe)
            self._reading = as_reading(probe, found, person_class)
            self._decode = found.read
            self._decode(probe.outputs, self._reading)  # a head that was told wrongly says so here
        self.head = found.name
        """The kind of export."""
        self.preprocessing = for_input(
            found.preprocessing,
            self._input.dtype,
            {"color": color, "fit": fit, "scale": scale, "mean": mean, "std": std},
        )
        """What the network is given."""
        done = found.suppressed or nms_threshold is not None
        self.limits = limits if done else replace(limits, nms_threshold=DEFAULT_NMS_THRESHOLD)

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the network's input, pixels."""
        return self._input.size

    @property
    def person_class(self) -> int:
        """Index of the class that counts."""
        return self._reading.person_class

    def detect(self, frame: Any) -> Detections:
        """The persons in a frame (H, W, 3) uint8 BGR; also BGRA and grey.

        Raises:
            InputError: a frame that cannot be used.
            DetectorError: the network failed, gave what its head does not, or another process made the detector.
        """
        picture = as_bgr(frame)
        size = (picture.shape[0], picture.shape[1])
        letterbox = fitted(size, self._input.size, self.preprocessing.fit)
        blob = self.preprocessing.blob(letterbox.apply(picture), self._input.dtype, self._input.channels_last)
        with self._errors_named():
            boxes, scores = self._decode(self._network.run(blob), self._reading)
            refuse_logits(scores)
        kept = best_boxes(boxes, scores, self.limits)
        return in_frame(letterbox.to_frame(boxes[kept]), scores[kept], size, self.limits.max_detections)

    @contextlib.contextmanager
    def _errors_named(self) -> Iterator[None]:
        """Puts the file's name before errors of functions that do not know it."""
        try:
            yield
        except DetectorError as error:
            raise DetectorError(f"{self._path}: {error}") from error


def _probed(network: Network, input_size: int | tuple[int, int] | None, stem: str) -> tuple[PictureInput, Probe]:
    """The network's input, and what it gives for a grey picture: its true shapes, however dynamic they are declared."""
    stated = stated_facts(network.facts.metadata)
    given = picture_input(network.facts, input_size, stated)
    names = tuple(one.name for one in network.facts.outputs)
    return given, Probe(network.run(given.grey()), names, given.size, stated, stem)
