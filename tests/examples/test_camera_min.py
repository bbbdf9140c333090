from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from .conftest import EXAMPLES

PROGRAM = EXAMPLES / "camera_min.py"


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, PROGRAM, *map(str, arguments)]
    env = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    return subprocess.run(command, text=True, capture_output=True, timeout=120, check=False, env={**env, **environment})


def test_writes_a_video_with_skeletons(short_video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.avi"
    done = run(short_video, "--out", out)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    before, after = cv2.VideoCapture(str(short_video)), cv2.VideoCapture(str(out))
    changed = []
    while True:
        (more, plain), (also, drawn) = before.read(), after.read()
        assert more == also
        if not more:
            break
        changed.append(bool((cv2.absdiff(plain, drawn).max(2) > 60).sum() > 100))
    # a person is returned from the second sighting on
    assert changed == [False, True, True, True, True, True]


@pytest.mark.skipif(sys.platform != "linux", reason="windows need no DISPLAY there")
@pytest.mark.parametrize("display", [{}, {"DISPLAY": ""}])
def test_without_a_display_it_says_what_to_do(short_video: Path, display: dict[str, str]) -> None:
    """OpenCV's window library would abort the process, with status 134."""
    done = run(short_video, **display)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("no display to open a window on; use --out FILE.mp4, or danet video ")


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    absent = tmp_path / "absent.mp4"
    done = run(absent, "--out", tmp_path / "out.avi")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{absent}: no such file\n")


def test_is_as_short_as_told() -> None:
    told = re.search(r"in a window, in (\d+) lines", (EXAMPLES.parent / "docs" / "examples.md").read_text())
    assert told is not None
    lines = PROGRAM.read_text().splitlines()[1:]
    assert sum(bool(line.strip()) for line in lines) <= int(told[1]) < 30
