from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.conftest import SHARED, needs_shared

from danet.detectors import opening
from danet.detectors.base import Detections
from danet.scenes.clip import render_clip
from danet.video.json_lines import JsonLinesWriter
from danet.video.result import FramePoses
from danet.video.video_writer import VideoWriter

WALKING, YOLOX = SHARED / "video" / "walking.avi", SHARED / "models" / "yolox_nano.onnx"
Danet = Callable[..., Any]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames of two persons."""
    path = tmp_path_factory.mktemp("videos") / "clip.avi"
    clip = render_clip(3, size=(240, 320), persons=2, seconds=1.2, fps=10, script="squat")
    with VideoWriter(path, fps=10, backend="opencv", reserve_bytes=0) as writer:
        for frame in clip:
            writer.write(frame.image, frame.time_s)
    return path


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def frames_of(path: Path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    return count


def test_video_and_lines(danet: Danet, video: Path, tmp_path: Path) -> None:
    out, lines = tmp_path / "out.avi", tmp_path / "poses.jsonl"
    options = ("--detector", "none", "--backend", "null", "--out", out, "--jsonl", lines, "--boxes")
    done = danet("video", "null", video, *options)
    assert done.status == 0, done.err
    assert frames_of(out) == 12
    content = lines_of(lines)
    assert [one["frame"] for one in content] == list(range(12))
    assert [one["time_s"] for one in content] == pytest.approx([index / 10 for index in range(12)], abs=0.002)
    assert all((one["width"], one["height"], len(one["persons"])) == (320, 240, 1) for one in content)
    assert "12 frames" in done.err
    assert f"{lines}: 12 lines" in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.avi", "poses.jsonl"]


def test_lines_on_stdout_and_a_number_of_frames(danet: Danet, video: Path) -> None:
    done = danet("video", "null", video, "--detector", "none", "--backend", "null", "--jsonl", "-", "--frames", 5)
    assert done.status == 0
    assert [json.loads(line)["frame"] for line in done.out.splitlines()] == [0, 1, 2, 3, 4]


def test_persons_are_followed_by_the_real_model(danet: Danet, video: Path, tmp_path: Path) -> None:
    """HOG finds the standing persons of the clip at 240 rows; ids are given and stay."""
    lines = tmp_path / "poses.jsonl"
    done = danet("video", "danet72", video, "--jsonl", lines, "--threads", 1, "--detect-every", 4, "--smallest", 0.3)
    assert done.status == 0, done.err
    ids = [{person["id"] for person in one["persons"]} for one in lines_of(lines)]
    assert any(ids)
    assert set.union(*ids) <= {1, 2}
    assert all(person["keypoints"]["nose"] for one in lines_of(lines) for person in one["persons"])


@pytest.mark.long
@needs_shared(WALKING, YOLOX)
def test_real_walkers(danet: Danet, tmp_path: Path) -> None:
    lines = tmp_path / "poses.jsonl"
    options = ("--detector", YOLOX, "--frames", 12, "--jsonl", lines, "--threads", 2)
    done = danet("video", "danet72", WALKING, *options)
    assert done.status == 0, done.err
    counts = [len(one["persons"]) for one in lines_of(lines)]
    assert min(counts[2:]) >= 1
    assert "detector run" in done.err


# pictures


class Finder:
    """A detector's file that finds one person on every picture."""

    def __init__(self, model: str, **options: Any) -> None: ...

    def detect(self, frame: np.ndarray) -> Detections:
        return Detections(np.array([[10, 10, 90, 200]], np.float32), np.ones(1, np.float32))


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two pictures; detectors' files are `Finder`s."""
    monkeypatch.setattr(opening, "OnnxDetector", Finder)
    monkeypatch.setattr(opening, "_refuse_unknown", lambda *_: None)
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), np.zeros((240, 320, 3), np.uint8))
    return folder


FRAMES_OF_ONE = "pictures are taken as frames of one video; for separate photos use danet infer, or --no-tracking"


def test_a_single_picture_is_not_tracked(danet: Danet, photos: Path) -> None:
    """A person is told of from the second sighting on, which there is none of."""
    done = danet("video", "null", photos / "a.png", "--backend", "null", "--detector", "x.onnx", "--jsonl", "-")
    (line,) = done.out.splitlines()
    (person,) = json.loads(line)["persons"]
    assert (done.status, person["box"], "id" in person) == (0, [10, 10, 90, 200], False)
    assert FRAMES_OF_ONE not in done.err


@pytest.mark.parametrize("place", [".", "*.png"])
def test_that_pictures_are_taken_for_a_video_is_told_once(danet: Danet, photos: Path, place: str) -> None:
    line = ("video", "null", photos / place, "--backend", "null", "--jsonl", "-")
    done = danet(*line, "--detector", "x.onnx")
    assert done.status == 0
    assert done.err.splitlines()[0] == f"{photos / place}: {FRAMES_OF_ONE}"
    assert done.err.count("frames of one video") == 1
    assert len([json.loads(text) for text in done.out.splitlines()]) == 2
    for alone in (("--detector", "x.onnx", "--no-tracking"), ("--detector", "none")):
        assert "frames of one video" not in danet(*line, *alone).err


