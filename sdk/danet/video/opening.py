"""One function that opens whatever frames come from."""

from __future__ import annotations

import glob
import math
import operator
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from danet.errors import InputError, SourceError
from danet.video.camera_source import open_camera, open_stream
from danet.video.capture_thread import Limits
from danet.video.file_source import FINITE_SCHEMES, FileSource
from danet.video.folder_source import PICTURE_FPS, FolderSource, is_picture, natural_key, pictures_in
from danet.video.frame import Source
from danet.video.iterable_source import IterableSource
from danet.video.latest_reader import LatestFrameReader
from danet.video.looped_source import LoopedSource
from danet.video.opencv_capture import without_password
from danet.video.paced_capture import PacedReader

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
"""Two letters at least: C:// is a drive."""
OWN_SOURCES = (FileSource, FolderSource, IterableSource, LatestFrameReader, LoopedSource)
"""What `open_source` gives, and their kinds."""


def open_source(
    source: Any,
    *,
    live: bool | None = None,
    loop: bool = False,
    fps: float | None = None,
    limits: Limits | None = None,
) -> Source:
    """Frames of a file, camera, address, folder or iterable.

    Args:
        source: one of
            a video file;
            a camera's index (0, "0") or device file ("/dev/video0", "/dev/v4l/by-id/...");
            an address (rtsp://, rtmp://, udp://, http:// and so on);
            a picture; a folder of pictures or a glob ("frames/*.png"), sorted naturally; a list of paths in its order;
            an iterable of pictures (arrays) or Frames, also a (N, H, W, 3) array;
            a `Source`, which is given back.
        live: keep the newest frame only and drop what nobody takes. None: for cameras and streams. True for a file,
            pictures or an iterable plays them at their own speed, like a camera. False for an address reads every
            frame.
        loop: start again at the end; for files, pictures and lists.
        fps: pictures to a second, for the time stamps of pictures and arrays; 10 if None.
        limits: of time, for cameras and streams.

    Raises:
        SourceError: it cannot be opened; says why.
        InputError: not one of these, or an option that does not go with it.
    """
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise InputError(f"fps {fps}, expected a number above 0")
    opened = _opened(source, live, fps, limits)
    if loop:
        if opened.live or (isinstance(opened, IterableSource) and iter(source) is source):
            opened.close()
            raise InputError(f"{opened.name} cannot be repeated; loop is for files, pictures and lists")
        opened = LoopedSource(opened)
    return _like_a_camera(opened, limits or Limits()) if live and not opened.live else opened


def _opened(source: Any, live: bool | None, fps: float | None, limits: Limits | None) -> Source:
    if isinstance(source, Source):
        if fps is not None:
            raise InputError(f"fps={fps:g} is for pictures and arrays; {source.name} has time stamps of its own")
        _refuse_limits(limits, live and not source.live, source.name)
        return source
    device = _device(source)
    if device is None and isinstance(source, str | os.PathLike) and not _is_address(source):
        _refuse_limits(limits, live, "a file or pictures")
        return _local(source, fps)
    if device is None and not isinstance(source, str):
        _refuse_limits(limits, live, "an iterable")
        return _iterable(source, fps)
    if fps is not None:
        raise InputError(f"fps={fps:g} is for pictures and arrays; a camera or stream is timed by the clock")
    if device is None:
        return _address(str(source), live, limits)
    if live is False:
        raise InputError(f"camera {device} with live=False: a camera does not wait for whoever reads it")
    return open_camera(device, limits)


def _refuse_limits(limits: Limits | None, live: bool | None, what: str) -> None:
    if limits is not None and not live:
        raise InputError(f"limits are times of a camera or stream, which {what} has no use for; leave them out")


def _device(source: Any) -> int | str | None:
    """A camera's index or device file; None for anything else."""
    if isinstance(source, str | os.PathLike):
        text = str(os.fspath(source))
        if isinstance(source, str) and text.isdecimal():
            return int(text)
        return text if re.fullmatch(r"/dev/(video\d+|v4l/.+)", text) or _is_character_device(text) else None
    if isinstance(source, bool):
        raise InputError(f"source {source}, expected a file, a camera's index, an address, a folder or an iterable")
    try:
        return operator.index(source)
    except TypeError:
        return None


