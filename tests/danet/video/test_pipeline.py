from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from danet.errors import DetectorError, InputError, SourceError
from danet.estimator import PoseEstimator
from danet.frame import BoxFormat
from danet.scenes.clip import Clip, render_clip
from danet.tracking.tracker import Tracker
from danet.video.frame import Frame
from danet.video.opening import open_source
from danet.video.pipeline import PosePipeline
from danet.video.result import FramePoses
from danet.video.video_writer import VideoWriter

BOX = [[10.0, 5.0, 50.0, 60.0]]


@pytest.fixture(scope="module")
def nothing() -> Iterator[PoseEstimator]:
    """An estimator that finds nothing, quickly."""
    with PoseEstimator("null", backend="null") as estimator:
        yield estimator


def pictures(count: int, size: tuple[int, int] = (64, 80)) -> list[Any]:
    return [np.full((*size, 3), index, np.uint8) for index in range(count)]


def reading_threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith(("danet-read-ahead", "danet-capture"))]


def indices_into(seen: list[int], pipeline: PosePipeline) -> None:
    for result in pipeline:
        seen.append(result.frame.index)


def test_frames_in_order_with_their_boxes(nothing: PoseEstimator) -> None:
    with PosePipeline(pictures(7), nothing, lambda frame: BOX * (int(frame[0, 0, 0]) % 3)) as pipeline:
        results = list(pipeline)
    assert [int(one.frame.image[0, 0, 0]) for one in results] == list(range(7))
    assert [len(one.poses) for one in results] == [0, 1, 2, 0, 1, 2, 0]
    assert all(one.detected and one.poses.ids is None and one.latency_s > 0 for one in results)
    stats = pipeline.stats
    assert (stats.frames, stats.detections, stats.persons, stats.dropped) == (7, 7, 6, 0)
    assert stats.fps > 0
    assert stats.latency_p95_ms >= stats.latency_p50_ms > 0
    assert not reading_threads()


def test_without_a_detector_the_whole_frame_is_one_person(nothing: PoseEstimator) -> None:
    with PosePipeline(pictures(2), nothing) as pipeline:
        results = list(pipeline)
    np.testing.assert_array_equal(results[0].poses.boxes, [[0, 0, 80, 64]])
    assert not results[0].detected


@pytest.mark.parametrize("box_format", ["xyxy", "xywh", "cxcywh"])
def test_detectors_speak_xyxy_whatever_the_estimator_is_told(box_format: BoxFormat) -> None:
    with PoseEstimator("null", backend="null", box_format=box_format) as estimator:
        result = next(iter(PosePipeline(pictures(1), estimator, lambda frame: BOX)))
    np.testing.assert_allclose(result.poses.boxes, BOX)


def followed(clip: Clip, estimator: PoseEstimator) -> list[FramePoses]:
    truth = {frame.index: frame.scene.boxes for frame in clip}
    counter = iter(range(10_000))
    tracker = Tracker()

    def detect(frame: Any) -> Any:
        return truth[next(counter) * tracker.settings.detect_every]

    with PosePipeline(clip, estimator, detect, tracker) as pipeline:
        return list(pipeline)


def test_persons_of_a_clip_keep_their_ids() -> None:
    clip = render_clip(3, size=(360, 640), persons=2, seconds=1.2, fps=12.5, script="squat")
    with PoseEstimator("danet72", threads=1) as estimator:
        results = followed(clip, estimator)
    ids = [one.poses.ids.tolist() for one in results if one.poses.ids is not None]
    assert len(ids) == len(results) == 15
    assert ids[1:] == [[1, 2]] * 14
    assert [one.detected for one in results] == [index % 10 == 0 for index in range(15)]
    dicts = [one.to_dict() for one in results]
    assert [one["id"] for one in dicts[5]["persons"]] == [1, 2]
    assert (dicts[5]["frame"], dicts[5]["time_s"], dicts[5]["width"]) == (5, 0.4, 640)
    drawn = results[5].draw(boxes=True)
    assert drawn.shape == results[5].frame.image.shape
    assert (drawn != results[5].frame.image).any()


def test_a_tracker_needs_a_detector(nothing: PoseEstimator) -> None:
    with pytest.raises(InputError, match="detector="):
        PosePipeline(pictures(1), nothing, None, Tracker())


class Broken:
    """A detector that fails from its third frame on."""

    calls = 0

    def detect(self, frame: Any) -> Any:
        from danet.detectors.base import Detections

        self.calls += 1
        if self.calls == 3:
            raise RuntimeError("the accelerator is gone")
        return Detections(np.array(BOX, np.float32), np.ones(1, np.float32))


