"""The commands ask nothing of the network; `danet app` is watched in tests/danet/app/test_page.py."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from danet.embedded import PORTRAIT
from tests.faults.cases import CASES, command_line, make_inputs

PROGRAM = """
import sys, time
from danet.commands.main import main
for line in {lines!r}:
    status = main(line)
    if status:
        sys.exit(f"{{line}} ended with {{status}}")
if {probe}:
    import socket
    try:
        socket.create_connection(("127.0.0.1", 9), 0.2)
    except OSError:
        pass
time.sleep(1.0)  # what reports in the background gets its time
"""
WATCH = """
import os, sys
def watch(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.sendto") or (
        event == "socket.connect" and isinstance(arguments[1], tuple)  # others are pipes of this machine
    ):
        with open(os.environ["WATCHED"], "a") as log:
            log.write(f"{event} {arguments}\\n")
sys.addaudithook(watch)
"""
"""`sitecustomize.py`, which Python runs at the start of each process, those that a command starts as well."""


def calls_of(lines: list[list[str]], home: Path, probe: bool = False) -> str:
    """What command lines ask of the network, on a machine that is no CI runner."""
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    watch, log = home / "watch", home / "watched.log"
    watch.mkdir()
    (watch / "sitecustomize.py").write_text(WATCH)
    log.touch()
    environment |= {"HOME": str(home), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(watch), "WATCHED": str(log)}
    command = [sys.executable, "-c", PROGRAM.format(lines=lines, probe=probe)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return log.read_text()


def dataset(folder: Path) -> Path:
    """A split "val" of one picture and one person."""
    (folder / "images").mkdir(parents=True)
    shutil.copy(PORTRAIT, folder / "images" / "1.jpg")
    height, width = cv2.imread(str(PORTRAIT)).shape[:2]
    person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, width, height], "area": width * height}
    person |= {"keypoints": [width // 2, height // 2, 2] * 17, "num_keypoints": 17, "iscrowd": 0}
    image = {"id": 1, "file_name": "1.jpg", "width": width, "height": height}
    content = {"images": [image], "annotations": [person], "categories": [{"id": 1, "name": "person"}]}
    (folder / "val.json").write_text(json.dumps(content))
    return folder


def test_the_watch_sees_a_connection(tmp_path: Path) -> None:
    assert "socket.connect" in calls_of([], tmp_path, probe=True)


def test_info_infer_and_video(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"mp4v"), 10, (96, 128))
    for _ in range(3):
        writer.write(np.full((128, 96, 3), 90, np.uint8))
    writer.release()
    lines = [
        ["info", "danet72"],
        ["infer", "danet72", str(PORTRAIT), "--detector", "hog", "--threads", "1", "--draw", str(tmp_path / "out.png")],
        ["video", "danet72", str(clip), "--out", str(tmp_path / "out.mp4"), "--jsonl", str(tmp_path / "out.jsonl")],
    ]
    assert calls_of(lines, tmp_path) == ""
    assert not list(tmp_path.glob("intel"))


@pytest.mark.needs("pycocotools")
def test_evaluate(tmp_path: Path) -> None:
    assert calls_of([["evaluate", "danet72", "--data", str(dataset(tmp_path / "data"))]], tmp_path) == ""


@pytest.mark.slow
@pytest.mark.needs("torch", "onnx", "onnxscript", "onnxruntime")
def test_convert(tmp_path: Path, tiny_checkpoint: Path) -> None:
    line = ["convert", str(tiny_checkpoint), "--to", "onnx", "openvino", "--out", str(tmp_path / "out")]
    assert calls_of([line], tmp_path) == ""
    assert (tmp_path / "out" / "tiny.onnx").is_file()


@pytest.mark.slow
@pytest.mark.needs("torch", "nncf", "pycocotools", "psutil")
@pytest.mark.parametrize("name", ["tune", "quantize", "benchmark", "train"])
def test_commands_that_take_long(name: str, tmp_path: Path) -> None:
    (case,) = (one for one in CASES if one.name == name)
    inputs, out = tmp_path / "in", tmp_path / "out"
    make_inputs(inputs)
    out.mkdir()
    for file in inputs.glob("tiny.*"):
        shutil.copy(file, out)
    before = set(out.iterdir())
    assert calls_of([command_line(case.new, inputs, out)[1:]], tmp_path) == ""
    assert set(out.iterdir()) > before
