"""Sources that are made of pictures, and what `open_source` makes of its argument."""

from __future__ import annotations

import functools
import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from danet.errors import InputError, SourceError
from danet.video import file_source
from danet.video.capture_thread import Limits
from danet.video.file_source import FileSource
from danet.video.folder_source import FolderSource, natural_key
from danet.video.frame import Frame, Source
from danet.video.iterable_source import IterableSource
from danet.video.latest_reader import LatestFrameReader
from danet.video.opencv_capture import without_password
from danet.video.opening import open_source

from .conftest import number_of, numbered, open_handles, write_cv2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures 0 to 11 whose names sort otherwise as text, one of another size, and files that are no pictures."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index in range(12):
        size = (48, 64) if index == 5 else (96, 128)
        cv2.imwrite(str(pictures / f"img{index}.{'PNG' if index % 2 else 'jpg'}"), numbered(index, size))
    (pictures / "notes.txt").write_text("no picture")
    (pictures / ".hidden.png").write_text("no picture")
    return pictures


def numbers(source: Source) -> list[int]:
    return [number_of(frame.image) for frame in source]


def test_a_folder_in_natural_order(folder: Path) -> None:
    source = open_source(folder)
    frames = list(source)
    assert (source.live, source.fps, source.frames, source.name) == (False, 10, 12, str(folder))
    assert [number_of(frame.image) for frame in frames] == list(range(12))
    assert [frame.time_s for frame in frames] == pytest.approx([index / 10 for index in range(12)])
    assert [frame.name for frame in frames[:3]] == ["img0.jpg", "img1.PNG", "img2.jpg"]
    assert frames[5].image.shape == (48, 64, 3)
    assert numbers(source) == list(range(12))


@pytest.mark.parametrize("form", [str, Path])
def test_a_glob_and_its_rate(form: type, folder: Path) -> None:
    source = open_source(form(folder / "img*.jpg"), fps=4)
    assert [(number_of(frame.image), frame.time_s) for frame in source] == [(2 * i, i / 4) for i in range(6)]


def test_a_folder_whose_name_looks_like_a_glob(folder: Path) -> None:
    strange = folder.rename(folder.with_name("run[1]*"))
    assert len(list(open_source(str(strange)))) == 12


def test_one_picture_and_a_list_of_paths(folder: Path) -> None:
    assert numbers(open_source(str(folder / "img7.PNG"))) == [7]
    assert numbers(open_source([folder / "img3.PNG", str(folder / "img1.PNG")])) == [3, 1]


def test_a_broken_picture_is_skipped_counted_and_named(folder: Path) -> None:
    (folder / "img3.PNG").write_bytes((folder / "img3.PNG").read_bytes()[:40])
    (folder / "img4.jpg").write_bytes(b"")
    source = open_source(folder)
    assert isinstance(source, FolderSource)
    frames = list(source)
    assert [frame.index for frame in frames] == [0, 1, 2, *range(5, 12)]
    assert frames[3].time_s == pytest.approx(0.5)
    assert source.corrupt == 2
    assert [note.split(":")[0] for note in source.notes] == [str(folder / "img3.PNG"), str(folder / "img4.jpg")]
    list(source)
    assert source.corrupt == 2  # counted anew


def test_nothing_but_broken_pictures(tmp_path: Path) -> None:
    for index in range(30):
        (tmp_path / f"{index}.png").write_text("no picture")
    source = open_source(tmp_path)
    with pytest.raises(SourceError, match=r"none of 30 pictures can be read; the first: .*0\.png: not a picture"):
        list(source)
    assert isinstance(source, FolderSource)
    assert len(source.notes) == 20


def test_natural_order_of_odd_names() -> None:
    names = ["b", "a10", "a2", "A1", "10", "9", "", "2b", "2", "²", "٣"]
    ordered = [path.name for path in sorted(map(Path, names), key=natural_key)]
    assert [name for name in ordered if name.isascii() and name] == ["2", "2b", "9", "10", "A1", "a2", "a10", "b"]