def test_a_detector_that_raises(nothing: PoseEstimator) -> None:
    seen: list[int] = []
    pipeline = PosePipeline(pictures(9), nothing, Broken())
    with pytest.raises(DetectorError, match="frame 2: the detector raised RuntimeError: the accelerator is gone"):
        indices_into(seen, pipeline)
    pipeline.close()
    assert seen == [0, 1]
    assert pipeline.stats.frames == 2
    assert not reading_threads()


def failing() -> Iterator[Any]:
    yield from pictures(3)
    raise SourceError("the camera was unplugged")


def test_the_frames_before_an_error_of_the_source_are_not_lost(nothing: PoseEstimator) -> None:
    seen: list[int] = []
    with PosePipeline(failing(), nothing) as pipeline, pytest.raises(SourceError, match="unplugged"):
        indices_into(seen, pipeline)
    assert seen == [0, 1, 2]
    assert not reading_threads()


def test_a_size_that_changes(nothing: PoseEstimator) -> None:
    mixed = [*pictures(3), *pictures(3, (128, 160)), *pictures(2, (33, 41))]
    with PosePipeline(mixed, nothing, lambda frame: BOX, Tracker()) as pipeline:
        assert [one.frame.image.shape[0] for one in pipeline] == [64] * 3 + [128] * 3 + [33] * 2


def test_a_frame_that_is_no_picture(nothing: PoseEstimator) -> None:
    bad = [*pictures(2), np.zeros((5, 5), np.float32)]
    seen: list[int] = []
    with PosePipeline(bad, nothing) as pipeline, pytest.raises((InputError, SourceError), match="float32"):
        indices_into(seen, pipeline)
    assert seen == [0, 1]


class Endless:
    """A source without an end that counts what was taken."""

    name, live, fps, frames, dropped = "endless", False, None, None, 0

    def __init__(self) -> None:
        self.taken, self.closed = 0, False

    def __iter__(self) -> Iterator[Frame]:
        while not self.closed:
            yield Frame(np.zeros((8, 8, 3), np.uint8), self.taken, self.taken / 25)
            self.taken += 1

    def close(self) -> None:
        self.closed = True


def test_stop_ends_the_iteration_and_frees_the_source(nothing: PoseEstimator) -> None:
    source = Endless()
    pipeline = PosePipeline(source, nothing)
    for count, _ in enumerate(pipeline):
        if count == 5:
            pipeline.stop()
    assert count == 5
    assert source.closed
    assert not reading_threads()


def test_stop_from_another_thread(nothing: PoseEstimator) -> None:
    source = Endless()
    pipeline = PosePipeline(source, nothing)
    threading.Timer(0.2, pipeline.stop).start()
    for _ in pipeline:
        pass
    assert source.closed


def test_stop_ends_the_wait_for_a_source_that_gives_nothing(nothing: PoseEstimator) -> None:
    go_on = threading.Event()

    def silent() -> Iterator[Any]:
        yield np.zeros((64, 64, 3), np.uint8)
        assert go_on.wait(60)

    pipeline = PosePipeline(silent(), nothing)
    results = iter(pipeline)
    next(results)
    threading.Timer(0.2, pipeline.stop).start()
    assert list(results) == []
    assert not go_on.is_set()
    go_on.set()  # the reading thread ends when the source's code returns


def test_leaving_the_loop_and_the_block_frees_everything(nothing: PoseEstimator) -> None:
    source = Endless()
    with PosePipeline(source, nothing) as pipeline:
        next(iter(pipeline))
    pipeline.close()
    assert source.closed
    assert not reading_threads()


def test_few_frames_are_read_ahead(nothing: PoseEstimator) -> None:
    source = Endless()
    with PosePipeline(source, nothing) as pipeline:
        for count, _ in enumerate(pipeline):
            time.sleep(0.02)
            assert source.taken <= count + 5
            if count == 10:
                break


def test_asyncio(nothing: PoseEstimator) -> None:
    async def run() -> tuple[list[int], int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticker = asyncio.create_task(tick())
        indices = [result.frame.index async for result in PosePipeline(pictures(6), nothing)]
        ticker.cancel()
        return indices, ticks

    indices, ticks = asyncio.run(run())
    assert indices == list(range(6))
    assert ticks > 6  # the loop was not blocked


def test_asyncio_is_cancelled(nothing: PoseEstimator) -> None:
    source = Endless()

    async def run() -> None:
        async for _ in PosePipeline(source, nothing):
            pass

    async def outer() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run(), 0.3)

    asyncio.run(outer())
    assert source.closed


def test_stats_window_does_not_grow(nothing: PoseEstimator) -> None:
    with PosePipeline(Endless(), nothing) as pipeline:
        for count, _ in enumerate(pipeline):
            if count == 700:
                break
        assert pipeline.stats.frames == 701
        assert pipeline.stats.fps > 0


class Giving:
    """A detector object that gives whatever it is told."""

    def __init__(self, found: Any) -> None:
        self.found = found
        self.shapes: list[tuple[int, ...]] = []

    def detect(self, frame: Any) -> Any:
        self.shapes.append(frame.shape)
        return self.found


