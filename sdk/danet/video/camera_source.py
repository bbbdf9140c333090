"""Cameras and network streams, read by OpenCV."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import cv2

from danet.errors import InputError, SourceError
from danet.video.capture_thread import Limits
from danet.video.latest_reader import LatestFrameReader
from danet.video.opencv_capture import open_address, open_device, stated_fps, without_password


class _Device:
    """Opens a camera; a `Connect`."""

    fps: float | None = None

    def __init__(self, device: int | str) -> None:
        self._device = device

    def __call__(self) -> cv2.VideoCapture:
        capture = open_device(self._device)
        if capture is None:
            raise SourceError(f"{device_name(self._device)} cannot be opened: {_device_hint(self._device)}")
        self.fps = stated_fps(capture)
        return capture


class _Address:
    """Opens a network stream; a `Connect`."""

    fps: float | None = None

    def __init__(self, address: str, read_s: float) -> None:
        self._address = address
        self._read_s = read_s

    def __call__(self) -> cv2.VideoCapture:
        capture = open_address(self._address, self._read_s)
        self.fps = stated_fps(capture)
        return capture


def open_camera(device: int | str, limits: Limits | None = None) -> LatestFrameReader:
    """The newest frames of a camera.

    Args:
        device: its index, or its device file ("/dev/video0").
        limits: times in seconds.

    Raises:
        InputError: a negative index.
        SourceError: it cannot be opened; the text says what may be the matter.
    """
    if isinstance(device, int) and device < 0:
        raise InputError(f"camera {device}, expected an index from 0 on")
    connect = _Device(device)
    reader = LatestFrameReader(connect, name=device_name(device), limits=limits)
    reader.fps = connect.fps
    return reader


def open_stream(address: str, limits: Limits | None = None) -> LatestFrameReader:
    """The newest frames of a network stream (rtsp://, rtmp://, udp://, http:// and so on).

    Raises:
        SourceError: it does not answer, or is no video.
    """
    limits = limits or Limits()
    # FFmpeg gives up a little before the reader would leave the thread behind
    connect = _Address(address, 0.8 * limits.stall_s)
    reader = LatestFrameReader(connect, name=without_password(address), limits=limits)
    reader.fps = connect.fps
    return reader


def device_name(device: int | str) -> str:
    """A camera's name for messages."""
    return f"camera {device}"


def _device_hint(device: int | str) -> str:
    if not sys.platform.startswith("linux"):
        return "is it connected, used by another program, or must the system's privacy settings allow the camera?"
    path = Path(f"/dev/video{device}" if isinstance(device, int) else device)
    if not path.exists():
        found = ", ".join(sorted(map(str, Path("/dev").glob("video*"))))
        return f"there is no {path}; {'there are ' + found if found else 'no camera is connected (no /dev/video*)'}"
    if not os.access(path, os.R_OK | os.W_OK):
        return f"no permission for {path}; add your user to the group 'video' and log in again"
    return f"{path} is used by another program, or is no camera that gives pictures; try the next index"
