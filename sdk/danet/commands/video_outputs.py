"""Where `danet video` puts what it found: an annotated video, JSON Lines, a window."""

from __future__ import annotations

import argparse
from contextlib import ExitStack, suppress
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Self

import cv2

from danet.commands.option_types import DRAWN_SCORE
from danet.errors import InputError
from danet.video.json_lines import JsonLinesWriter
from danet.video.result import FramePoses
from danet.video.video_writer import VideoWriter

_HEADLESS = ("opencv-python-headless", "opencv-contrib-python-headless")
WINDOW = "danet video (q ends)"
LIVE_FPS = 25.0
"""Of a written file whose source states none; its time stamps are true where the writer can have them."""


class VideoOutputs:
    """The outputs that were asked for; a context manager that closes them all, so that what was done is kept.

    Args:
        options: those of `danet video`.
        fps: of the source, as it states it.
    """

    def __init__(self, options: argparse.Namespace, fps: float | None) -> None:
        self._threshold: float = DRAWN_SCORE if options.threshold is None else options.threshold
        self._boxes: bool = options.boxes
        self._show: bool = options.show
        self._stack = ExitStack()
        self._video: VideoWriter | None = None
        self._lines: JsonLinesWriter | None = None
        with self._stack:
            # the lines' old file is emptied when it is opened, so what may be refused comes first
            if options.out is not None:
                video = VideoWriter(options.out, fps=fps or LIVE_FPS, threads=options.threads)
                self._video = self._stack.enter_context(video)
            if options.jsonl is not None:
                self._lines = self._stack.enter_context(JsonLinesWriter(options.jsonl))
            # all could be opened: they stay open
            self._stack = self._stack.pop_all()
        self.closed_by_user = False

    def take(self, result: FramePoses) -> None:
        """Write and show one frame's poses.

        Raises:
            OSError: a file cannot be written.
            InputError: there is no window system.
        """
        if self._lines is not None:
            self._lines.write(result)
        if self._video is None and not self._show:
            return
        picture = result.draw(threshold=self._threshold, boxes=self._boxes)
        if self._video is not None:
            self._video.write(picture, result.frame.time_s)
        if self._show:
            self._shown(picture)

    def _shown(self, picture: cv2.typing.MatLike) -> None:
        try:
            cv2.imshow(WINDOW, picture)
            pressed = cv2.waitKey(1) & 0xFF
            closed = cv2.getWindowProperty(WINDOW, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error as error:
            why = "".join(f"; {name}, which is installed, has none" for name in _HEADLESS if _is_installed(name))
            raise InputError(f"--show: OpenCV cannot open a window here ({error.err}{why}); leave it out") from error
        self.closed_by_user = closed or pressed in (ord("q"), 27)

    @property
    def notes(self) -> list[str]:
        """A line on each file, for people to read."""
        notes = []
        if self._video is not None and self._video.frames:
            notes.append(f"{self._video.path}: {self._video.frames} frames ({self._video.codec})")
        if self._lines is not None and self._lines.path is not None:
            notes.append(f"{self._lines.path}: {self._lines.lines} lines")
        return notes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        if self._show:
            with suppress(cv2.error):  # of a build without windows, which `_shown` has told of
                cv2.destroyAllWindows()


def _is_installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