def test_arrays_and_frames() -> None:
    pictures = [numbered(index) for index in range(3)]
    for given in (pictures, tuple(pictures), np.stack(pictures), (picture for picture in pictures)):
        source = open_source(given, fps=5)
        assert [(frame.index, frame.time_s, number_of(frame.image)) for frame in source] == [
            (0, 0.0, 0),
            (1, 0.2, 1),
            (2, 0.4, 2),
        ]
    assert open_source(pictures).frames == 3
    assert open_source(iter(pictures)).frames is None
    own = Frame(pictures[0], 7, 12.5, "own")
    assert list(open_source([own])) == [own]
    grey = open_source([pictures[0][:, :, 0]])
    assert next(iter(grey)).image.shape == (96, 128, 3)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_in_one_buffer(channels: int) -> None:
    def in_one_buffer() -> Iterator[Any]:
        buffer = np.empty((96, 128, channels), np.uint8)
        for index in range(3):
            buffer[:] = numbered(index)[:, :, :1]
            yield buffer

    assert [number_of(frame.image) for frame in list(open_source(in_one_buffer()))] == [0, 1, 2]


def test_an_item_that_is_no_picture() -> None:
    frames = iter(open_source([numbered(0), None]))
    next(frames)
    with pytest.raises(InputError, match="frame of None"):
        next(frames)


def test_closing_ends_a_generator() -> None:
    ended: list[str] = []

    def generate() -> Iterator[Any]:
        try:
            while True:
                yield numbered(0)
        finally:
            ended.append("yes")

    source = open_source(generate())
    frames = iter(source)
    next(frames)
    source.close()
    assert ended == ["yes"]
    assert next(frames, None) is None


def test_a_source_is_given_back() -> None:
    source = IterableSource([numbered(0)])
    assert open_source(source) is source


@pytest.mark.parametrize(
    ("source", "options", "error", "message"),
    [
        ("none.mp4", {}, SourceError, "none.mp4: no such file"),
        ("none/*.png", {}, SourceError, "none/*.png: no file has such a name"),
        (97, {}, SourceError, "camera 97 cannot be opened: "),
        ("97", {}, SourceError, "camera 97 cannot be opened: "),
        (np.int64(97), {}, SourceError, "camera 97 cannot be opened: "),
        ("/dev/video97", {}, SourceError, "camera /dev/video97 cannot be opened: "),
        (-1, {}, InputError, "camera -1, expected an index from 0 on"),
        (True, {}, InputError, "source True, expected a file"),
        (1.5, {}, InputError, "source of type float, expected a file"),
        (None, {}, InputError, "source of type NoneType, expected a file"),
        (b"video.mp4", {}, InputError, "source of type bytes, expected a file"),
        (np.zeros((4, 4, 3), np.uint8), {}, InputError, "an array of shape (4, 4, 3) as a source"),
        (0, {"live": False}, InputError, "camera 0 with live=False"),
        (0, {"fps": 5.0}, InputError, "fps=5 is for pictures and arrays"),
        ("a.mp4", {"fps": 5.0}, InputError, "fps=5 is for pictures and arrays"),
        ([], {"fps": 0.0}, InputError, "fps 0.0, expected a number above 0"),
        (iter([]), {"loop": True}, InputError, "list_iterator cannot be repeated"),
        ("rtsp://me:secret@127.0.0.1:1/x", {}, SourceError, "rtsp://127.0.0.1:1/x: no video can be opened there"),
        ("rtsp://me:secret[1@h/s", {}, InputError, "rtsp://h/s: an address that cannot be taken apart; percent-encode"),
        ("rtsp://me:[secret]@h/s", {}, InputError, "rtsp://h/s: an address that cannot be taken apart; percent-encode"),
        ("http://127.0.0.1:1/x.mp4", {}, SourceError, "http://127.0.0.1:1/x.mp4: no video can be opened there"),
        ("file:///none.mp4", {}, SourceError, "/none.mp4: no such file"),
        ("file://localhost/none%20a.mp4", {}, SourceError, "/none a.mp4: no such file"),
        ("file://none.mp4", {}, InputError, "file://none.mp4: names a host; a file of this machine is file:///"),
    ],
)
def test_what_cannot_be_opened(source: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        open_source(source, **options)
    assert str(caught.value).startswith(message)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://192.168.1.10/stream?channel=1#a", "rtsp://192.168.1.10/stream?channel=1#a"),
        ("rtsp://admin:secret@192.168.1.10:554/stream", "rtsp://192.168.1.10:554/stream"),
        ("rtsp://admin:se#cret@192.168.1.10/stream", "rtsp://192.168.1.10/stream"),
        ("rtsp://admin:se/cret@192.168.1.10/stream", "rtsp://192.168.1.10/stream"),
        ("rtsp://admin:se?cret@192.168.1.10/stream", "rtsp://192.168.1.10/stream"),
        ("rtsp://admin:se@cret@192.168.1.10/stream", "rtsp://192.168.1.10/stream"),
        ("rtsp://admin:se[cret@192.168.1.10/stream", "rtsp://192.168.1.10/stream"),
        ("rtsp://admin:se://cret@192.168.1.10/stream", "rtsp://192.168.1.10/stream"),
        ("rtsp://admin:secret@192.168.1.10/a@2", "rtsp://2"),
        ("RTSP://secret@[::1]/stream", "RTSP://[::1]/stream"),
        ("http://cam/mjpg?user=me&pwd=secret&res=640x480", "http://cam/mjpg?user=***&pwd=***&res=640x480"),
        ("http://cam/live;loginpas=secret;fps=5", "http://cam/live;loginpas=***;fps=5"),
        ("http://cam/live?u=me&p=se;cret&Channel=2", "http://cam/live?u=***&p=***&Channel=2"),
        ("rtsp://cam/1?accessToken=secret#a", "rtsp://cam/1?accessToken=***"),
        ("rtsp://me:a@cam/1?Password=secret", "rtsp://cam/1?Password=***"),
        ("rtsp://me:a?token=secret@cam/1?Password=secret", "rtsp://***"),
        ("http://cam/live?pwd=se@cret&res=1", "http://***"),
        (
            "rtsp://cam:554/user=me_password=se_cret_channel=1_stream=0.sdp?real_stream",
            "rtsp://cam:554/user=***_password=***_channel=1_stream=0.sdp?real_stream",
        ),
    ],
)
def test_passwords_are_not_shown(address: str, shown: str) -> None:
    assert without_password(address) == shown


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no pictures in this folder; expected files named \.bmp"):
        open_source(tmp_path)


