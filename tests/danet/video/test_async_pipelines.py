"""Pipelines under asyncio: their threads are their own, and end with them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from danet.estimator import PoseEstimator
from danet.video import pipeline as pipelines
from danet.video.frame import Frame
from danet.video.pipeline import PosePipeline

LIMIT_S = 60.0
"""What takes longer hangs."""


@pytest.fixture(scope="module")
def nothing() -> Iterator[PoseEstimator]:
    with PoseEstimator("null", backend="null") as estimator:
        yield estimator


class Stalled:
    """A live source without frames after the first ones, until it is closed."""

    name, fps, frames, live, dropped = "stalled", None, None, True, 0

    def __init__(self, frames: int = 0) -> None:
        self.given = frames
        self.waiting, self.closed = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.given):
            yield Frame(np.zeros((40, 50, 3), np.uint8), index, index / 10)
        self.waiting.set()
        assert self.closed.wait(LIMIT_S)

    def close(self) -> None:
        self.closed.set()


async def with_one_thread(work: Callable[[], Awaitable[None]]) -> None:
    """The event loop's own pool has a single thread."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    await asyncio.wait_for(work(), LIMIT_S)


def test_stalled_cameras_leave_the_event_loops_threads_alone(nothing: PoseEstimator) -> None:
    sources = [Stalled() for _ in range(3)]

    async def follow(source: Stalled) -> None:
        async for _ in PosePipeline(source, nothing):
            pass

    async def work() -> None:
        following = [asyncio.create_task(follow(source)) for source in sources]
        try:
            while not all(source.waiting.is_set() for source in sources):
                await asyncio.sleep(0.01)
            assert await asyncio.wait_for(asyncio.to_thread(lambda: 5), 10) == 5
        finally:
            begun = time.monotonic()
            for one in following:
                one.cancel()
            ended = await asyncio.gather(*following, return_exceptions=True)
        assert [type(one) for one in ended] == [asyncio.CancelledError] * 3
        assert all(source.closed.is_set() for source in sources)
        assert time.monotonic() - begun < 10

    asyncio.run(with_one_thread(work))


async def cancelled(work: Coroutine[Any, Any, None], begun: threading.Event) -> None:
    """Cancel a task once it has begun, and wait for its end."""
    task = asyncio.create_task(work)
    while not begun.is_set():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_cancelled_loop_waits_for_the_frame_that_is_worked_on(nothing: PoseEstimator) -> None:
    begun, go_on, freed = threading.Event(), threading.Event(), threading.Event()

    def detect(_: NDArray[np.uint8]) -> list[list[float]]:
        begun.set()
        assert go_on.wait(LIMIT_S)
        freed.set()
        return []

    class Opening(Stalled):
        def close(self) -> None:
            go_on.set()  # the end of the source lets the detector go on
            super().close()

    async def follow() -> None:
        async for _ in PosePipeline(Opening(5), nothing, detect):
            raise AssertionError("given after the end")

    async def work() -> None:
        await cancelled(follow(), begun)
        assert freed.is_set()

    asyncio.run(with_one_thread(work))


def test_a_detector_that_hangs_is_not_waited_for_long(nothing: PoseEstimator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelines, "ENDING_S", 0.05)
    begun, go_on = threading.Event(), threading.Event()

    def detect(_: NDArray[np.uint8]) -> list[list[float]]:
        begun.set()
        assert go_on.wait(LIMIT_S)
        return []

    source = Stalled(5)

    async def follow() -> None:
        async for _ in PosePipeline(source, nothing, detect):
            pass

    async def work() -> None:
        await cancelled(follow(), begun)
        assert source.closed.is_set()
        assert not go_on.is_set()

    try:
        asyncio.run(with_one_thread(work))
    finally:
        go_on.set()


def test_the_end_by_break_and_by_the_last_frame(nothing: PoseEstimator) -> None:
    source = Stalled(5)
    seen: list[int] = []

    async def work() -> None:
        async with aclosing(aiter(PosePipeline(source, nothing))) as results:  # type: ignore[type-var]
            async for result in results:
                seen.append(result.frame.index)
                if len(seen) == 2:
                    break
        assert source.closed.is_set()
        pictures = [np.zeros((40, 50, 3), np.uint8)] * 3
        seen.extend([result.frame.index async for result in PosePipeline(pictures, nothing)])

    asyncio.run(with_one_thread(work))
    assert seen == [0, 1, 0, 1, 2]


def test_an_error_is_raised_in_its_turn(nothing: PoseEstimator) -> None:
    pictures: list[Any] = [np.zeros((40, 50, 3), np.uint8)] * 2
    seen: list[int] = []

    def frames() -> Iterator[Any]:
        yield from pictures
        raise ValueError("no more")

    async def work() -> None:
        async for result in PosePipeline(frames(), nothing):
            seen.append(result.frame.index)

    with pytest.raises(ValueError, match="no more"):
        asyncio.run(with_one_thread(work))
    assert seen == [0, 1]


def test_detectors_see_the_tasks_context(nothing: PoseEstimator) -> None:
    """As under `asyncio.to_thread`."""
    camera: ContextVar[str] = ContextVar("camera")
    seen: list[str] = []

    def detect(_: NDArray[np.uint8]) -> list[list[float]]:
        seen.append(camera.get())
        return []

    async def work() -> None:
        camera.set("door")
        async for _ in PosePipeline([np.zeros((40, 50, 3), np.uint8)] * 2, nothing, detect):
            pass

    asyncio.run(with_one_thread(work))
    assert seen == ["door", "door"]
