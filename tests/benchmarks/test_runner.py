from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from danet.errors import BackendError
from danet_benchmarks.measurements import Least, Scenes
from danet_benchmarks.memory import machine_memory_gib, peak_rss_mib
from danet_benchmarks.results import Case
from danet_benchmarks.runner import Runner
from danet_benchmarks.scenes import render_scenes

ONCE = Least(0.0, 0)


class Recorder:
    """A backend of its own mind: `answer` is what each map holds."""

    def __init__(self) -> None:
        self.answer = 0.0
        self.cpu_s = 0.0
        """Processor seconds of the process that pass before each answer, to a person."""
        self.batches: list[int] = []

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.batches.append(len(images))
        end = time.process_time() + self.cpu_s * len(images)
        while self.cpu_s and time.process_time() < end:
            pass
        maps = np.random.default_rng(0).random((1, 17, 64, 48), np.float32)  # no two cells tie
        return np.repeat(maps * np.float32(1 + self.answer), len(images), axis=0)

    def close(self) -> None:
        pass


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> tuple[Runner, Recorder]:
    """A runner of the null backend's case, warm, whose network is a recorder."""
    recorder = Recorder()
    monkeypatch.setattr("danet.backends.null_backend.NullBackend", lambda spec: recorder)
    runner = Runner(Case("nobody", "danet", "nobody", "null", "none", 4, 1, 2), Path("nobody"), None)
    assert recorder.batches == [4]  # the first inference is of one batch
    runner.warm_up(render_scenes((3, 1), 2, (64, 96)))
    recorder.batches.clear()
    return runner, recorder


def test_scenes_are_the_same_each_time() -> None:
    first, second = render_scenes((2, 1), 2, (64, 96)), render_scenes((1, 2), 2, (64, 96))
    assert [scenes.persons for scenes in first] == [1, 2]
    for one, other in zip(first, second, strict=True):
        for (frame, boxes), (same, alike) in zip(one.frames, other.frames, strict=True):
            assert (frame == same).all()
            assert (boxes == alike).all()
            assert len(boxes) == one.persons


def test_opening() -> None:
    opening = Runner(Case("nobody", "danet", "nobody", "null", "none", 1, 1), Path("nobody"), None).opening()
    assert opening.effective_precision == "none"
    assert opening.load_s > 0
    assert opening.first_inference_s > 0
    assert 10 < opening.peak_rss_mib <= peak_rss_mib() < 1024 * machine_memory_gib()


def test_one_round(runner: tuple[Runner, Recorder]) -> None:
    measured, recorder = runner
    result = measured.measure(Least(0.0, 9))
    assert result.network_pps > 0
    assert [one.persons for one in result.end_to_end] == [1, 3]
    assert [len(one.latencies_ms) for one in result.end_to_end] == [9, 3]  # as many frames as hold nine persons
    for one in result.end_to_end:
        assert one.pps == pytest.approx(1000 * one.persons * len(one.latencies_ms) / sum(one.latencies_ms))
    assert min(result.stages.crop_ms, result.stages.network_ms, result.stages.decode_ms) > 0
    assert result.cpu_s_per_person > 0
    # two streams of nine persons in batches of four, each after an unmeasured call, make the network's part
    assert recorder.batches[:6] == [4] * 6
    assert set(recorder.batches[6:]) == {1, 2}  # a frame of three is a batch of two and one of one


def test_processor_time_is_that_of_the_timed_frames(runner: tuple[Runner, Recorder]) -> None:
    measured, recorder = runner
    recorder.cpu_s = 0.1
    # each number of persons has one timed frame and one before it, which would double the figure
    cost = measured.measure(ONCE).cpu_s_per_person
    assert recorder.cpu_s <= cost < 1.5 * recorder.cpu_s


def test_a_round_lasts_as_long_as_it_must(runner: tuple[Runner, Recorder]) -> None:
    start = time.perf_counter()
    runner[0].measure(Least(0.05, 0))
    assert time.perf_counter() - start >= 0.05 * 3.5  # network, two numbers of persons, half of it for the stages


def test_an_answer_that_changes_is_refused(runner: tuple[Runner, Recorder]) -> None:
    measured, recorder = runner
    recorder.answer = 1e-5
    measured.measure(ONCE)  # within the tolerance
    recorder.answer = 0.1
    with pytest.raises(BackendError, match=r"heatmaps differ by 0\.1 from the warm-up's, allowed are 0\.0001"):
        measured.measure(ONCE)
    recorder.answer = float("nan")
    with pytest.raises(BackendError, match="differ by nan"):
        measured.measure(ONCE)


def test_an_answer_that_is_not_finite_is_refused(runner: tuple[Runner, Recorder]) -> None:
    measured, recorder = runner
    recorder.answer = float("inf")
    with pytest.raises(BackendError, match="not finite"):
        measured.warm_up([Scenes(1, render_scenes((1,), 1, (64, 96))[0].frames)])
