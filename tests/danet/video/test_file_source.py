from __future__ import annotations

import gc
import struct
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.conftest import SHARED, needs_shared

from danet.errors import SourceError
from danet.video.file_source import FileSource
from danet.video.frame import Frame, Source

from .conftest import number_of, numbered, open_handles, textured, write_av, write_cv2

WALKING = SHARED / "video" / "walking.avi"
TIMES = [index / 25 for index in range(100)]


@pytest.fixture(scope="module")
def avi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 numbered frames by OpenCV alone."""
    return write_cv2(tmp_path_factory.mktemp("videos") / "numbered.avi", 40, "MJPG")


@pytest.fixture(scope="module")
def h264(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 frames of H.264, its index at the front."""
    return write_av(tmp_path_factory.mktemp("videos") / "a.mp4", TIMES, textured, {"movflags": "faststart"})


def until_error(source: Source) -> tuple[list[Frame], str]:
    frames: list[Frame] = []
    with pytest.raises(SourceError) as caught:
        frames.extend(source)  # keeps what came before the error
    return frames, str(caught.value)


def test_every_frame_once_and_in_order(avi: Path) -> None:
    source = FileSource(avi)
    frames = list(source)
    assert (source.live, source.dropped, source.fps, source.frames) == (False, 0, 25, 40)
    assert isinstance(source, Source)
    assert [frame.index for frame in frames] == list(range(40))
    assert [number_of(frame.image) for frame in frames] == list(range(40))
    assert [frame.time_s for frame in frames] == pytest.approx([index / 25 for index in range(40)])
    assert {(frame.image.shape, frame.image.dtype.name) for frame in frames} == {((96, 128, 3), "uint8")}
    assert (source.corrupt, source.notes) == (0, ())


def test_iterating_again_starts_again(avi: Path) -> None:
    source = FileSource(avi)
    first = iter(source)
    assert next(first).index == 0
    assert [number_of(frame.image) for frame in source] == list(range(40))
    assert next(first, None) is None  # that iteration was over with the new one
    assert len(list(source)) == 40
    source.close()


def test_pictures_are_the_callers_to_keep(avi: Path) -> None:
    frames = list(FileSource(avi))
    frames[0].image[:] = 0
    assert number_of(frames[1].image) == 1


def test_a_phones_varying_rate_is_kept(tmp_path: Path) -> None:
    times = np.cumsum(np.random.default_rng(1).uniform(0.02, 0.1, 60))
    times -= times[0]
    for name in ("a.mp4", "a.mkv"):  # Matroska counts in whole milliseconds, and its frame count is a guess
        source = FileSource(write_av(tmp_path / name, times.tolist()))
        assert [frame.time_s for frame in source] == pytest.approx(times.tolist(), abs=6e-4)
        assert source.notes == ()


def test_rotation_metadata_turns_the_picture(tmp_path: Path) -> None:
    path = write_cv2(tmp_path / "upright.mp4", 3, "mp4v")
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44
    content[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)  # 90 degrees
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(content)
    straight, rotated = next(iter(FileSource(path))).image, next(iter(FileSource(turned))).image
    assert rotated.shape == (128, 96, 3)
    difference = cv2.absdiff(rotated, cv2.rotate(straight, cv2.ROTATE_90_CLOCKWISE))
    assert difference.mean() < 3


