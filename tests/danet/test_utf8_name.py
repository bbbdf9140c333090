"""In a process of its own, which OpenCV 4.14 would end by SIGSEGV."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from danet.errors import InputError, SourceError
from danet.utf8_name import utf8_name

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")

PROGRAM = """
import os, shutil, sys
from pathlib import Path
import numpy as np
from danet.commands.pictures import write_picture
from danet.errors import DanetError
from danet.video.file_source import FileSource
from danet.video.opencv_capture import open_address, open_device
from danet.video.video_writer import VideoWriter

folder, picture = Path(sys.argv[1]), np.zeros((64, 64, 3), np.uint8)
bad = os.fsdecode(b"caf\\xe9")
with VideoWriter(folder / "good.avi") as writer:
    writer.write(picture)
shutil.copy(folder / "good.avi", folder / f"{bad}.avi")

def written():
    with VideoWriter(folder / f"{bad} new.avi", backend="opencv") as writer:
        writer.write(picture)

for call in (
    lambda: FileSource(folder / f"{bad}.avi"),
    lambda: open_address(f"rtsp://me:{bad}@camera/stream", 1.0),
    lambda: open_device(f"/dev/{bad}"),
    written,
    lambda: write_picture(picture, folder / f"out.{bad}"),
):
    try:
        call()
    except DanetError as error:
        print(type(error).__name__, ascii(str(error)))
print(len(os.listdir(folder)))
"""


def test_names_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], text=True, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    *errors, left = done.stdout.splitlines()
    assert [line.split()[0] for line in errors] == ["SourceError"] * 3 + ["InputError"] * 2
    assert all("not UTF-8, and OpenCV takes no other; rename it" in line for line in errors)
    assert all(r"caf\udce9" in line for line in (*errors[:1], *errors[2:]))
    assert "rtsp://camera/stream: " in errors[1]  # without the password
    assert left == "2"


def test_what_the_message_calls_it() -> None:
    assert utf8_name("café", InputError) == "café"
    with pytest.raises(SourceError, match=r"^here: the name is not UTF-8"):
        utf8_name("caf\udce9", SourceError, "here")
