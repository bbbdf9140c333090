from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from danet import Poses, SourceError
from danet.video.opening import open_source

Load = Callable[[str], ModuleType]


def feet_at(*places: tuple[int, float, float]) -> Poses:
    """Persons 20 pixels wide as id, x, y of the box's lower middle."""
    boxes = np.array([(x - 10, y - 60, x + 10, y) for _, x, y in places], np.float32).reshape(-1, 4)
    count = len(places)
    ids = np.array([one for one, _, _ in places], np.int64)
    return Poses(np.zeros((count, 17, 2), np.float32), np.ones((count, 17), np.float32), boxes, ids=ids)


def walked(example: Load, line: tuple[float, ...], *ways: list[tuple[float, float]]) -> tuple[int, int]:
    counter = example("people_counter").LineCounter(*line)
    for step in range(max(map(len, ways))):
        counter.update(feet_at(*((one, *way[step]) for one, way in enumerate(ways, 1) if step < len(way))))
    return counter.entered, counter.left


DOWN = [(50.0, 80.0), (50.0, 95.0), (50.0, 105.0), (50.0, 120.0)]
LEVEL = (0.0, 100.0, 200.0, 100.0)
"""From left to right, so that down is to the right of it."""


@pytest.mark.parametrize(
    ("ways", "expected"),
    [
        ([DOWN], (1, 0)),
        ([DOWN[::-1]], (0, 1)),
        ([DOWN + DOWN[::-1]], (1, 1)),
        ([DOWN, [(x + 80, y) for x, y in DOWN[::-1]], DOWN], (2, 1)),
        ([[(x + 200, y) for x, y in DOWN]], (0, 0)),  # past the line's end
        ([[(50, 80), (230, 95), (230, 130)]], (0, 0)),  # around it
        ([[(50, 80), *[(50, 99 + step % 2 * 2) for step in range(9)], (50, 80)]], (0, 0)),  # sways on it
        ([[(50, 80), *[(50, 99 + step % 2 * 2) for step in range(9)], (50, 120)]], (1, 0)),
        ([[(50, 80), (50, 140)]], (1, 0)),  # between two frames
        ([[(150, 80), (250, 160)]], (1, 0)),  # crosses before the end, though it stops beyond
    ],
)
def test_line(example: Load, ways: list[list[tuple[float, float]]], expected: tuple[int, int]) -> None:
    assert walked(example, LEVEL, *ways) == expected
    assert walked(example, (*LEVEL[2:], *LEVEL[:2]), *ways) == expected[::-1]


def test_nobody(example: Load) -> None:
    assert walked(example, LEVEL, [(50, 80)], []) == (0, 0)


@pytest.mark.parametrize("end", [None, SourceError("camera 0: no frame for 60 s")])
def test_a_camera_shows_its_counts(example: Load, on_camera: Callable[..., object], end: SourceError | None) -> None:
    way = [*DOWN, *DOWN[::-1]]
    line = ["0", "--line", "0,100,200,100"]
    told = on_camera(example("people_counter"), line, (feet_at((1, *place)) for place in way), end)
    changes = ["", "", "2.0 s: in 1, out 0\n", "", "", "", "6.0 s: in 1, out 1\n", ""]
    assert told == (changes, "in 1, out 1\n")


@pytest.mark.parametrize("line", ["0,0,320", "0,0,320,480,5", "a,0,320,480", "", "0,0,nan,480", "0,0,inf,9", "7,8,7,8"])
def test_what_is_no_line_is_refused(example: Load, capsys: pytest.CaptureFixture[str], line: str) -> None:
    with pytest.raises(SystemExit) as ended:
        example("people_counter").main(["nowhere.mp4", f"--line={line}"])
    assert ended.value.code == 2
    assert f"argument --line: {line!r}, expected x1,y1,x2,y2: four numbers" in capsys.readouterr().err


@pytest.mark.long
def test_two_walk_past_each_other(
    example: Load, model: str, crossing_video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.avi"
    line = ["--line", "160,0,160,240"]
    example("people_counter").main([str(crossing_video), *line, "--model", model, "--out", str(out)])
    told = capsys.readouterr()
    assert told.out == "in 1, out 1\n"
    *_, last = told.err.splitlines()  # a line for both, where the network sees them cross in one frame
    assert last.endswith(" s: in 1, out 1")
    frames = list(open_source(out))
    assert len(frames) == 24
    blue, green, red = np.median(frames[-1].image[100:130, 159:162].reshape(-1, 3), axis=0)
    assert red > blue + 60 < green  # the line is yellow
