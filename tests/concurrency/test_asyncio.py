from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from danet.estimator import PoseEstimator
from tests.concurrency.work import BOX, FRAME, LIMIT_S, SPEC, Zeros, assert_same, jobs


def test_many_tasks(tiny_ir: Path) -> None:
    work = jobs(6)

    async def run() -> None:
        with PoseEstimator(tiny_ir) as estimator, ThreadPoolExecutor(4) as pool:
            expected = [estimator.infer(*job) for job in work]
            loop = asyncio.get_running_loop()
            answers = await asyncio.gather(
                *(asyncio.to_thread(estimator.infer, *job) for job in work),
                *(loop.run_in_executor(pool, estimator.infer, *job) for job in work),
            )
            for poses, right in zip(answers, expected * 2, strict=True):
                assert_same(poses, right)

    asyncio.run(asyncio.wait_for(run(), LIMIT_S))


class Waiting(Zeros):
    """Answers batches of one when it is told to."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        if len(images) == 1:
            self.begun.set()
            assert self.go_on.wait(LIMIT_S)
        return super().run(images)


def test_a_cancelled_task_leaves_the_estimator_usable() -> None:
    backend = Waiting()
    estimator = PoseEstimator("own", spec=SPEC, backend=backend)

    async def run() -> None:
        waiting = asyncio.create_task(asyncio.to_thread(estimator.infer, FRAME, BOX))
        await asyncio.to_thread(backend.begun.wait, LIMIT_S)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert len(await asyncio.to_thread(estimator.infer, FRAME, BOX * 4)) == 4
        backend.go_on.set()
        assert len(await asyncio.to_thread(estimator.infer, FRAME, BOX)) == 1

    try:
        asyncio.run(asyncio.wait_for(run(), LIMIT_S))
    finally:
        backend.go_on.set()