@pytest.mark.parametrize("container", ["mp4", "avi", "mkv"])
def test_a_cut_file_gives_all_its_frames_and_then_says_so(container: str, h264: Path, tmp_path: Path) -> None:
    if container == "mp4":
        whole = h264
    elif container == "avi":
        whole = write_cv2(tmp_path / "whole.avi", 100, "MJPG", textured)
    else:
        whole = write_av(tmp_path / "whole.mkv", TIMES, textured)
    content = whole.read_bytes()
    cut = tmp_path / f"cut.{container}"
    cut.write_bytes(content[: len(content) * 6 // 10])
    frames, message = until_error(FileSource(cut))
    assert 50 <= len(frames) <= 62
    assert [frame.index for frame in frames] == list(range(len(frames)))
    good = list(FileSource(whole))
    assert all(np.array_equal(left.image, right.image) for left, right in zip(frames[:-2], good, strict=False))
    assert message.startswith(f"{cut}: cut off: its last {len(content) - cut.stat().st_size} bytes are missing")
    assert message.endswith(f"it ends after frame {len(frames) - 1}")


@pytest.mark.parametrize("fill", ["noise", "zeros"])
def test_damage_in_the_middle_is_passed_over(fill: str, h264: Path, tmp_path: Path) -> None:
    content = bytearray(h264.read_bytes())
    start, length = len(content) // 2, len(content) // 20
    content[start : start + length] = np.random.default_rng(2).bytes(length) if fill == "noise" else bytes(length)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(content)
    source = FileSource(damaged)
    frames = list(source)
    assert 80 <= len(frames) < 100
    assert source.corrupt >= 1
    assert source.notes[0] == f"{damaged}: damaged places that were skipped: {source.corrupt}"
    assert f"states 100 frames and gives {len(frames)}" in source.notes[1]
    times = [frame.time_s for frame in frames]
    assert all(later > earlier for earlier, later in pairwise(times))
    assert times[-1] == pytest.approx(3.96)  # the frames behind the damage keep their own time


def test_damage_in_motion_jpeg(tmp_path: Path) -> None:
    content = bytearray(write_cv2(tmp_path / "whole.avi", 60, "MJPG", textured).read_bytes())
    start = len(content) // 2
    content[start : start + len(content) // 10] = bytes(len(content) // 10)
    damaged = tmp_path / "damaged.avi"
    damaged.write_bytes(content)
    source = FileSource(damaged)
    count = len(list(source))
    assert 40 <= count < 60
    assert any(f"states 60 frames and gives {count}" in note for note in source.notes)


def test_a_trimmed_video_is_no_cut_one(h264: Path, tmp_path: Path) -> None:
    # phones trim by an edit list: the frames stay in the file, and in its count, but are not shown
    content = bytearray(h264.read_bytes())
    place = content.index(b"elst") + 12
    duration, start = struct.unpack(">Ii", content[place : place + 8])
    content[place : place + 8] = struct.pack(">Ii", duration - 1200, start + 108_000)
    trimmed = tmp_path / "trimmed.mp4"
    trimmed.write_bytes(content)
    source = FileSource(trimmed)
    assert source.frames == 100
    assert len(list(source)) == 70
    assert "trimmed" in source.notes[0]


def test_what_is_not_a_video_is_refused(tmp_path: Path) -> None:
    text, empty, cut = tmp_path / "notes.mp4", tmp_path / "empty.mp4", tmp_path / "cut.mp4"
    text.write_text("not a video")
    empty.touch()
    content = write_cv2(tmp_path / "whole.mp4", 30, "mp4v", textured).read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    for path, reason in (
        (tmp_path / "none.mp4", "no such file"),
        (empty, "an empty file, not a video"),
        (text, "not a video that OpenCV can open (11 bytes)"),
        (cut, "not a video that OpenCV can open (its index (the moov box) is missing"),
        (tmp_path, "a folder, not a video file"),
    ):
        with pytest.raises(SourceError) as caught:
            FileSource(path)
        assert str(caught.value).startswith(f"{path}: {reason}")


READ = """
import sys
from danet.errors import SourceError
from danet.video.opening import open_source
for name in sys.argv[1:]:
    try:
        print(len(list(open_source(name))))
    except SourceError as error:
        print(error)
"""


def test_nothing_of_opencvs_own_reaches_stderr(h264: Path, tmp_path: Path) -> None:
    cut, text = tmp_path / "cut.mp4", tmp_path / "text.mp4"
    cut.write_bytes(h264.read_bytes()[:-20_000])
    text.write_text("not a video")
    # OpenCV asks for the log level when a process opens its first video, so a process of its own
    names = [h264, cut, text, "98", "rtsp://127.0.0.1:1/nobody"]
    command = [sys.executable, "-c", READ, *map(str, names)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert len(done.stdout.splitlines()) == 5
    assert done.stderr == ""


def test_close_ends_an_iteration_and_frees_the_file(avi: Path) -> None:
    gc.collect()
    handles = open_handles()
    source = FileSource(avi)
    frames = iter(source)
    next(frames)
    source.close()
    assert next(frames, None) is None
    assert list(source) == []
    source.close()
    assert open_handles() <= handles


def test_close_while_another_thread_reads(tmp_path: Path) -> None:
    source = FileSource(write_cv2(tmp_path / "long.avi", 400, "MJPG"))
    started, counts = threading.Event(), []

    def read() -> None:
        count = 0
        for _ in source:
            count += 1
            started.set()
        counts.append(count)

    reader = threading.Thread(target=read)
    reader.start()
    started.wait(10)
    source.close()
    reader.join(10)
    assert 1 <= counts[0] <= 400


def test_a_name_with_a_colon_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cv2(tmp_path / "a.avi", 3, "MJPG").rename(tmp_path / "rtsp:a%02d.avi")
    monkeypatch.chdir(tmp_path)
    assert [number_of(frame.image) for frame in FileSource("rtsp:a%02d.avi")] == [0, 1, 2]


@needs_shared(WALKING)
def test_a_real_video() -> None:
    source = FileSource(WALKING)
    times = [frame.time_s for frame in source]
    assert (len(times), source.frames, source.fps, source.corrupt) == (795, 795, 10, 0)
    # its first time stamp is 0.2 s, and OpenCV gives none for the last two frames
    assert times == pytest.approx([index / 10 for index in range(795)])


def test_the_numbers_survive_encoding() -> None:
    assert [number_of(numbered(index)) for index in range(256)] == list(range(256))