def _is_character_device(path: str) -> bool:
    """Also by a lasting name, such as udev's /dev/v4l/by-id/..."""
    try:
        return stat.S_ISCHR(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return False


def _is_address(source: str | os.PathLike[str]) -> bool:
    return isinstance(source, str) and ADDRESS.match(source) is not None


def _address(address: str, live: bool | None, limits: Limits | None) -> Source:
    try:
        parts = urlsplit(address)
    except ValueError:  # whose text may hold the password
        raise InputError(
            f"{without_password(address)}: an address that cannot be taken apart; percent-encode the password, "
            "[ as %5B for instance"
        ) from None
    if parts.scheme.lower() == "file" or live is False:
        _refuse_limits(limits, live, "a video")
    if parts.scheme.lower() == "file":
        if parts.netloc.lower() not in ("", "localhost"):
            raise InputError(f"{without_password(address)}: names a host; a file of this machine is file:///...")
        from urllib.request import url2pathname  # on demand: it brings all of http

        return FileSource(Path(url2pathname(parts.path)))
    if live is None and parts.scheme.lower() in FINITE_SCHEMES:
        found = FileSource(address)
        if found.frames is not None:  # a camera states none
            return found
        found.close()
    return FileSource(address) if live is False else open_stream(address, limits)


def _local(source: str | os.PathLike[str], fps: float | None) -> Source:
    if not os.fspath(source):  # a variable of the shell that is not set; Path("") is the current folder
        raise InputError("an empty name as a source, expected a file's or a folder's (. is the current one)")
    path = Path(source)
    try:
        return _at(path, fps)
    except OSError as error:  # pathlib raises those of a folder that may not be searched, and of a name too long
        raise SourceError(f"{path}: {error.strerror or error}") from error


def _at(path: Path, fps: float | None) -> Source:
    rate = fps or PICTURE_FPS
    if path.is_dir():
        return FolderSource(pictures_in(path), rate, str(path))
    if not path.exists() and glob.has_magic(str(path)):
        return FolderSource(globbed(str(path)), rate, str(path))
    if is_picture(path) and path.is_file():
        return FolderSource([path], rate, str(path))
    if fps is not None:
        raise InputError(f"fps={fps:g} is for pictures and arrays; {path} has time stamps of its own")
    return FileSource(path)


def globbed(pattern: str) -> list[Path]:
    """The files whose names fit a pattern, sorted naturally.

    Raises:
        SourceError: none does.
    """
    paths = [Path(name) for name in glob.glob(pattern, recursive=True)]  # noqa: PTH207 -- Path.glob takes no absolute pattern
    files = sorted((path for path in paths if path.is_file()), key=natural_key)
    if not files:
        raise SourceError(f"{pattern}: no file has such a name")
    return files


def _iterable(source: Any, fps: float | None) -> Source:
    if isinstance(source, np.ndarray) and source.ndim != 4:
        raise InputError(
            f"an array of shape {source.shape} as a source, expected (N, H, W, 3); pass one picture as [it]"
        )
    if hasattr(source, "read") and hasattr(source, "release") and not isinstance(source, Iterable):
        raise InputError(
            f"source of type {type(source).__name__}, a capture that is open; pass what it was opened with, or a "
            "function that opens it to danet.video.latest_reader.LatestFrameReader (docs/video.md)"
        )
    if not isinstance(source, Iterable) or isinstance(source, bytes):
        raise InputError(
            f"source of type {type(source).__name__}, expected a file, a camera's index, an address, a folder or an "
            "iterable of pictures"
        )
    if isinstance(source, list | tuple) and source and all(isinstance(item, str | os.PathLike) for item in source):
        return FolderSource([Path(item) for item in source], fps or PICTURE_FPS)
    return IterableSource(source, fps or PICTURE_FPS)


def _like_a_camera(source: Source, limits: Limits) -> Source:
    # nothing can hang or come back here, and pictures may be far apart
    patient = replace(limits, stall_s=math.inf, give_up_s=math.inf)
    return PacedReader(source, patient)
