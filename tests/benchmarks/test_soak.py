from __future__ import annotations

import json
import mmap
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danet.estimator import PoseEstimator
from danet.video.frame import Frame
from danet.video.pipeline import PosePipeline
from danet.video.video_writer import VideoWriter
from danet_benchmarks.soak import PARTS, Part, complaints, main, soak

FLAT = [Part(100 * number, float(number), 5, 100.0, 8, 20, 5.0 + number % 3, 9.0) for number in range(1, PARTS + 1)]


def late(**changes: Any) -> list[Part]:
    """A run whose last quarter differs."""
    return [*FLAT[:-4], *(replace(part, **changes) for part in FLAT[-4:])]


def test_flat_run() -> None:
    assert complaints(FLAT) == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"rss_mib": 121.0}, "memory grew by 21.0 MiB"), ({"threads": 9}, "threads grew from 8 to 9"),
     ({"handles": 21}, "handles grew"), ({"p50_ms": 7.5}, "median latency of the last quarter")],
)  # fmt: skip
def test_what_is_not_flat_is_told(changes: dict[str, Any], word: str) -> None:
    (said,) = complaints(late(**changes))
    assert word in said


def test_warm_up_may_grow() -> None:
    assert complaints([replace(FLAT[0], rss_mib=20.0, threads=2, p50_ms=50.0), *FLAT[1:]]) == []


def test_too_short_to_tell() -> None:
    assert "too few" in complaints(FLAT[:4])[0]


class Leaky:
    """A source that keeps what it gives, and starts a thread now and then."""

    name, live, fps, frames, dropped = "leaky", False, 25.0, None, 0

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self.ended = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        for index in range(100_000):
            block = mmap.mmap(-1, 1 << 16)  # not of the heap, which may have that much free of earlier tests
            block.write(b"1" * len(block))
            self.kept.append(block)
            if index % 25 == 0:
                threading.Thread(target=self.ended.wait).start()
            yield Frame(np.zeros((8, 8, 3), np.uint8), index, index / 25)

    def close(self) -> None:
        self.ended.set()


def test_a_leak_is_found() -> None:
    with PoseEstimator("null", backend="null") as estimator, PosePipeline(Leaky(), estimator) as pipeline:
        parts = soak(pipeline, 800, 10.0)
    assert len(parts) == PARTS
    assert parts[-1].frames == 800
    said = " ".join(complaints(parts))
    assert "memory grew" in said
    assert "threads grew" in said


@pytest.mark.parametrize(("option", "value"), [("--frames", "0"), ("--minutes", "0"), ("--minutes", "nan")])
def test_a_run_of_nothing_is_wrong_use(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["null", "clip.avi", "--backend", "null", "--detector", "none", option, value])
    assert f"argument {option}: " in capsys.readouterr().err


def test_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = tmp_path / "clip.avi"
    with VideoWriter(video, backend="opencv", reserve_bytes=0) as writer:
        for index in range(10):
            writer.write(np.full((48, 64, 3), 20 * index, np.uint8))
    options = ["--backend", "null", "--detector", "none", "--frames", "400", "--json", str(tmp_path / "soak.json")]
    main(["null", str(video), *options])
    assert "RSS MiB" in capsys.readouterr().out
    parts = json.loads((tmp_path / "soak.json").read_text())
    assert (len(parts), parts[-1]["frames"], sum(part["persons"] for part in parts)) == (PARTS, 400, 400)
