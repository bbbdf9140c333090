from __future__ import annotations

import errno
import gc
import importlib.util
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from danet.errors import InputError, MissingExtraError
from danet.video import opencv_encoder, pyav_encoder
from danet.video.file_source import FileSource
from danet.video.video_writer import VideoWriter

from .conftest import decoded, number_of, numbered, open_handles

HAS_AV = importlib.util.find_spec("av") is not None and pyav_encoder.codecs() != {}
OPENCV = tuple(map(int, cv2.__version__.split(".")[:2]))
needs_av = pytest.mark.skipif(not HAS_AV, reason="H.264 needs PyAV, the extra `video`")
WAYS = [
    *(pytest.param("av", suffix, marks=needs_av) for suffix in pyav_encoder.CONTAINERS),
    *(("opencv", suffix) for suffix in opencv_encoder.CODECS),
]


@pytest.mark.parametrize(("backend", "suffix"), WAYS)
def test_what_is_written_can_be_read(backend: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "folder" / f"out{suffix}"
    with VideoWriter(path, fps=25, backend=backend) as writer:
        for index in range(60):
            writer.write(numbered(index))
        assert not path.exists()
    writer.close()
    assert writer.frames == 60
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    frames = list(FileSource(path))
    assert [number_of(frame.image) for frame in frames] == list(range(60))
    assert [frame.time_s for frame in frames] == pytest.approx([index / 25 for index in range(60)], abs=6e-4)
    assert max(np.abs(frame.image - numbered(frame.index).astype(int)).mean() for frame in frames) < 6


@needs_av
def test_pyav_writes_the_time_stamps_that_are_given(tmp_path: Path) -> None:
    times = np.cumsum([0, 0.033, 0.2, 0.01, 1.5, 0.04]).tolist()
    with VideoWriter(tmp_path / "out.mp4") as writer:
        for index, time_s in enumerate(times):
            writer.write(numbered(index), time_s)
    assert [time_s for _, time_s in decoded(tmp_path / "out.mp4")] == pytest.approx(times, abs=2e-5)


@needs_av
def test_times_that_do_not_rise_are_moved(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4") as writer:
        for index, time_s in enumerate([0.0, 0.5, 0.5, 0.2, 1.0]):
            writer.write(numbered(index), time_s)
        writer.write(numbered(5))
    frames = decoded(tmp_path / "out.mp4")
    assert [number_of(image) for image, _ in frames] == list(range(6))
    assert [time_s for _, time_s in frames] == pytest.approx([0, 0.5, 0.5, 0.5, 1.0, 1.04], abs=1e-4)


def test_opencv_repeats_frames_so_that_it_lasts_as_long(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.avi", fps=10) as writer:
        for index, time_s in enumerate([0, 0.1, 0.5, 0.6, 3600]):
            writer.write(numbered(index), time_s)
    numbers = [number_of(frame.image) for frame in FileSource(tmp_path / "out.avi")]
    assert numbers == [0, 1, 1, 1, 1, 2, 3, *[3] * 100, 4]


def test_opencv_repeats_what_a_frame_was_and_not_what_its_array_has_become(tmp_path: Path) -> None:
    image = numbered(0)
    with VideoWriter(tmp_path / "out.avi", fps=10, backend="opencv") as writer:
        for index in range(3):
            image[:] = numbered(index)
            writer.write(image, index * 0.3)
    numbers = [number_of(frame.image) for frame in FileSource(tmp_path / "out.avi")]
    assert numbers == [0, 0, 0, 1, 1, 1, 2]


def test_opencv_leaves_frames_out_so_that_it_lasts_no_longer(tmp_path: Path) -> None:
    """A camera of 60 frames a second, and a file of the 25 that are taken where it states no rate."""
    with VideoWriter(tmp_path / "out.avi", fps=25, backend="opencv") as writer:
        for index in range(120):
            writer.write(numbered(index), index / 60)
    numbers = [number_of(frame.image) for frame in FileSource(tmp_path / "out.avi")]
    assert len(numbers) in (50, 51)
    ahead = [place - number / 60 * 25 for place, number in enumerate(numbers)]
    assert -0.5 <= min(ahead) <= max(ahead) <= 1.01


def test_opencv_leaves_nothing_out_where_time_stamps_waver(tmp_path: Path) -> None:
    """By 16 ms to both sides; the first one was late, and all count from it."""
    times = [(index + 0.4 * (-1) ** index - 0.4) / 25 for index in range(40)]
    with VideoWriter(tmp_path / "out.avi", fps=25, backend="opencv") as writer:
        for index, time_s in enumerate(times):
            writer.write(numbered(index), time_s)
    assert [number_of(frame.image) for frame in FileSource(tmp_path / "out.avi")] == list(range(40))


@pytest.mark.parametrize(("backend", "suffix"), [("opencv", ".avi"), pytest.param("av", ".mp4", marks=needs_av)])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_a_relative_name_with_a_colon(
    backend: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"2026-11-27T12:30{suffix}"
    with VideoWriter(name, backend=backend) as writer:
        writer.write(numbered(9))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert number_of(next(iter(FileSource(tmp_path / name))).image) == 9


def test_an_encoder_that_writes_nothing_costs_no_older_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.avi"
    path.write_text("old")
    nothing = SimpleNamespace(write=lambda *_: None, close=lambda: None)
    monkeypatch.setattr(opencv_encoder, "open_encoder", lambda *_: nothing)
    with pytest.raises(OSError, match="the encoder wrote nothing") as caught:  # noqa: SIM117 -- raised by the second
        with VideoWriter(path, backend="opencv") as writer:
            writer.write(numbered(0))
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("times", [[0.0] * 30, [index / 25 for index in (*range(15), *range(15))]])
def test_opencv_leaves_nothing_out_where_times_do_not_rise(times: list[float], tmp_path: Path) -> None:
    """All the same, or those of one clip after another."""
    with VideoWriter(tmp_path / "out.avi", fps=25, backend="opencv") as writer:
        for index, time_s in enumerate(times):
            writer.write(numbered(index), time_s)
    assert [number_of(frame.image) for frame in FileSource(tmp_path / "out.avi")] == list(range(30))


@pytest.mark.parametrize(("backend", "suffix"), [("opencv", ".avi"), pytest.param("av", ".mp4", marks=needs_av)])
def test_odd_sides_and_changing_sizes(backend: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"out{suffix}"
    with VideoWriter(path, backend=backend) as writer:
        writer.write(numbered(3, (95, 127)))
        writer.write(numbered(4, (95, 127)))
        writer.write(np.full((200, 100, 3), 250, np.uint8))  # twice as high as wide
        writer.write(numbered(5, (190, 254)))
        writer.write(numbered(6, (95, 127))[:, :, 0])
    images = [frame.image for frame in FileSource(path)]
    assert {image.shape for image in images} == {(96, 128, 3)}
    assert [number_of(image) for image in (images[0], images[1], images[3], images[4])] == [3, 4, 5, 6]
    row = images[2][48].mean(axis=1)
    assert row[52:75].min() > 235  # the high picture, in the middle
    assert max(row[:36].max(), row[92:].max()) < 140  # the rest


def test_opencv_fills_a_long_gap_once(tmp_path: Path) -> None:
    """A camera was away for an hour: ten seconds stand for it, and later frames are not repeated."""
    path = tmp_path / "gap.avi"
    with VideoWriter(path, fps=10, backend="opencv", reserve_bytes=0) as writer:
        for time_s in (0.0, 0.1, 3600.0, 3600.1, 3600.2, 3600.3):
            writer.write(numbered(3), time_s)
    assert len(decoded(path)) == 6 + 100


@pytest.mark.parametrize(("backend", "suffix"), WAYS)
def test_a_video_begins_with_its_first_frame_whatever_the_clock(backend: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"out{suffix}"
    with VideoWriter(path, backend=backend) as writer:  # of an event inside a running pipeline
        for index in range(10):
            writer.write(numbered(index), 3600 + index / 25)
    frames = list(FileSource(path))
    assert [number_of(frame.image) for frame in frames] == list(range(10))
    assert [frame.time_s for frame in frames] == pytest.approx([index / 25 for index in range(10)], abs=6e-4)
    if backend == "av":
        assert decoded(path)[0][1] == pytest.approx(0, abs=1e-4)  # FileSource counts from its first frame anyway


def test_a_given_size(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.avi", (48, 64)) as writer:
        writer.write(numbered(9))
    assert next(iter(FileSource(tmp_path / "out.avi"))).image.shape == (48, 64, 3)


@pytest.mark.parametrize(("backend", "suffix"), [("opencv", ".avi"), pytest.param("av", ".mp4", marks=needs_av)])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_what_was_done_is_kept_after_an_error(
    error: type[BaseException], backend: str, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"out{suffix}"

    def run() -> None:
        with VideoWriter(path, backend=backend) as writer:
            for index in range(30):
                writer.write(numbered(index))
            raise error("stop")

    with pytest.raises(error, match="stop"):
        run()
    assert [number_of(frame.image) for frame in FileSource(path)] == list(range(30))
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_written_leaves_nothing_and_an_old_file_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "out.avi"
    VideoWriter(path).close()
    assert list(tmp_path.iterdir()) == []
    path.write_text("old")
    with pytest.raises(InputError, match="frame of None"), VideoWriter(path) as writer:
        writer.write(None)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("out.xyz", {}, "out.xyz: videos named .xyz cannot be written; use .avi"),
        ("out", {}, "out: videos named (no suffix) cannot be written; use .avi"),
        ("out.gif", {"backend": "opencv"}, "out.gif: videos named .gif cannot be written; use .avi, .mkv, .mov, .mp4"),
        ("out.avi", {"backend": "gstreamer"}, "backend 'gstreamer', expected one of av, opencv"),
        ("out.avi", {"fps": 0}, "fps 0, expected more than 0"),
        ("out.avi", {"fps": float("nan")}, "fps nan, expected more than 0"),
        ("out.avi", {"size": (0, 10)}, "size (0, 10), expected (height, width)"),
    ],
)
def test_what_cannot_be_written(name: str, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        VideoWriter(tmp_path / name, **options)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_and_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "out.avi").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        VideoWriter(tmp_path / "out.avi")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file") as caught:
        VideoWriter(tmp_path / "file" / "out.avi")
    assert caught.value.filename == str(tmp_path / "file" / "out.avi")


def test_a_folder_that_cannot_be_written_is_told_with_the_files_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: Any) -> None:  # chmod would not stop root
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(OSError, match="Permission denied") as caught:
        VideoWriter(tmp_path / "out.avi")
    assert caught.value.filename == str(tmp_path / "out.avi")


def test_closed_writers_and_odd_times(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.avi") as writer:
        for time_s in (-1.0, float("nan"), float("inf")):
            with pytest.raises(InputError, match="expected seconds from 0 on"):
                writer.write(numbered(0), time_s)
    with pytest.raises(InputError, match="this writer is closed"):
        writer.write(numbered(0))


def test_without_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"needs av, .*danet-edge\[video\]"):
        VideoWriter(tmp_path / "out.mp4", backend="av")
    with VideoWriter(tmp_path / "out.mp4") as writer:
        writer.write(numbered(1))
        assert writer.codec == "mp4v by OpenCV"
    assert number_of(next(iter(FileSource(tmp_path / "out.mp4"))).image) == 1


@needs_av
def test_with_pyav_h264_is_written(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", threads=1) as writer:
        writer.write(numbered(1))
        assert writer.codec.startswith("H.264 by PyAV")


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from danet.video.video_writer import VideoWriter
noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
writer = VideoWriter(Path(sys.argv[1]), fps=25)
for index in range(150):
    writer.write(np.roll(noise, index, axis=1))
os.kill(os.getpid(), signal.SIGKILL)
"""


@needs_av
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_process_leaves_a_file_that_plays(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "out.mp4")], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".out.")
    assert left.suffix == ".mp4"
    assert sum(1 for _ in itertools.islice(FileSource(left), 50)) == 50


@pytest.fixture
def small_disk(mounted: Callable[[str], Path]) -> Path:
    """A file system of 2 MB."""
    return mounted("2m")


def until_full(writer: VideoWriter) -> OSError:
    random = np.random.default_rng(3)
    with pytest.raises(OSError, match="No space left") as caught, writer:  # noqa: PT012 -- writes until it fails
        for _ in range(1000):
            writer.write(random.integers(0, 255, (160, 240, 3), np.uint8))  # noise, which no codec makes small
    return caught.value


@pytest.mark.parametrize(
    ("backend", "suffix", "reserve"),
    [
        ("opencv", ".avi", 600_000),
        pytest.param("av", ".mp4", 600_000, marks=needs_av),
        pytest.param("av", ".mp4", 0, marks=needs_av),  # FFmpeg itself meets the full disk
    ],
)
def test_a_full_disk(backend: str, suffix: str, reserve: int, small_disk: Path) -> None:
    path = small_disk / f"out{suffix}"
    writer = VideoWriter(path, backend=backend, reserve_bytes=reserve)
    error = until_full(writer)
    assert (error.errno, error.filename) == (errno.ENOSPC, str(path))
    assert ("MiB left" in str(error)) == (reserve > 0)
    assert list(small_disk.iterdir()) == [path]
    assert writer.frames > 20
    source = FileSource(path)
    if reserve:
        assert len(list(source)) == writer.frames  # finished in the reserve, whole
    else:
        # FFmpeg as OpenCV 4.10 has it gives up sooner in a fragment that is cut off
        least = 10 if OPENCV >= (4, 11) else 5
        assert len(list(itertools.islice(source, least))) == least
    source.close()


def test_a_disk_that_is_too_full_to_begin(small_disk: Path) -> None:
    with pytest.raises(OSError, match=r"out\.avi") as caught, VideoWriter(small_disk / "out.avi") as writer:
        writer.write(numbered(0))
    assert caught.value.errno == errno.ENOSPC
    assert "8.0 MiB are kept to finish the file" in str(caught.value)
    assert list(small_disk.iterdir()) == []


def test_handles_and_threads_are_given_back(tmp_path: Path) -> None:
    def run() -> None:
        for name in ("a.avi", "a.mp4"):
            with VideoWriter(tmp_path / name) as writer:
                writer.write(numbered(0))

    run()
    gc.collect()
    handles = open_handles()
    threads = threading.active_count()
    for _ in range(5):
        run()
    assert threading.active_count() <= threads
    assert open_handles() <= handles


@pytest.mark.parametrize(("backend", "suffix"), WAYS)
def test_a_rate_of_numpy_and_a_long_name(backend: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / ("n" * (250 - len(suffix)) + suffix)
    with VideoWriter(path, fps=np.float32(25), backend=backend) as writer:  # type: ignore[arg-type]
        for index in range(3):
            writer.write(numbered(index))
    assert len(list(FileSource(path))) == 3


WRITING = """
import sys, threading
import numpy as np
from danet.video.video_writer import VideoWriter
writer = VideoWriter(sys.argv[1], backend=sys.argv[2])
written = threading.Event()
def write():
    for number in range(1_000_000):
        writer.write(np.full((480, 640, 3), number % 256, np.uint8))
        if number == 20:
            written.set()
threading.Thread(target=write, daemon=True).start()
written.wait()
"""


@needs_av
@pytest.mark.parametrize("round_", range(3))
def test_the_program_ends_while_a_thread_writes(round_: int, tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    subprocess.run([sys.executable, "-c", WRITING, str(path), "av"], check=True, timeout=60, capture_output=True)
    assert [one.name for one in tmp_path.iterdir()] == ["out.mp4"]
    assert len(list(FileSource(path))) > 20


FORKING = """
import os, sys
import numpy as np
from danet.video.video_writer import VideoWriter
with VideoWriter(sys.argv[1], backend="opencv") as writer:
    for grey in range(10):
        writer.write(np.full((32, 32, 3), 20 * grey, np.uint8))
        if grey == 5 and os.fork() == 0:
            del writer
            sys.exit()
    os.wait()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_a_forked_child_leaves_its_parents_video_alone(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"out{suffix}"
    subprocess.run([sys.executable, "-c", FORKING, str(path)], check=True, timeout=60)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    assert len(list(FileSource(path))) == 10


UNCLOSED = """
import sys
import numpy as np
from danet.video.video_writer import VideoWriter
writer = VideoWriter(sys.argv[1], fps=None, backend="opencv")
for grey in range(5):
    writer.write(np.full((32, 32, 3), 40 * grey, np.uint8))
if sys.argv[2:]:
    del writer
    print("after")
"""


@pytest.mark.parametrize("dropped", [False, True])
def test_a_writer_that_nobody_closed_finishes_its_file(dropped: bool, tmp_path: Path) -> None:
    path = tmp_path / "out.avi"
    line = [sys.executable, "-W", "always::ResourceWarning", "-c", UNCLOSED, str(path), *(["del"] if dropped else [])]
    done = subprocess.run(line, capture_output=True, text=True, check=True, timeout=60)
    assert ("ResourceWarning: unclosed" in done.stderr) == dropped, done.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["out.avi"]
    frames = list(FileSource(path))
    assert len(frames) == 5
    assert frames[-1].time_s == pytest.approx(4 / 25, abs=1e-3)
