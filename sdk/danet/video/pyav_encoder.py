"""Video files by PyAV: H.264, with a time stamp for each frame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danet.errors import MissingExtraError, why_broken

TIME_BASE = Fraction(1, 90000)
"""Seconds; the unit of time stamps, as in MPEG."""
H264 = ("libx264", "libopenh264")
"""Encoders, the better one first; not every build of FFmpeg has them."""
MOVIE_FLAGS = {"movflags": "hybrid_fragmented"}
"""While it is written the file is a fragmented MP4, which plays up to where a kill or a full disk cut it off; closing
makes it an ordinary one, which more players can seek in (FFmpeg's mov muxer, from 7.1 on)."""
CONTAINERS: dict[str, dict[str, str]] = {".mp4": MOVIE_FLAGS, ".m4v": MOVIE_FLAGS, ".mov": MOVIE_FLAGS, ".mkv": {}}
"""Suffixes and the muxer's options."""
KEYFRAME_S = 2.0
"""Seconds from key frame to key frame: a fragment, which is what a kill loses at most, and the grain of seeking."""


def codecs() -> dict[str, str]:
    """The H.264 encoder for each suffix; nothing where this build has none.

    Raises:
        MissingExtraError: PyAV is not installed.
    """
    av = _av()
    for name in H264:
        with suppress(av.codec.codec.UnknownCodecError):
            av.codec.Codec(name, "w")
            return dict.fromkeys(CONTAINERS, name)
    return {}


def _av() -> Any:
    try:
        import av  # optional, and a tenth of a second
    except ImportError as error:
        raise MissingExtraError("writing H.264 video", "video", "av", why_broken(error, "av")) from error
    return av


@contextmanager
def _os_errors() -> Iterator[None]:
    """FFmpeg's errors as OSError, which some of them are not."""
    av = _av()
    try:
        yield
    except av.FFmpegError as error:
        raise OSError(error.errno, error.strerror) from error


class PyAvEncoder:
    """An open file; see `danet.video.encoder.Encoder`."""

    def __init__(self, path: Path, codec: str, size: tuple[int, int], fps: float, threads: int | None) -> None:
        self._av = _av()
        self.codec = f"H.264 by PyAV ({codec})"
        rate = Fraction(fps).limit_denominator(1001)
        with _os_errors():
            self._container = self._av.open(str(path), "w", options=CONTAINERS[path.suffix.lower()])
            self._stream = self._container.add_stream(codec, rate=rate, options=_options(codec))
            self._stream.height, self._stream.width = size
            self._stream.pix_fmt = "yuv420p"
            context = self._stream.codec_context
            context.time_base = TIME_BASE
            context.gop_size = max(1, round(KEYFRAME_S * fps))
            # B-frames are decoded before they are shown, and a fragmented MP4 has no edit list to make up for that:
            # the video would begin some frames late
            context.max_b_frames = 0
            context.thread_count = threads or 0
        self._last = -1

    def write(self, image: NDArray[np.uint8], time_s: float) -> None:
        """Append a frame (H, W, 3) uint8 BGR."""
        frame = self._av.VideoFrame.from_ndarray(image, format="bgr24")
        self._last = max(round(time_s / TIME_BASE), self._last + 1)
        frame.pts, frame.time_base = self._last, TIME_BASE
        with _os_errors():
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what the encoder still holds, and the index."""
        try:
            with _os_errors():
                self._container.mux(self._stream.encode(None))
        finally:
            with _os_errors():
                self._container.close()


def _options(codec: str) -> dict[str, str]:
    # veryfast: the cores belong to the network; crf 23 is x264's default
    return {"preset": "veryfast", "crf": "23"} if codec == "libx264" else {}


def open_encoder(path: Path, codec: str, size: tuple[int, int], fps: float, threads: int | None) -> PyAvEncoder:
    """Open a file of (height, width), both even.

    Raises:
        OSError: it cannot be written.
    """
    return PyAvEncoder(path, codec, size, fps, threads)
