"""Cameras that a test plays: they give frames, fail, raise, hang and come back. No test waits for less than seconds."""

from __future__ import annotations

import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, replace
from itertools import pairwise
from queue import Queue
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from tests.concurrency.work import python

from danet.errors import InputError, SourceError
from danet.video import latest_reader
from danet.video.camera_source import open_stream
from danet.video.capture_thread import Limits
from danet.video.frame import Source
from danet.video.latest_reader import MOST_HUNG, LatestFrameReader
from danet.video.opencv_capture import quiet_opencv

from .conftest import number_of, numbered

QUICK = Limits(open_s=5, stall_s=60, give_up_s=20, first_retry_s=0.05, longest_retry_s=0.2)
Step = Callable[[], tuple[bool, Any]]


class Camera:
    """Gives what the test puts into it; each reading waits for the next step.

    With `comeback`, every connection but the first gives that picture again and again.
    """

    def __init__(self) -> None:
        self.steps: Queue[Step] = Queue()
        self.comeback: int | None = None
        self.connections = self.released = self.reads = self.taken = 0
        self.refuse: Exception | None = None
        self.gone = threading.Event()

    def connect(self) -> Any:
        self.connections += 1
        if self.refuse is not None:
            raise self.refuse
        return self if self.comeback is None or self.connections == 1 else Steady(self)

    def read(self) -> tuple[bool, Any]:
        self.reads += 1
        step = self.steps.get()
        self.taken += 1
        return step()

    def release(self) -> None:
        self.released += 1

    def give(self, *indices: int) -> None:
        for index in indices:
            self.steps.put(lambda index=index: (True, numbered(index)))

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            self.steps.put(lambda: (False, None))

    def throw(self, error: BaseException) -> None:
        def step() -> tuple[bool, Any]:
            raise error

        self.steps.put(step)

    def hang(self) -> None:
        """Until the test's end."""

        def step() -> tuple[bool, Any]:
            self.gone.wait(60)
            return False, None

        self.steps.put(step)


class Steady:
    """A connection that works."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera

    def read(self) -> tuple[bool, Any]:
        time.sleep(0.02)
        return True, numbered(self._camera.comeback or 0)

    def release(self) -> None: ...


def eventually(condition: Callable[[], bool], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come about in time"
        time.sleep(0.01)


def once_asked(reader: LatestFrameReader, put: Callable[..., None], *values: Any) -> None:
    """What a camera gives before anybody iterates is dropped."""

    def wait() -> None:
        eventually(lambda: reader._asked_for)
        put(*values)

    threading.Thread(target=wait).start()


@pytest.fixture
def camera() -> Iterator[Camera]:
    made = Camera()
    yield made
    made.gone.set()
    made.fail(20)  # lets every thread that waits in `read` look whether it should end


@pytest.fixture
def open_reader(camera: Camera) -> Iterator[Callable[..., LatestFrameReader]]:
    opened: list[LatestFrameReader] = []

    def make(limits: Limits = QUICK, connect: Callable[[], Any] = camera.connect) -> LatestFrameReader:
        opened.append(LatestFrameReader(connect, name="porch", limits=limits))
        return opened[-1]

    yield make
    camera.gone.set()
    for reader in opened:
        camera.fail(3)
        reader.close()


Open = Callable[..., LatestFrameReader]


def test_frames_come_in_order_with_the_time_of_their_arrival(camera: Camera, open_reader: Open) -> None:
    reader = open_reader()
    assert isinstance(reader, Source)
    assert (reader.live, reader.frames, reader.fps, reader.name, reader.dropped) == (True, None, None, "porch", 0)
    frames = iter(reader)
    found = []
    once_asked(reader, camera.give, 0)
    for index in range(4):
        found.append(next(frames))
        camera.give(index + 1)
    assert [(frame.index, number_of(frame.image)) for frame in found] == [(index, index) for index in range(4)]
    times = [frame.time_s for frame in found]
    assert times[0] == 0
    assert times == sorted(times)
    assert reader.dropped == 0


def test_only_the_newest_frame_is_kept_and_the_others_are_counted(camera: Camera, open_reader: Open) -> None:
    reader = open_reader()
    frames = iter(reader)
    once_asked(reader, camera.give, 0)
    next(frames)
    camera.give(*range(1, 51))
    eventually(lambda: camera.steps.empty() and camera.taken == 51 and reader.dropped == 49)
    newest = next(frames)
    assert (newest.index, number_of(newest.image)) == (50, 50)
    assert reader.dropped == 49


def test_count_and_time_begin_with_the_iteration(camera: Camera, open_reader: Open) -> None:
    reader = open_reader()
    camera.give(1, 2, 3)
    eventually(lambda: camera.reads == 4)
    once_asked(reader, camera.give, 4)
    frame = next(iter(reader))
    assert (frame.index, frame.time_s, number_of(frame.image), reader.dropped) == (0, 0.0, 4, 0)


def test_a_camera_that_cannot_be_opened_at_first(camera: Camera, open_reader: Open) -> None:
    camera.refuse = OSError("no such device")
    once = replace(QUICK, first_retry_s=60, longest_retry_s=60)
    with pytest.raises(SourceError, match="porch: connecting raised OSError: no such device"):
        open_reader(once)
    camera.refuse = SourceError("camera 0 cannot be opened: it sleeps")
    with pytest.raises(SourceError, match=r"^camera 0 cannot be opened: it sleeps$"):
        open_reader(once)
    assert camera.connections == 2


def test_interrupted_while_it_is_opened_it_frees_the_camera(camera: Camera) -> None:
    freed = threading.Event()

    class Working(Steady):
        def release(self) -> None:
            freed.set()

    class Interrupted(LatestFrameReader):
        def _await_connection(self) -> None:
            super()._await_connection()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Interrupted(lambda: Working(camera), limits=QUICK)
    assert freed.wait(15)


FORGOTTEN = """
import time
import numpy as np
from danet.video.latest_reader import LatestFrameReader

