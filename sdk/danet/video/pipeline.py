"""From a source of frames to tracked poses: a generator that an app loops over."""

from __future__ import annotations

import time
import weakref
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import numpy as np

from danet.detectors.base import DetectFunction, Detections, Detector, as_detector, checked
from danet.errors import DanetError, DetectorError, InputError, SourceError
from danet.estimator import PoseEstimator
from danet.frame import as_bgr
from danet.tracking.tracker import Tracker
from danet.video.frame import Frame, Source
from danet.video.opening import OWN_SOURCES, open_source
from danet.video.read_ahead import read_ahead
from danet.video.result import FramePoses
from danet.video.stats import Meter, Stats

ENDING_S = 1.0
"""How long the end of an asyncio iteration waits for a frame that is worked on."""


class PosePipeline:
    """Runs a source's frames through detector, tracker and estimator.

        with PosePipeline(0, PoseEstimator("danet72"), HogDetector(), Tracker()) as pipeline:
            for result in pipeline:
                show(result.draw())

    `async for` works as well. Nothing is queued beyond two frames of a file; a live source drops what comes while
    a frame is worked on.

    Args:
        source: a video file, camera index, address, folder of pictures, an iterable of pictures
            (see `danet.video.opening.open_source`), or an object of your own like `danet.video.frame.Source`. The
            pipeline closes it at the end: open it again for another pipeline.
        estimator: of the poses; it stays yours to close.
        detector: of the persons: an object with `detect(frame)`, or a callable frame -> boxes (N, 4) xyxy. None:
            each whole frame is one person.
        tracker: follows persons, so that the detector runs now and then only. None: the detector runs on each
            frame, and poses have no ids.

    Raises:
        SourceError: the source cannot be opened, or an earlier pipeline has closed it.
        InputError: a tracker without a detector, or an estimator, detector or tracker that is none.
    """

    def __init__(
        self,
        source: Any,
        estimator: PoseEstimator,
        detector: Detector | DetectFunction | None = None,
        tracker: Tracker | None = None,
    ) -> None:
        if tracker is not None and detector is None:
            raise InputError("a tracker without a detector has nobody to follow; pass detector=")
        if isinstance(estimator, type) or not callable(getattr(estimator, "infer", None)):
            raise InputError(f"estimator {estimator!r:.60}, expected a PoseEstimator, as PoseEstimator('danet72')")
        if tracker is not None and (isinstance(tracker, type) or not callable(getattr(tracker, "update", None))):
            raise InputError(f"tracker {tracker!r:.60}, expected a Tracker, as Tracker()")
        self.estimator = estimator
        self.detector = None if detector is None else as_detector(detector)
        self.tracker = tracker
        self.source: Source = open_source(source)
        if isinstance(self.source, OWN_SOURCES) and self.source.closed:
            raise SourceError(f"{self.source.name}: this source is closed; open it again for another pipeline")
        self._meter = Meter()
        self._stopped = False
        self._started = False
        self._running: weakref.ref[Generator[FramePoses]] | None = None

    def __iter__(self) -> Iterator[FramePoses]:
        """The frames with their poses, in order, until the source ends or `stop`. A pipeline runs once.

        Raises:
            SourceError: the source failed; raised after the poses of the frames before.
            DetectorError: the detector raised, or gave what are no boxes; names the frame.
            InputError: a frame that is no picture, or the pipeline has run already.
            BackendError: the network failed to run.
        """
        running = self._running() if self._running is not None else None
        if running is not None:
            return running
        if self._started:
            raise InputError(f"{self.source.name}: this pipeline has run already; make a new one")
        self._started = True
        results = self._run()
        # by a weak reference: whoever leaves the loop frees the source at once, even without `close`
        self._running = weakref.ref(results)
        return results

    def _run(self) -> Generator[FramePoses]:
        self._meter = Meter()
        frames = iter(self.source) if self.source.live else read_ahead(self.source, lambda: self._stopped)
        try:
            for frame in frames:
                if self._stopped:
                    break
                result = self._one(frame)
                if self._stopped:  # while it was worked on, and whoever waited for it may be gone
                    break
                yield result
                if self._stopped:
                    break
        finally:
            close = getattr(frames, "close", None)
            if close is not None:
                close()
            self.source.close()

    def _one(self, taken: Frame) -> FramePoses:
        start = time.perf_counter()
        try:
            frame = replace(taken, image=as_bgr(taken.image))
        except InputError as error:
            raise InputError(f"frame {taken.index}: {error}") from error
        size = (frame.image.shape[0], frame.image.shape[1])
        due = self.detector is not None and (self.tracker is None or self.tracker.detection_due_at(frame.time_s))
        found = self._detect(frame) if due else None
        before = time.perf_counter()
        if self.tracker is not None:
            boxes = self.tracker.boxes(size, frame.time_s, found)
            poses = self.tracker.update(self.estimator.infer(frame.image, self._as_given(boxes)))
        else:
            poses = self.estimator.infer(frame.image, None if found is None else self._as_given(found.boxes))
        now = time.perf_counter()
        self._meter.done(len(poses), now - before, now - start)
        return FramePoses(frame, poses, due, now - start)

    def _detect(self, frame: Frame) -> Detections:
        assert self.detector is not None
        start = time.perf_counter()
        try:
            found = checked(self.detector.detect(frame.image), (frame.image.shape[0], frame.image.shape[1]))
        except DanetError as error:
            raise DetectorError(f"frame {frame.index}: {error}") from error
        except Exception as error:  # a detector of the user's own may raise anything
            raise DetectorError(f"frame {frame.index}: the detector raised {type(error).__name__}: {error}") from error
        self._meter.detected(time.perf_counter() - start)
        return found

    def _as_given(self, boxes: Any) -> Any:
        """Boxes (N, 4) xyxy in the format that the estimator was told to expect."""
        edges = np.asarray(boxes, np.float64).reshape(-1, 4)
        sides = edges[:, 2:] - edges[:, :2]
        if self.estimator.box_format == "xywh":
            return np.concatenate((edges[:, :2], sides), axis=1)
        if self.estimator.box_format == "cxcywh":
            return np.concatenate((edges[:, :2] + sides / 2, sides), axis=1)
        return edges

    async def __aiter__(self) -> AsyncIterator[FramePoses]:
        """The same for asyncio: each frame is worked on in a thread of this pipeline, the event loop goes on meanwhile.

        At its end, also by `break` or a cancelled task, the source is stopped at once, and the frame that is worked on
        is waited for, `ENDING_S` at most.
        """
        import asyncio  # `import danet` stays quick

        results = iter(self)
        # not the event loop's own threads, which cameras without frames would keep from everybody else; two, so that
        # the end has not to wait behind such a camera
        threads = ThreadPoolExecutor(2, thread_name_prefix="danet-pipeline")
        taken: Future[FramePoses | None] | None = None

        def take() -> FramePoses | None:
            return next(results, None)

        try:
            while True:
                taken = threads.submit(copy_context().run, take)  # as asyncio.to_thread does
                if (result := await asyncio.wrap_future(taken)) is None:
                    break
                yield result
        finally:
            ending = threads.submit(self._end, taken)
            threads.shutdown(wait=False)  # no thread stays once these two calls are done
            # a source that hangs must not stop the event loop
            await asyncio.shield(asyncio.wrap_future(ending))

    def _end(self, taken: Future[FramePoses | None] | None) -> None:
        self.stop()
        if taken is not None:
            wait((taken,), ENDING_S)  # else `close` would find its generator running, and leave it
        self.close()

    def stop(self) -> None:
        """End the iteration; a frame that is worked on is not given any more. From any thread."""
        self._stopped = True
        self.source.close()

    @property
    def stats(self) -> Stats:
        """Rates, latencies and counts so far."""
        return self._meter.stats(self.source.dropped)

    def close(self) -> None:
        """Stop and free the source and this pipeline's threads. Closing twice does no harm."""
        self.stop()
        results = self._running() if self._running is not None else None
        if results is not None:
            with suppress(ValueError):  # it is running in another thread, and ends there
                results.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