def test_a_video_without_end(tmp_path: Path) -> None:
    source = open_source(write_cv2(tmp_path / "a.avi", 5, "MJPG"), loop=True)
    assert source.frames is None
    frames = iter(source)
    first = [next(frames) for _ in range(12)]
    assert [number_of(frame.image) for frame in first] == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
    assert [frame.index for frame in first] == list(range(12))
    assert [frame.time_s for frame in first] == pytest.approx([index / 25 for index in range(12)])
    gc.collect()
    handles = open_handles()
    for _ in range(100):
        next(frames)
    assert open_handles() <= handles
    source.close()
    assert next(frames, None) is None


def test_pictures_without_end(folder: Path) -> None:
    frames = iter(open_source(folder, loop=True, fps=5))
    assert [next(frames).time_s for _ in range(30)] == pytest.approx([index / 5 for index in range(30)])
    with pytest.raises(SourceError, match="gave no frame"):
        next(iter(open_source([], loop=True)))


@pytest.mark.long
def test_a_file_played_like_a_camera(tmp_path: Path) -> None:
    path = write_cv2(tmp_path / "a.avi", 100, "MJPG")  # 4 seconds
    with_gaps = []
    start = time.monotonic()
    source = open_source(path, live=True)
    assert isinstance(source, LatestFrameReader)
    assert (source.live, source.fps) == (True, 25)
    for frame in source:
        assert number_of(frame.image) - with_gaps[-1][1] > 0 if with_gaps else True
        with_gaps.append((frame.index, number_of(frame.image)))
        time.sleep(0.15)
    assert time.monotonic() - start > 3.9
    assert len(with_gaps) < 50
    assert source.dropped > 0
    assert with_gaps[-1][1] == 99  # the last one is kept although its maker has gone
    source.close()