class Camera:
    def read(self):
        time.sleep(0.01)
        return True, np.zeros((8, 8, 3), np.uint8)

    def release(self):
        print("released", flush=True)

reader = LatestFrameReader(Camera)
next(iter(reader))
"""


def test_the_end_of_the_program_frees_a_camera_that_nobody_closed() -> None:
    done = python(FORGOTTEN)
    assert (done.returncode, done.stdout, done.stderr) == (0, "released\n", "")


def test_frames_of_one_moment_have_different_times(
    camera: Camera, open_reader: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of some systems stands still for 16 ms."""
    reader = open_reader()
    frames = iter(reader)
    once_asked(reader, camera.give, 0)
    times = [next(frames).time_s]
    still = time.monotonic()
    monkeypatch.setattr(latest_reader, "time", SimpleNamespace(monotonic=lambda: still))
    for index in range(1, 4):
        camera.give(index)
        times.append(next(frames).time_s)
    assert all(one < other for one, other in pairwise(times))


def test_a_camera_that_hangs_while_it_is_opened(camera: Camera, open_reader: Open) -> None:
    def connect() -> Camera:
        camera.gone.wait(60)
        return camera

    with pytest.raises(SourceError, match=r"porch: connecting did not return within 0\.3 s"):
        open_reader(replace(QUICK, open_s=0.3), connect)
    camera.gone.set()
    eventually(lambda: camera.released == 1)  # what came too late is freed


def lost(camera: Camera, kind: str) -> None:
    if kind == "fails":
        # for longer than a second: a few failing reads are damaged packets
        for _ in range(3):
            camera.fail()
            camera.steps.put(lambda: (time.sleep(0.35), (False, None))[1])
    elif kind == "raises":
        camera.throw(RuntimeError("USB gone"))
    else:
        camera.hang()


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("fails", "ConnectionError: reads gave nothing for 1 s"),
        ("raises", "RuntimeError: USB gone"),
        ("hangs", "the camera's code hung"),
    ],
)
def test_a_lost_camera_is_connected_anew(kind: str, told: str, camera: Camera, open_reader: Open) -> None:
    camera.comeback = 1
    reader = open_reader(replace(QUICK, stall_s=3 if kind == "hangs" else 10))
    frames = iter(reader)
    once_asked(reader, camera.give, 0)
    before = next(frames)
    lost(camera, kind)
    start = time.monotonic()
    after = next(frames)
    assert number_of(after.image) == 1
    assert (before.index, after.index) == (0, 1)
    assert after.time_s >= time.monotonic() - start - 1  # the clock went on
    assert reader.last_error == told
    assert reader.reconnects == 1
    assert camera.connections == 2
    if kind != "hangs":
        assert camera.released == 1
    else:
        camera.gone.set()
        eventually(lambda: camera.released == 1)  # as soon as the hung code returns


