"""PoseEstimator: a model file, frames and boxes in, poses out."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import pairwise
from types import TracebackType, UnionType
from typing import Any, NoReturn, Self, get_args

import numpy as np
from numpy.typing import NDArray

from danet.backends.base import Backend
from danet.batching import BatchedModel
from danet.crop import crop_affines, crop_persons, to_frame
from danet.decode import average_flipped, decode
from danet.errors import BackendError, InputError
from danet.forked import keep_in_children
from danet.frame import BoxFormat, as_bgr, as_boxes, outside
from danet.frames import FrameAndBoxes, frame_and_boxes, iterated, kept
from danet.in_flight import in_flight
from danet.model_spec import ModelSpec, Precision, Refinement, checked_padding
from danet.opencv_threads import set_opencv_threads
from danet.opened_model import OpenedModel, effective_spec, model_path, open_model
from danet.poses import Poses
from danet.shares import Work
from danet.tuning.saved import NOT_LOOKED_FOR, FoundTuning, find_tuning
from danet.tuning.settings import Settings
from danet.tuning.situation import backend_of

LOOKAHEAD = 2
"""Frames that `stream` works on at once: one is in the network while another is cropped or decoded.
Each stream beyond the first is one frame more."""

BATCHES_AT_HAND = 8
"""Full batches whose crops and heatmaps are in memory at once, so that a crowd takes time and not gigabytes."""


class PoseEstimator:
    """Runs a pose model on the persons of a frame.

    Args:
        model: a file (.xml, .onnx, .tflite, a checkpoint with torch installed) or the name of an embedded
            model ("danet72").
        spec: how to feed the model and read its output; overrides the spec in the file, but for the
            normalisation of exported files, which is in their graph.
        decoder: how the spec's decoder refines locations, "offset" or "dark"; as the spec says if not given.
        box_padding: the crop's sides as multiples of the box's, before the box is brought to the input's aspect; as the
            spec says if not given.
        backend: "openvino", "onnxruntime", "tflite", "torch", "null", or an object with `run` and `close`
            (then `spec` is needed, and `model` is only its name); chosen by the file's suffix if
            not given.
        device: passed to OpenVINO.
        precision: arithmetic for what the file keeps in float: "fp32" (default), "bf16", "fp16".
        threads: cores to use, for the backend and OpenCV together; all that the process may use if
            not given. OpenCV's thread count is one for the whole process.
        batch_size: most persons to a network call; fewer where a call's persons are split (`Settings.shares`).
        flip_test: also run the mirrored crops and average, as in the paper's tests; half the speed.
        box_format: what the four numbers of a box are: "xyxy", "xywh" or "cxcywh".
        settings: precision, threads, batch sizes, shares and streams together; those that `danet tune --save`
            kept for this model on this machine if not given, else the defaults. `Settings()`: the
            defaults in any case. The arguments above go before both.

    Safe to call from several threads; a context manager. Of the process that made it: a forked child makes its own
    (docs/concurrency.md).

    Raises:
        ModelFileError: the file is missing, damaged, or of an unknown kind.
        ModelSpecError: the file carries no spec and none was given.
        BackendError: the backend refuses an option.
        MissingExtraError: the backend's library is not installed.
        InputError: an argument is out of its range.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        spec: ModelSpec | None = None,
        decoder: Refinement | None = None,
        box_padding: float | None = None,
        backend: str | Backend | None = None,
        device: str = "CPU",
        precision: Precision | None = None,
        threads: int | None = None,
        batch_size: int | None = None,
        flip_test: bool = False,
        box_format: BoxFormat = "xyxy",
        settings: Settings | None = None,
    ) -> None:
        if box_format not in get_args(BoxFormat):
            raise InputError(f"box_format {box_format!r}, expected one of {', '.join(get_args(BoxFormat))}")
        if decoder is not None and decoder not in get_args(Refinement):
            raise InputError(f"decoder {decoder!r}, expected one of {', '.join(get_args(Refinement))}")
        _expect_type("model", model, str | os.PathLike)
        _expect_type("spec", spec, ModelSpec | None)
        _expect_type("device", device, str)
        _expect_type("settings", settings, Settings | None)
        if box_padding is not None:
            box_padding = checked_padding(box_padding)
        self.tuning = NOT_LOOKED_FOR if settings else _find_tuning(model, backend, device)
        """What `danet tune --save` kept for this model, or why that is not used."""
        kept = (self.tuning.settings or Settings()).with_threads(threads)
        try:
            asked = (settings or kept).overridden(precision, threads, batch_size)
            opened = open_model(model, backend, device, asked, spec)
        except BackendError as error:
            if self.tuning.settings is None:
                raise
            # a tuning may only make things faster: where it no longer works it must not stop the app
            self.tuning = replace(self.tuning, note=f"{self.tuning.path} is not used: {error}", tuning=None)
            opened = open_model(model, backend, device, Settings().overridden(precision, threads, batch_size), spec)
        self.file_spec = opened.loaded.spec
        """What the file states, `decoder` and `box_padding` left out; None where it states nothing."""
        try:
            self.spec = effective_spec(spec, opened.loaded, model).decoded_by(decoder).padded_by(box_padding)
        except BaseException:
            if backend is None or isinstance(backend, str):  # not the caller's own
                opened.close()
            raise
        self.precision = opened.loaded.precision
        """The arithmetic that is really used, for people to read."""
        self.settings = opened.settings
        """Those that are really used."""
        self.flip_test = flip_test
        self.box_format: BoxFormat = box_format
        self._opened: OpenedModel | None = opened
        self._process = os.getpid()
        keep_in_children(self)
        if self.settings.threads is not None:
            set_opencv_threads(self.settings.threads)

    def infer(self, frame: Any, boxes: Any = None) -> Poses:
        """The poses of the persons in one frame.

        Args:
            frame: (H, W, 3) uint8 BGR; also BGRA, grey, any memory layout.
            boxes: (N, 4) in `box_format`, frame pixels; None: the whole frame is one person; empty:
                empty Poses, without running the model. Parts of a box outside the frame are filled
                with the mean colour; a person wholly outside has scores of 0.

        Raises:
            InputError: a frame or boxes that cannot be used; says which and why.
            BackendError: the model failed to run, the estimator is closed, or another process made it.
        """
        return self.infer_batch([(frame, boxes)])[0]

    def infer_batch(self, frames: Iterable[FrameAndBoxes]) -> list[Poses]:
        """The poses of several frames, given as (frame, boxes); their persons share network batches. See `infer`.

        All frames are taken before the first is worked on: each is an array of its own, no buffer that is used again.
        """
        given = iterated(frames)
        with in_flight():
            return self._infer([frame_and_boxes(one) for one in given], self._still_open().do)

    def _infer(self, frames: Sequence[FrameAndBoxes], do: Callable[[int, Work], None]) -> list[Poses]:
        pictures = [as_bgr(frame) for frame, _ in frames]
        boxes = [
            as_boxes(raw, self.box_format, picture.shape[:2])
            for picture, (_, raw) in zip(pictures, frames, strict=True)
        ]
        affines = [crop_affines(one, self.spec) for one in boxes]
        ends = np.cumsum([0, *map(len, boxes)]).tolist()
        points = np.empty((ends[-1], len(self.spec.keypoints), 2), np.float32)
        scores = np.empty(points.shape[:2], np.float32)

        def work(persons: slice, model: BatchedModel) -> None:
            most = BATCHES_AT_HAND * model.sizes[-1]
            for start in range(persons.start, persons.stop, most):
                some(slice(start, min(start + most, persons.stop)), model)

        def some(persons: slice, model: BatchedModel) -> None:
            crops = np.empty((persons.stop - persons.start, *self.spec.input_size, 3), np.uint8)
            for picture, affine, first in zip(pictures, affines, ends[:-1], strict=True):
                here = slice(max(persons.start - first, 0), max(persons.stop - first, 0))
                at = max(first - persons.start, 0)
                crop_persons(picture, affine[here], self.spec, out=crops[at : at + len(affine[here])])
            points[persons], scores[persons] = decode(self._heatmaps(crops, model), self.spec)

        do(ends[-1], work)
        return [
            self._poses(picture, box, to_frame(points[start:end], affine), scores[start:end])
            for picture, box, affine, (start, end) in zip(pictures, boxes, affines, pairwise(ends), strict=True)
        ]

    def _poses(
        self,
        picture: NDArray[np.uint8],
        boxes: NDArray[np.float64],
        keypoints: NDArray[np.float64],
        scores: NDArray[np.float32],
    ) -> Poses:
        unseen = outside(boxes, picture.shape[:2])
        return Poses(
            keypoints=keypoints.astype(np.float32),
            scores=np.where(unseen[:, None], np.float32(0), scores),
            boxes=boxes.astype(np.float32),
            names=self.spec.keypoints,
            skeleton=self.spec.skeleton,
        )

    def warm_up(self) -> None:
        """Run each batch size once, so that no later call pays for it.

        Backends plan a batch size, OpenVINO compiles it, when the first call needs it: a call with a number of persons
        that was not there before then takes a second or more. A camera app, or a server that puts a new model in the
        place of an old one, calls this first.

        Raises:
            BackendError: the model failed to run, gave another shape, or the estimator is closed.
        """
        with in_flight():
            opened = self._still_open()
            try:
                self._run_once(opened)
            except BackendError:
                if opened.shares.opened_model() is None:  # nothing is split, or closed meanwhile
                    raise
                opened.shares.close()  # as a call does whose shares fail
                self._run_once(opened)
            opened.shares.prove()

    def _run_once(self, opened: OpenedModel) -> None:
        for model, size in opened.plans():
            model.run(np.zeros((size, *self.spec.input_size, 3), np.uint8), self._heatmap_shape)

    def heatmaps(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Heatmaps (N, K, h, w) float32 of crops (N, H, W, 3) uint8 BGR, flip-averaged if set.

        Raises:
            InputError: crops of another dtype or size.
            BackendError: the model failed to run, gave another shape, or the estimator is closed.
        """
        crops = self._checked(crops)
        heatmaps = np.empty((len(crops), *self._heatmap_shape), np.float32)

        def work(persons: slice, model: BatchedModel) -> None:
            heatmaps[persons] = self._heatmaps(crops[persons], model)

        with in_flight():
            self._still_open().do(len(crops), work)
        return heatmaps

    def _checked(self, crops: Any) -> NDArray[np.uint8]:
        found = np.asarray(crops)
        expected = (*self.spec.input_size, 3)
        if found.dtype != np.uint8 or found.shape[1:] != expected:
            raise InputError(
                f"crops of shape {found.shape} and dtype {found.dtype}, expected (N, {', '.join(map(str, expected))}) "
                "and uint8; infer cuts them out of a frame"
            )
        return found

    def _heatmaps(self, crops: NDArray[np.uint8], model: BatchedModel) -> NDArray[np.float32]:
        shape = self._heatmap_shape
        heatmaps = model.run(crops, shape)
        if not self.flip_test:
            return heatmaps
        return average_flipped(heatmaps, model.run(np.ascontiguousarray(crops[:, :, ::-1]), shape), self.spec)

    @property
    def _heatmap_shape(self) -> tuple[int, int, int]:
        return (len(self.spec.keypoints), *self.spec.heatmap_size)

    def _still_open(self) -> OpenedModel:
        opened = self._opened
        if self._process != os.getpid():
            raise BackendError(
                f"this estimator was made in process {self._process} and process {os.getpid()} was forked off since, "
                "without the threads that run the model; make the estimator in the child, or start it by 'spawn'"
            )
        if opened is None:
            raise BackendError("this estimator is closed; make a new one")
        return opened

    def stream(self, frames: Iterable[FrameAndBoxes]) -> Iterator[Poses]:
        """The poses of frames from an iterable of (frame, boxes), in order.

        Crops, network and decoding of neighbouring frames overlap. At most `LOOKAHEAD` frames, and one
        for each further stream, are read ahead, so a live source is not queued. An error of a frame, or
        of the iterable itself, is raised in its turn: after the poses of the frames before it. Frames and boxes are
        copied: the iterable may use its buffers and lists again for the next frame.

        So the poses of a frame are given when the frames ahead have come, of a camera one frame late; an iterable whose
        next frame waits for these poses never ends waiting. Use `infer` there, or `PosePipeline` for a camera.

        Raises:
            InputError: `frames` is no iterable; others in their turn.
        """
        return self._streamed(iterated(frames))

    def _streamed(self, source: Iterator[FrameAndBoxes]) -> Iterator[Poses]:
        failure: Exception | None = None
        pending: deque[Future[Poses]] = deque()
        at_once = LOOKAHEAD - 1 + self.settings.streams
        with ThreadPoolExecutor(at_once, thread_name_prefix="danet-stream") as pool:
            try:
                while True:
                    try:
                        frame, boxes = frame_and_boxes(next(source))
                    except StopIteration:
                        break
                    except Exception as error:
                        failure = error
                        break
                    work = partial(self._infer_streamed, kept(frame), kept(boxes))
                    try:
                        pending.append(pool.submit(work))
                    except RuntimeError:  # no thread may be started any more: the program ends, or the system has none
                        pending.append(_done(work))
                    if len(pending) == at_once:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()
        if failure is not None:
            raise failure

    def _infer_streamed(self, frame: Any, boxes: Any) -> Poses:
        with in_flight():
            return self._infer([(frame, boxes)], self._still_open().do_streamed)[0]

    def close(self) -> None:
        """Free the model. Later calls raise BackendError; closing twice does no harm.

        Calls in progress in other threads end as they would have, or raise BackendError. In a forked child nothing
        is freed.
        """
        opened, self._opened = self._opened, None
        if opened is not None and self._process == os.getpid():
            opened.close()

    def __reduce__(self) -> NoReturn:
        """Pickled, say for another process, a model would arrive without what runs it.

        Raises:
            BackendError: always.
        """
        raise BackendError("a PoseEstimator cannot be copied or sent to another process; make one there")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _expect_type(name: str, value: object, kind: type | UnionType) -> None:
    """Raises InputError, which names the argument."""
    if not isinstance(value, kind):
        expected = kind.__name__ if isinstance(kind, type) else str(kind)
        raise InputError(f"{name} of type {type(value).__name__}, expected {expected}")


def _done(work: Callable[[], Poses]) -> Future[Poses]:
    """What a pool gives, of work that was done here."""
    future: Future[Poses] = Future()
    try:
        future.set_result(work())
    except Exception as error:  # raised in its turn
        future.set_exception(error)
    return future


def _find_tuning(model: str | os.PathLike[str], backend: str | Backend | None, device: str) -> FoundTuning:
    """What is kept for a model; tunings are measured on the CPU and in a backend of danet only."""
    if device.upper() != "CPU" or not (backend is None or isinstance(backend, str)):
        return NOT_LOOKED_FOR
    path = model_path(model, backend)
    name = backend_of(path, backend)
    return NOT_LOOKED_FOR if name is None else find_tuning(path, name)