@contextmanager
def served(folder: Path, most: int | None = None) -> Iterator[str]:
    """The address of a folder's files; of each at most so many bytes, behind which the connection is lost."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None: ...

        def copyfile(self, source: Any, outputfile: Any) -> None:
            outputfile.write(source.read(-1 if most is None else most))

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


def test_a_file_behind_an_address(tmp_path: Path) -> None:
    write_cv2(tmp_path / "a.avi", 20, "MJPG")
    with served(tmp_path) as place:
        source = open_source(f"http://user:secret@{place}/a.avi")
        assert isinstance(source, FileSource)
        assert source.name == f"http://{place}/a.avi"
        assert numbers(source) == list(range(20))
        assert source.notes == ()
        source.close()


def test_an_estimated_count_is_no_lost_connection(tmp_path: Path) -> None:
    # Matroska states a duration, in which a longer sound counts
    write_cv2(tmp_path / "a.mkv", 40, "mp4v")
    with served(tmp_path) as place, open_source(f"http://{place}/a.mkv") as source:
        assert isinstance(source, FileSource)
        source.frames = 60
        assert len(list(source)) == 40
        (note,) = source.notes
        assert "it states 60 frames and gives 40" in note


def test_an_address_without_a_suffix_states_no_count(tmp_path: Path) -> None:
    write_cv2(tmp_path / "a.mkv", 40, "mp4v").rename(tmp_path / "get")
    with served(tmp_path) as place, open_source(f"http://{place}/get?id=3") as source:
        assert isinstance(source, FileSource)
        source.frames = 60
        assert len(list(source)) == 40


def test_a_lost_connection_is_no_end(tmp_path: Path) -> None:
    path = write_cv2(tmp_path / "a.avi", 60, "MJPG")
    found: list[int] = []
    with (
        served(tmp_path, path.stat().st_size // 2) as place,
        open_source(f"http://{place}/a.avi") as source,
        pytest.raises(SourceError) as caught,
    ):
        found.extend(number_of(frame.image) for frame in source)
    assert 10 < len(found) < 50
    assert found[:-1] == list(range(len(found) - 1))  # the last frame may be half a picture
    message = f"a.avi: the connection ended after frame {len(found) - 1}, where 60 frames are stated"
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("address", "stalled", "message"),
    [
        ("rtsp://cam/live", False, "rtsp://cam/live: the connection ended after frame 2; a stream"),
        ("https://cam/a.ts", True, "https://cam/a.ts: the connection ended after frame 2: nothing came"),
        ("https://cam/a.ts", False, None),
    ],
)
def test_the_end_of_a_stream_without_a_length(
    address: str, stalled: bool, message: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_cv2(tmp_path / "a.avi", 3, "MJPG")
    monkeypatch.setattr(file_source, "open_address", lambda *_: cv2.VideoCapture(str(path)))
    monkeypatch.setattr(file_source, "stated_frames", lambda _: None)
    monkeypatch.setattr(file_source, "ATTEMPTS_S", -1.0 if stalled else 5.0)
    source = FileSource(address)
    if message is None:
        assert numbers(source) == [0, 1, 2]
        assert source.notes == ("https://cam/a.ts: it states no length: whether it was all there cannot be told",)
    else:
        with pytest.raises(SourceError, match=message):
            numbers(source)


@pytest.mark.skipif(sys.platform != "linux", reason="device files as Linux has them")
def test_a_camera_by_a_lasting_name(tmp_path: Path) -> None:
    link = tmp_path / "usb-camera-video-index0"
    link.symlink_to("/dev/null")  # a character device, as cameras are
    with pytest.raises(SourceError, match=rf"camera {link} cannot be opened: .* is no camera that gives pictures"):
        open_source(link)
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(SourceError, match=r"pipe\.mp4: not a regular file"):
        open_source(tmp_path / "pipe.mp4")
    with pytest.raises(SourceError, match=r"camera /dev/v4l/by-id/gone cannot be opened: there is no /dev/v4l"):
        open_source("/dev/v4l/by-id/gone")
    with pytest.raises(SourceError, match="a folder, not a video file"):
        FileSource(tmp_path)


def test_an_error_of_what_is_played_like_a_camera_is_raised() -> None:
    def broken() -> Iterator[Any]:
        yield np.zeros((8, 8, 3), np.uint8)
        raise ValueError("no more film")

    source = open_source(broken(), live=True, fps=100)
    with pytest.raises(ValueError, match="no more film"):
        list(source)
    source.close()


def test_a_recording_waits_for_its_first_look() -> None:
    """Unlike a camera: a short one would be over before the model is loaded."""
    source = open_source([numbered(index) for index in range(3)], live=True, fps=4)
    time.sleep(0.8)
    frames = list(source)
    assert number_of(frames[0].image) == 0
    assert frames[0].index == 0
    assert len(frames) + source.dropped == 3
    source.close()


def test_a_recording_that_nobody_looks_at_ends() -> None:
    source = open_source([numbered(0)] * 3, live=True)
    source.close()
    assert list(source) == []


def test_a_program_ends_while_its_recording_waits() -> None:
    """Its end need not wait for the thread, as for a camera's that hangs."""
    code = (
        "import atexit\n"
        "atexit.register(lambda: print(source._thread.is_alive()))\n"  # the first one runs last
        "import numpy as np\n"
        "from danet.video.opening import open_source\n"
        "source = open_source([np.zeros((8, 8, 3), np.uint8)] * 3, live=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "False\n", done.stderr


def test_a_recording_is_closed_before_its_next_frame_is_due() -> None:
    for begun in (False, True):
        source = open_source([numbered(0)] * 3, live=True, fps=0.05)
        if begun:
            next(iter(source))
            time.sleep(0.1)  # by now its thread waits for the second one, 20 s away
        threads = threading.active_count()
        source.close()  # which waits for its thread, but for no more than 1 s
        assert threading.active_count() < threads


def test_frames_that_do_not_begin_at_0_go_on_when_repeated() -> None:
    image = numbered(0)
    frames = iter(open_source([Frame(image, 50, 100.0), Frame(image, 51, 100.5)], loop=True))
    assert [(one.index, one.time_s) for one in (next(frames) for _ in range(5))] == [
        (50, 100.0), (51, 100.5), (52, 101.0), (53, 101.5), (54, 102.0),
    ]  # fmt: skip


def test_a_relative_name_stays_that_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cv2(tmp_path / "a.avi", 3, "MJPG")
    monkeypatch.chdir(tmp_path)
    source = open_source("a.avi")
    assert len(list(source)) == 3
    monkeypatch.chdir("/")
    assert len(list(source)) == 3
    assert source.name == "a.avi"


def test_options_that_would_do_nothing(tmp_path: Path) -> None:
    source = open_source([numbered(0)])
    with pytest.raises(InputError, match="fps=7 is for pictures and arrays; list has time stamps"):
        open_source(source, fps=7)
    path = write_cv2(tmp_path / "a.avi", 3, "MJPG")
    for one in (source, path, f"file://{path}", tmp_path / "*.png", [numbered(0)]):
        with pytest.raises(InputError, match="limits are times of a camera or stream"):
            open_source(one, limits=Limits())
    live = open_source(path, live=True, limits=Limits())
    with pytest.raises(InputError, match="limits are times of a camera or stream"):
        open_source(live, live=True, limits=Limits(give_up_s=5))  # it keeps those that it has
    live.close()


def test_an_empty_name() -> None:
    """Of a variable of the shell that is not set; as a path it would be the current folder."""
    with pytest.raises(InputError, match="an empty name as a source"):
        open_source("")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="gives its rights up, which needs root")
