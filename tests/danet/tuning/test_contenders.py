from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import pytest

from danet.estimator import PoseEstimator
from danet.tuning import contenders
from danet.tuning.contenders import Load, Timing, infer_seconds, opencv_threads, render_load, stream_seconds
from danet.tuning.settings import Settings

LOADS = [Load(persons, (("frame", persons), ("another", persons))) for persons in (1, 4)]  # type: ignore[arg-type]


class Clock:
    """Time that passes in `sleep` alone."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


CLOCK = Clock()


class Sleeper:
    """An estimator that takes 5 ms a person, and in `stream` as many frames at once as it has streams."""

    def __init__(self, settings: Settings = Settings()) -> None:  # noqa: B008
        self.settings = settings
        self.frames: list[Any] = []
        self.threads: set[int] = set()

    def infer(self, frame: Any, persons: int) -> None:
        self.frames.append(frame)
        self.threads.add(cv2.getNumThreads())
        CLOCK.sleep(0.005 * persons)

    def stream(self, frames: Iterable[tuple[Any, int]]) -> Iterator[None]:
        for index, (frame, persons) in enumerate(frames):
            self.frames.append(frame)
            if index % self.settings.streams == 0:
                CLOCK.sleep(0.005 * persons)
            yield None


def as_estimator(sleeper: Sleeper) -> PoseEstimator:
    return sleeper  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders, "time", CLOCK)


def test_the_loads_are_the_same_each_time() -> None:
    one, other = render_load(2), render_load(2)
    assert [frame.shape for frame, _ in one.frames] == [(720, 1280, 3)] * 2
    assert all(len(boxes) == 2 for _, boxes in one.frames)
    assert (one.frames[0][0] == other.frames[0][0]).all()
    assert (one.frames[0][0] != one.frames[1][0]).any()


def test_all_frames_are_used() -> None:
    sleeper = Sleeper()
    infer_seconds(as_estimator(sleeper), LOADS[0], 3)
    assert sleeper.frames == ["frame", "another", "frame"]


def test_seconds_are_those_of_a_frame() -> None:
    assert infer_seconds(as_estimator(Sleeper()), LOADS[1], 3) == pytest.approx(0.02)
    assert stream_seconds(as_estimator(Sleeper()), LOADS[1], 4) == pytest.approx(0.02)
    assert stream_seconds(as_estimator(Sleeper(Settings(streams=2))), LOADS[1], 4) == pytest.approx(0.01)


@pytest.mark.parametrize(("streams", "count", "frames"), [(1, 1, 4), (1, 7, 7), (2, 5, 6), (3, 1, 6), (8, 1, 8)])
def test_a_stream_ends_with_all_streams_busy(streams: int, count: int, frames: int) -> None:
    sleeper = Sleeper(Settings(streams=streams))
    stream_seconds(as_estimator(sleeper), LOADS[0], count)
    assert len(sleeper.frames) == frames


def test_figures_come_use_by_use_and_load_by_load() -> None:
    timing = Timing(as_estimator(Sleeper()), (infer_seconds, stream_seconds), LOADS, cores=2)
    assert timing.time() == pytest.approx((0.005, 0.02, 0.005, 0.02))


def test_a_timing_is_filled_with_frames() -> None:
    sleeper = Sleeper()
    timing = Timing(as_estimator(sleeper), (infer_seconds,), LOADS[:1], cores=2)
    sleeper.frames.clear()
    timing.time()
    assert len(sleeper.frames) >= 1 + contenders.TIMING_S / 0.005  # one unmeasured, and what fits into the time


@pytest.mark.parametrize(("settings", "threads"), [(Settings(threads=1), 1), (Settings(), 3)])
def test_opencv_has_the_threads_of_the_contender_and_gets_its_own_back(settings: Settings, threads: int) -> None:
    before = cv2.getNumThreads()
    with opencv_threads():
        sleeper = Sleeper(settings)
        timing = Timing(as_estimator(sleeper), (infer_seconds,), LOADS[:1], cores=3)
        cv2.setNumThreads(7)  # as another estimator does when it is opened
        timing.time()
        assert sleeper.threads == {threads}
    assert cv2.getNumThreads() == before