@pytest.mark.parametrize("where", ["connect", "read"])
def test_code_that_asks_to_exit_is_a_lost_camera(where: str, camera: Camera, open_reader: Open) -> None:
    """A maker's SDK may; it would end the reading thread without a word."""
    camera.comeback = 1
    exits = [SystemExit(3)] if where == "connect" else []

    def connect() -> Any:
        if exits and camera.connections:
            raise exits.pop()
        return camera.connect()

    def release() -> None:
        raise SystemExit(4)

    camera.release = release  # type: ignore[method-assign]
    reader = open_reader(connect=connect)
    camera.throw(OSError("unplugged") if where == "connect" else SystemExit(3))
    assert number_of(next(iter(reader)).image) == 1
    assert reader.last_error == "SystemExit: 3"


FORKED = """
import math, os, time
import numpy as np
from danet.errors import SourceError
from danet.video.capture_thread import Limits
from danet.video.latest_reader import LatestFrameReader

class Camera:
    def read(self):
        time.sleep(0.01)
        return True, np.zeros((8, 8, 3), np.uint8)

    def release(self): ...

with LatestFrameReader(Camera, name="porch", limits=Limits(stall_s=0.2, give_up_s=math.inf)) as reader:
    next(iter(reader))
    child = os.fork()
    if child == 0:
        time.sleep(0.5)  # the parent's reading looks as if it hung
        try:
            for _ in range(3):  # one may be at hand
                next(iter(reader))
            os._exit(3)
        except SourceError as error:
            os._exit(0 if str(error).startswith("porch: opened in another process") else 4)
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_reader_of_the_parent_in_a_forked_child() -> None:
    done = python(FORKED)
    assert done.returncode == 0, done.stderr


def test_a_few_failing_reads_are_no_lost_camera(camera: Camera, open_reader: Open) -> None:
    reader = open_reader()
    frames = iter(reader)
    camera.fail(5)
    once_asked(reader, camera.give, 0)
    assert number_of(next(frames).image) == 0
    assert (reader.reconnects, camera.connections, reader.last_error) == (0, 1, None)


def test_connecting_is_tried_with_growing_pauses(camera: Camera, open_reader: Open) -> None:
    reader = open_reader(replace(QUICK, first_retry_s=0.05, longest_retry_s=0.2))
    moments: list[float] = []
    refuse = OSError("still away")

    def connect() -> Camera:
        moments.append(time.monotonic())
        if len(moments) < 6:
            raise refuse
        return camera

    reader._thread._connect = connect
    camera.throw(OSError("unplugged"))
    once_asked(reader, camera.give, 1)
    assert number_of(next(iter(reader)).image) == 1
    pauses = np.diff(moments)
    assert reader.last_error == "OSError: still away"
    # after a first of 0.05; a busy machine may only make them longer
    assert all(pause >= least - 0.01 for pause, least in zip(pauses, [0.1, 0.2, 0.2, 0.2, 0.2], strict=True))


def test_giving_up_says_for_how_long(camera: Camera, open_reader: Open) -> None:
    reader = open_reader(replace(QUICK, give_up_s=1.5))
    frames = iter(reader)
    once_asked(reader, camera.give, 0)
    next(frames)
    camera.refuse = OSError("no route to host")
    camera.throw(OSError("cable pulled"))
    start = time.monotonic()
    with pytest.raises(SourceError) as caught:
        next(frames)
    assert 1.5 < time.monotonic() - start < 15  # counted from the question, which came after `start`
    assert re.match(
        r"porch: no frame for \d+ s, connected anew 0 times \(OSError: no route to host\); check the camera",
        str(caught.value),
    )
    assert list(reader) == []  # closed


def test_a_camera_that_hangs_for_good_leaves_few_threads(camera: Camera, open_reader: Open) -> None:
    before = threading.active_count()
    reader = open_reader(replace(QUICK, stall_s=0.05, give_up_s=1.5))
    for _ in range(30):
        camera.hang()
    start = time.monotonic()
    with pytest.raises(SourceError, match=r"no frame for \d+ s.*\(the camera's code hung\)"):
        next(iter(reader))
    assert time.monotonic() - start < 15
    assert camera.connections == MOST_HUNG + 1
    assert threading.active_count() <= before + MOST_HUNG + 1
    camera.gone.set()
    eventually(lambda: camera.released == camera.connections)


def test_what_a_hung_thread_brings_at_last_is_not_listened_to(camera: Camera, open_reader: Open) -> None:
    camera.comeback = 1
    reader = open_reader(replace(QUICK, stall_s=1))
    frames = iter(reader)
    camera.steps.put(lambda: (camera.gone.wait(60), (True, numbered(9)))[1])
    assert number_of(next(frames).image) == 1
    camera.gone.set()
    eventually(lambda: camera.released == 1)
    assert {number_of(next(frames).image) for _ in range(20)} == {1}


@pytest.mark.parametrize("state", ["connecting", "hung"])
def test_close_ends_a_waiting_iteration(state: str, camera: Camera, open_reader: Open) -> None:
    reader = open_reader(replace(QUICK, stall_s=60, first_retry_s=30, longest_retry_s=30))
    if state == "connecting":
        camera.throw(OSError("unplugged"))  # it is in the long pause before the next attempt
    else:
        camera.hang()
    ended: list[float] = []

    def wait() -> None:
        assert list(reader) == []
        ended.append(time.monotonic())

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.3)
    closed = time.monotonic()
    reader.close()
    waiting.join(10)
    assert ended
    assert ended[0] - closed < 3  # far from the 20 s to give up; a busy machine may need a while
    reader.close()


def test_close_frees_the_camera_and_ends_the_thread(camera: Camera, open_reader: Open) -> None:
    before = threading.active_count()
    reader = open_reader()
    camera.fail(1)
    with reader:
        camera.fail(1)
        threading.Timer(0.2, camera.fail, [3]).start()
    eventually(lambda: camera.released == 1 and threading.active_count() <= before)
    assert list(reader) == []


def test_a_camera_may_say_that_there_will_be_no_more(camera: Camera, open_reader: Open) -> None:
    reader = open_reader()

    def last() -> None:
        camera.give(3)
        camera.throw(EOFError())

    once_asked(reader, last)
    assert [number_of(frame.image) for frame in reader] == [3]
    assert camera.connections == 1


def test_an_end_with_a_reason_is_an_error(camera: Camera, open_reader: Open) -> None:
    reader = open_reader()
    camera.throw(EOFError("film.mp4: cut off"))
    with pytest.raises(SourceError, match=r"^film\.mp4: cut off$"):
        list(reader)


def test_what_is_no_picture(camera: Camera, open_reader: Open) -> None:
    reader = open_reader()
    once_asked(reader, camera.steps.put, lambda: (True, np.zeros((4, 4, 3), np.float32)))
    with pytest.raises(InputError, match="frame of dtype float32"):
        next(iter(reader))


def test_grey_cameras_give_three_channels(camera: Camera, open_reader: Open) -> None:
    reader = open_reader()
    once_asked(reader, camera.steps.put, lambda: (True, numbered(6)[:, :, 0]))
    assert next(iter(reader)).image.shape == (96, 128, 3)


def test_limits_may_be_without_end() -> None:
    camera = Camera()
    endless = Limits(*[math.inf] * 5)
    with LatestFrameReader(camera.connect, name="camera", limits=endless) as reader:
        once_asked(reader, camera.give, 1)
        assert number_of(next(iter(reader)).image) == 1
        camera.throw(EOFError())
    with pytest.raises(SourceError, match="no video can be opened there"):
        open_stream("rtsp://127.0.0.1:1/x", endless)


def test_limits_of_numpy_and_pauses_of_nothing() -> None:
    assert {type(value) for value in astuple(Limits(open_s=np.float32(5), stall_s=np.int64(5)))} == {float}
    assert Limits(first_retry_s=0, longest_retry_s=0).first_retry_s == 0
    with pytest.raises(InputError, match="open_s is 0, expected"):
        Limits(open_s=0)


@pytest.mark.parametrize("value", [-1.0, math.nan, "5", None, True])
def test_limits_that_are_no_times(value: Any) -> None:
    for name in ("open_s", "stall_s", "give_up_s", "first_retry_s", "longest_retry_s"):
        with pytest.raises(InputError, match=f"{name} is .*, expected seconds above 0"):
            Limits(**{name: value})


def test_a_capture_that_is_not_open_has_failed() -> None:
    """cv2.VideoCapture raises nothing; the first connection is told of, a later one is no reconnection."""
    with quiet_opencv(), pytest.raises(SourceError, match="connecting raised ConnectionError: it could not be opened"):
        LatestFrameReader(lambda: cv2.VideoCapture("/nowhere/at/all.mp4"), limits=QUICK)