def test_a_folder_that_may_not_be_searched(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    code = (
        "import os, sys\n"
        "from danet.errors import SourceError\n"
        "from danet.video.opening import open_source\n"
        "os.setuid(65534)\n"
        "for name in ('a.mp4', 'folder', '*.png'):\n"
        "    try:\n"
        "        open_source(os.path.join(sys.argv[1], name))\n"
        "    except SourceError as error:\n"
        "        print(error)\n"
    )
    os.chmod(tmp_path, 0o755)  # noqa: PTH101 -- pytest's own folders are above it
    done = subprocess.run([sys.executable, "-c", code, private], capture_output=True, text=True, timeout=60)
    assert done.stdout.count("Permission denied") + done.stdout.count("no file has such a name") == 3, done


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="File name too long"):
        open_source(tmp_path / ("n" * 300))


def test_a_camera_of_ones_own_that_is_iterable() -> None:
    class Camera:
        def __iter__(self) -> Iterator[Any]:
            return iter([np.zeros((3, 4, 3), np.uint8)])

        def read(self) -> None: ...

        def release(self) -> None: ...

    assert len(list(open_source(Camera()))) == 1


def test_a_capture_that_is_open_already() -> None:
    capture = cv2.VideoCapture()
    with pytest.raises(InputError, match=r"VideoCapture, a capture that is open; .*LatestFrameReader"):
        open_source(capture)
