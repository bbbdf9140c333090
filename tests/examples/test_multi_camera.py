from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from danet import PoseEstimator
from danet.errors import SourceError
from danet.video.pipeline import PosePipeline

Load = Callable[[str], ModuleType]
LINE = re.compile(r"(.+): (\d+) frames, ([\d.]+) fps, (\d+) dropped, ([\d.]+) persons, \d+ ms \(p95\)")


def last_lines(text: str, count: int) -> list[Any]:
    matches = [LINE.fullmatch(line) for line in text.splitlines()[-count:]]
    assert all(matches), text
    return [match.groups() for match in matches if match]


@pytest.mark.long
def test_two_sources(
    example: Load, model: str, short_video: Path, squat_video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = threading.active_count()
    example("multi_camera").main([str(short_video), str(squat_video), "--model", model, "--seconds", "20"])
    told = capsys.readouterr().out
    short, long = last_lines(told, 2)
    assert (short[0], long[0]) == (str(short_video), str(squat_video))
    # the first one's end is no reason to report without a pause
    assert told.count("frames, ") <= 2 * (20 / 2 + 3)  # each two seconds, at each end, and at last
    # played as cameras: each frame is either worked on or dropped, none is queued
    assert 1 <= int(short[1]) <= 6 - int(short[3])
    assert 1 <= int(long[1]) <= 34 - int(long[3])
    assert float(long[4]) > 0.5
    assert threading.active_count() <= threads


def test_a_source_that_fails_is_told_of(example: Load, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    class Unplugged:
        name, live, fps, frames, dropped = "door", True, None, None, 0

        def __iter__(self) -> Iterator[Any]:
            raise SourceError("door: no frame for 60 s")

        def close(self) -> None:
            pass

    with PoseEstimator(model) as estimator:
        example("multi_camera").watch(PosePipeline(Unplugged(), estimator))
    assert capsys.readouterr().out == "door: door: no frame for 60 s\n"


def test_a_source_that_cannot_be_opened_is_left_out(
    example: Load, model: str, short_video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = tmp_path / "absent.mp4"
    example("multi_camera").main([str(absent), str(short_video), "--model", model, "--seconds", "30"])
    told = capsys.readouterr().out
    assert told.startswith(f"left out: {absent}: no such file\n")
    (short,) = last_lines(told, 1)
    assert short[0] == str(short_video)
    assert int(short[1]) >= 1


def test_status_1_where_none_can_be_opened(
    example: Load, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = [str(tmp_path / name) for name in ("a.mp4", "b.mp4")]
    with pytest.raises(SystemExit) as ended:
        example("multi_camera").main([*sources, "--model", model])
    assert ended.value.code == "no source could be opened"  # a text is status 1
    assert capsys.readouterr().out == "".join(f"left out: {source}: no such file\n" for source in sources)