def test_help_says_what_pictures_are(danet: Danet) -> None:
    words = " ".join(danet("video", "--help").out.split())
    assert "folder of pictures, which are taken as frames of one video: separate photos are for danet infer" in words


# faults: a clear line, status 1, and what was done is kept


def test_no_such_video(danet: Danet, tmp_path: Path) -> None:
    assert "gone.mp4" in danet("video", "danet72", tmp_path / "gone.mp4", "--detector", "none").error()


def test_not_a_video(danet: Danet, tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("not a video")
    assert "text.mp4" in danet("video", "null", path, "--detector", "none", "--backend", "null").error()


def test_no_such_detector(danet: Danet, video: Path) -> None:
    assert "no detector 'haar'" in danet("video", "danet72", video, "--detector", "haar").error()


def test_the_source_is_not_written_over(danet: Danet, video: Path) -> None:
    before = video.read_bytes()
    assert "is the source itself" in danet("video", "danet72", video, "--out", video).error()
    assert "is the source itself" in danet("video", "danet72", video, "--jsonl", video).error()
    address = f"file://{video}"
    for option in ("--out", "--jsonl"):
        assert "is read; write to another file" in danet("video", "danet72", address, option, video).error()
    assert video.read_bytes() == before


def test_pictures_of_the_source_are_not_written_over(danet: Danet, tmp_path: Path) -> None:
    picture = tmp_path / "1.png"
    cv2.imwrite(str(picture), np.zeros((48, 64, 3), np.uint8))
    before = picture.read_bytes()
    for source in (tmp_path, tmp_path / "*.png"):
        done = danet("video", "null", source, "--backend", "null", "--detector", "none", "--jsonl", picture)
        assert f"{picture} is read; write to another file" in done.error()
    assert picture.read_bytes() == before


def test_outputs_that_cannot_be_both(danet: Danet, video: Path, tmp_path: Path) -> None:
    same = tmp_path / "same.mp4"
    done = danet("video", "danet72", video, "--out", same, "--jsonl", same)
    assert done.status == 2
    assert "both" in done.err
    assert not same.exists()


def test_an_old_file_is_kept_where_nothing_can_be_done(danet: Danet, video: Path, tmp_path: Path) -> None:
    old, out = tmp_path / "old.jsonl", tmp_path / "x.foo"
    old.write_text("precious\n")
    options = ("--detector", "none", "--backend", "null", "--jsonl", old, "--out", out)
    assert "x.foo" in danet("video", "null", video, *options).error()
    assert old.read_text() == "precious\n"


def test_a_video_that_cannot_be_written_is_told_before_the_model_is_opened(
    danet: Danet, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("danet.commands.video.open_estimator", lambda *_: pytest.fail("work was begun"))
    done = danet("video", "danet72", video, "--out", tmp_path / "file" / "a.avi")
    assert "is a file, expected a folder" in done.error()


def test_an_address_longer_than_names_of_files(danet: Danet, tmp_path: Path) -> None:
    """Signed addresses reach that; what told of it told the password too."""
    address = f"http://me:secret@127.0.0.1:1/{'a' * 4200}"
    done = danet("video", "null", address, "--backend", "null", "--detector", "none", "--jsonl", tmp_path / "a")
    assert "no video can be opened there" in done.error()
    assert "secret" not in done.err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes as POSIX has them")
def test_a_pipe_whose_reader_goes_away_is_told(danet: Danet, video: Path, tmp_path: Path) -> None:
    """As stdout's reader is not, who is the user's own shell."""
    os.mkfifo(tmp_path / "pipe")
    reader = threading.Thread(target=lambda: (tmp_path / "pipe").open("rb").close(), daemon=True)
    reader.start()
    done = danet("video", "null", video, "--backend", "null", "--detector", "none", "--jsonl", tmp_path / "pipe")
    reader.join(timeout=10)
    assert done.status == 1
    assert f"danet: error: {tmp_path / 'pipe'}: Broken pipe" in done.err


@pytest.mark.skipif(sys.platform != "linux", reason="/proc as Linux has it")
def test_lines_go_to_a_descriptor(danet: Danet, video: Path, tmp_path: Path) -> None:
    """They are written where they stand: no file need be made beside them."""
    with (tmp_path / "lines").open("wb") as file:
        target = f"/proc/self/fd/{file.fileno()}"
        done = danet("video", "null", video, "--backend", "null", "--detector", "none", "--jsonl", target)
    assert done.status == 0
    assert len(lines_of(tmp_path / "lines")) == 12


def test_smallest_is_hogs(danet: Danet, video: Path) -> None:
    done = danet("video", "danet72", video, "--detector", "none", "--smallest", 0.1)
    assert done.status == 2
    assert "for the detector hog" in done.err


@pytest.mark.parametrize("detector", ["hog", "none"])
def test_head_is_a_files(danet: Danet, video: Path, detector: str) -> None:
    done = danet("video", "danet72", video, "--detector", detector, "--head", "yolox")
    assert done.status == 2
    assert f"--head is for a detector's file, not for --detector {detector}" in done.err


@pytest.mark.skipif(sys.platform != "linux", reason="display variables are Linux's")
def test_no_display(danet: Danet, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert "no display" in danet("video", "danet72", video, "--show").error()


def test_opencv_without_windows(danet: Danet, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:  # as opencv-python-headless
        error = cv2.error("not implemented")
        error.err = "The function is not implemented"
        raise error

    for name in ("imshow", "destroyAllWindows"):
        monkeypatch.setattr(cv2, name, refuse)
    monkeypatch.setenv("DISPLAY", ":0")
    done = danet("video", "danet72", video, "--show")
    assert done.status == 1
    assert done.err.splitlines()[-1].startswith("danet: error: --show: OpenCV cannot open a window here")


def test_a_suffix_that_cannot_be_written(danet: Danet, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    assert ".mp4" in danet("video", "null", video, "--detector", "none", "--backend", "null", "--out", out).error()
    assert not list(tmp_path.iterdir())


def test_disk_full_keeps_the_video(danet: Danet, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines cannot be written any more; the video of the frames before is whole."""
    write = JsonLinesWriter.write

    def until_full(writer: JsonLinesWriter, result: FramePoses) -> None:
        if writer.lines == 5:
            raise OSError(errno.ENOSPC, "No space left on device", str(writer.path))
        write(writer, result)

    monkeypatch.setattr(JsonLinesWriter, "write", until_full)
    out, lines = tmp_path / "out.avi", tmp_path / "poses.jsonl"
    done = danet("video", "null", video, "--detector", "none", "--backend", "null", "--jsonl", lines, "--out", out)
    assert done.status == 1
    assert done.err.splitlines()[-1] == f"danet: error: {lines}: No space left on device"
    assert "Traceback" not in done.err
    assert (frames_of(out), len(lines_of(lines))) == (5, 5)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--detect-every", "0"), ("--frames", "-1"), ("--threshold", "nan"), ("--threads", "0")),
        *(("--threshold", "1.5"), ("--smallest", "5"), ("--smallest", "nan"), ("--head", "yolo")),
    ],
)
def test_wrong_use(danet: Danet, video: Path, option: str, value: str) -> None:
    done = danet("video", "danet72", video, option, value)
    assert done.status == 2
    assert option in done.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--boxes",), "--boxes without --out or --show"),
        (("--threshold", "0.3"), "--threshold without --out or --show"),
        (("--detector", "none", "--no-tracking"), "--no-tracking with --detector none"),
        (("--detector", "none", "--detect-every", "3"), "--detect-every with --detector none"),
        (("--no-tracking", "--no-smoothing"), "--no-smoothing with --no-tracking"),
        (("--no-tracking", "--detect-every", "3"), "--detect-every with --no-tracking"),
    ],
)
def test_an_option_that_would_do_nothing(danet: Danet, video: Path, options: tuple[str, ...], told: str) -> None:
    done = danet("video", "danet72", video, *options)
    assert done.status == 2
    assert told in done.err


def test_the_model_is_not_written_over(danet: Danet, video: Path, tiny_ir: Path) -> None:
    before = tiny_ir.read_bytes()
    assert "is read; write to another file" in danet("video", tiny_ir, video, "--jsonl", tiny_ir).error()
    assert tiny_ir.read_bytes() == before


SLOW_PROGRAM = """
import signal, sys, time
import danet.backends.null_backend as null
from danet.commands.main import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's children inherit that it is ignored
run = null.NullBackend.run
def slow(self, images):
    time.sleep(0.05)
    return run(self, images)
null.NullBackend.run = slow
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("number", "times", "status"), [(signal.SIGINT, 1, 130), (signal.SIGTERM, 1, 143), (signal.SIGTERM, 5, 143)]
)
def test_ended_by_a_signal(number: signal.Signals, times: int, status: int, tmp_path: Path) -> None:
    """A source without an end: what was done is whole, and the exit status tells; being asked again changes nothing."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index in range(400):
        cv2.imwrite(str(pictures / f"{index:04}.png"), np.full((48, 64, 3), index % 256, np.uint8))
    out, lines = tmp_path / "out.avi", tmp_path / "poses.jsonl"
    options = ("--detector", "none", "--backend", "null", "--out", str(out), "--jsonl", str(lines))
    command = [sys.executable, "-c", SLOW_PROGRAM, "video", "null", str(pictures), *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not (lines.exists() and lines.read_text().count("\n") >= 3):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        for _ in range(times):
            process.send_signal(number)
            time.sleep(0.01)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == status, said
    assert "Traceback" not in said
    done = len(lines_of(lines))
    assert 3 <= done < 400
    assert frames_of(out) in (done, done - 1)
    assert f"{done} lines" in said
