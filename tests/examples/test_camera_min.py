from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2

from .conftest import EXAMPLES

PROGRAM = EXAMPLES / "camera_min.py"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, PROGRAM, *map(str, arguments)]
    return subprocess.run(command, text=True, capture_output=True, timeout=120, check=False, env=os.environ)


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


def test_is_short() -> None:
    lines = PROGRAM.read_text().splitlines()[1:]
    assert sum(bool(line.strip()) for line in lines) <= 21