@pytest.mark.parametrize("tracked", [False, True])
def test_a_detector_object_that_finds_nobody_by_none(nothing: PoseEstimator, tracked: bool) -> None:
    with PosePipeline(pictures(3), nothing, Giving(None), Tracker() if tracked else None) as pipeline:
        assert [len(result.poses) for result in pipeline] == [0, 0, 0]


@pytest.mark.parametrize("found", [[[1, 2, 3]], ([[1, 2, 3, 4]], [0.5, 0.5]), object()])
@pytest.mark.parametrize("tracked", [False, True])
def test_a_detector_object_that_gives_no_boxes(nothing: PoseEstimator, found: Any, tracked: bool) -> None:
    pipeline = PosePipeline(pictures(2), nothing, Giving(found), Tracker() if tracked else None)
    with pipeline, pytest.raises(DetectorError, match="frame 0: "):
        list(pipeline)


def test_boxes_without_numbers_are_nobody(nothing: PoseEstimator) -> None:
    found = ([*BOX, [np.nan] * 4, [5, 5, 5, 5]], [0.9, np.nan, 0.9])
    with PosePipeline(pictures(2), nothing, Giving(found)) as pipeline:
        assert [len(result.poses) for result in pipeline] == [1, 1]


def test_a_callable_that_raises_names_the_frame(nothing: PoseEstimator) -> None:
    def detect(frame: Any) -> Any:
        return BOX if frame[0, 0, 0] < 2 else 1 / 0

    pipeline = PosePipeline(pictures(5), nothing, detect)
    with pipeline, pytest.raises(DetectorError, match="frame 2: the detector raised ZeroDivisionError"):
        list(pipeline)


def test_detectors_and_drawing_get_three_channels(nothing: PoseEstimator) -> None:
    shapes = [(64, 80), (64, 80, 4)]
    frames = [Frame(np.full(shape, 7, np.uint8), index, index / 10) for index, shape in enumerate(shapes)]
    detector = Giving(BOX)
    with PosePipeline(frames, nothing, detector) as pipeline:
        assert [result.draw(boxes=True).shape for result in pipeline] == [(64, 80, 3)] * 2
    assert detector.shapes == [(64, 80, 3)] * 2


def test_a_pipeline_runs_once(nothing: PoseEstimator) -> None:
    pipeline = PosePipeline(pictures(3), nothing)
    assert len(list(pipeline)) == 3
    with pytest.raises(InputError, match="make a new one"):
        list(pipeline)


@pytest.mark.parametrize("kind", ["folder", "iterable", "file"])
def test_a_source_that_an_earlier_pipeline_closed(kind: str, nothing: PoseEstimator, tmp_path: Path) -> None:
    if kind == "file":
        with VideoWriter(tmp_path / "clip.avi") as writer:
            for picture in pictures(3):
                writer.write(picture)
    elif kind == "folder":
        for index, picture in enumerate(pictures(3)):
            cv2.imwrite(str(tmp_path / f"{index}.png"), picture)
    what = {"folder": tmp_path, "iterable": pictures(3), "file": tmp_path / "clip.avi"}[kind]
    source = open_source(what)
    with PosePipeline(source, nothing) as pipeline:
        assert len(list(pipeline)) == 3
    assert source.closed  # type: ignore[attr-defined]
    with pytest.raises(SourceError, match="this source is closed; open it again"):
        PosePipeline(source, nothing)
    with PosePipeline(open_source(what), nothing) as pipeline:
        assert len(list(pipeline)) == 3


def test_leaving_the_loop_frees_the_source_even_without_close(nothing: PoseEstimator) -> None:
    source = Endless()
    for _ in PosePipeline(source, nothing):
        break
    assert source.closed  # at once, not when the garbage is collected
    assert not reading_threads()


def test_a_source_that_waits_does_not_hold_up_the_end(nothing: PoseEstimator) -> None:
    going_on = threading.Event()

    def slow() -> Iterator[Any]:
        yield from pictures(2)
        going_on.wait(30)
        yield from pictures(1)

    pipeline = PosePipeline(slow(), nothing)
    results = iter(pipeline)
    next(results)
    start = time.monotonic()
    pipeline.close()
    assert time.monotonic() - start < 4
    going_on.set()


def test_what_is_no_estimator_or_tracker(nothing: PoseEstimator) -> None:
    for estimator in ("danet72", PoseEstimator, None):
        with pytest.raises(InputError, match="expected a PoseEstimator"):
            PosePipeline(pictures(1), estimator)  # type: ignore[arg-type]
    for tracker in (Tracker, True):
        with pytest.raises(InputError, match="expected a Tracker"):
            PosePipeline(pictures(1), nothing, lambda frame: BOX, tracker)  # type: ignore[arg-type]
