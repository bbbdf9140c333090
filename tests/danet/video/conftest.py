"""Videos made on the spot, whose every frame tells its number, and a look at the process's threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def numbered(index: int, size: tuple[int, int] = (96, 128)) -> Picture:
    """A picture of (height, width) that says which it is in 8 bars, coarse enough for any codec."""
    bits = np.array([index >> bit & 1 for bit in range(8)], np.uint8) * 200 + 20
    columns = np.arange(size[1]) * 8 // size[1]
    return np.ascontiguousarray(np.broadcast_to(bits[columns][None, :, None], (*size, 3)))


def number_of(picture: Picture) -> int:
    """The index that `numbered` was given; works after encoding."""
    width = picture.shape[1]
    centres = (np.arange(8) * 2 + 1) * width // 16
    middle = picture[picture.shape[0] // 2 - 4 : picture.shape[0] // 2 + 4]
    return sum(1 << bit for bit, x in enumerate(centres) if middle[:, x - 1 : x + 2].mean() > 120)


def textured(index: int, size: tuple[int, int] = (96, 128)) -> Picture:
    """A picture that costs a codec some bytes, so that damage hits frames and not headers."""
    noise = np.random.default_rng(7).integers(0, 255, (*size, 3), np.uint8)
    return np.ascontiguousarray(np.roll(cv2.GaussianBlur(noise, (0, 0), 2), 3 * index, axis=1))


def write_cv2(path: Path, frames: int, fourcc: str, draw: Callable[[int], Picture] = numbered, fps: float = 25) -> Path:
    """A video by OpenCV alone."""
    height, width = draw(0).shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*fourcc), fps, (width, height))
    assert writer.isOpened()
    for index in range(frames):
        writer.write(draw(index))
    writer.release()
    return path


def write_av(
    path: Path,
    times: list[float],
    draw: Callable[[int], Picture] = numbered,
    options: dict[str, str] | None = None,
    gop: int = 10,
) -> Path:
    """An H.264 video by PyAV with a time stamp for each frame."""
    av = pytest.importorskip("av", reason="H.264 needs PyAV, the extra `video`")
    unit = Fraction(1, 90000)
    height, width = draw(0).shape[:2]
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base, stream.codec_context.gop_size = unit, gop
        for index, time_s in enumerate(times):
            frame = av.VideoFrame.from_ndarray(draw(index), format="bgr24")
            frame.pts, frame.time_base = round(time_s * 90000), unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def decoded(path: Path) -> list[tuple[Picture, float]]:
    """All frames of a video with their time stamps in seconds, by PyAV."""
    av: Any = pytest.importorskip("av", reason="time stamps are checked by PyAV, the extra `video`")
    with av.open(str(path)) as container:
        return [(frame.to_ndarray(format="bgr24"), float(frame.time)) for frame in container.decode(video=0)]


def open_handles() -> int:
    """Files that this process has open; 0 where the system does not tell."""
    folder = Path("/proc/self/fd")
    return sum(1 for _ in folder.iterdir()) if folder.exists() else 0


@pytest.fixture(autouse=True)
def no_thread_left_behind() -> Iterator[None]:
    """Whatever a test opens must end its threads."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=10)
        assert not thread.is_alive(), thread.name


@pytest.fixture
def mounted(disk: Callable[[str], Path]) -> Callable[[str], Path]:
    """Mounts a file system in memory of so many bytes ("32k", "2m"), for the time of a test."""
    return lambda size: disk(f"size={size}")
