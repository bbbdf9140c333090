"""Frames out of picture files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from danet.errors import InputError, SourceError
from danet.frame import read_picture
from danet.video.frame import Frame

SUFFIXES = frozenset([".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"])
"""Pictures in a folder; what else lies there is left out."""
PICTURE_FPS = 10.0
"""Time stamps of pictures, where nothing is said."""
NOTES = 20
"""Broken pictures that are named; all are counted."""


class FolderSource:
    """Pictures as the frames of a video. One that cannot be read is skipped, counted and named: it does not end a run.

    Args:
        paths: of the pictures, in order.
        fps: pictures to a second, for time stamps.
        name: for messages.
    """

    live = False
    dropped = 0

    def __init__(self, paths: Sequence[Path], fps: float = PICTURE_FPS, name: str = "pictures") -> None:
        self.name = name
        self.fps: float | None = fps
        self.frames: int | None = len(paths)
        self.corrupt = 0
        """Pictures so far that could not be read."""
        self.notes: tuple[str, ...] = ()
        """The first of them and why, for people to read."""
        self.paths = tuple(paths)
        """What is read."""
        self._interval = 1 / fps
        self.closed = False
        """Whether `close` was called: a closed source gives no more frames."""

    def __iter__(self) -> Iterator[Frame]:
        """The pictures; index and time stamp are those of the place in the folder, broken ones counted.

        Raises:
            SourceError: none of the pictures can be read.
        """
        self.corrupt, self.notes = 0, ()
        for index, path in enumerate(self.paths):
            if self.closed:
                return
            try:
                image = read_picture(path)
            except InputError as error:
                self._broken(f"{error}; skipped")
                continue
            yield Frame(image, index, index * self._interval, path.name)
        if self.corrupt == len(self.paths):
            first = "".join(self.notes[:1])
            raise SourceError(f"{self.name}: none of {self.corrupt} pictures can be read; the first: {first}")

    def _broken(self, note: str) -> None:
        self.corrupt += 1
        if len(self.notes) < NOTES:
            self.notes += (note,)

    def close(self) -> None:
        """End iterations. Closing twice does no harm."""
        self.closed = True


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder by `SUFFIXES`, hidden files left out, sorted as people count: 2 before 10.

    Raises:
        SourceError: there are none, or the folder cannot be read.
    """
    try:
        paths = [path for path in folder.iterdir() if is_picture(path) and not path.name.startswith(".")]
    except OSError as error:
        raise SourceError(f"{folder}: {error.strerror or error}") from error
    if not paths:
        raise SourceError(f"{folder}: no pictures in this folder; expected files named {', '.join(sorted(SUFFIXES))}")
    return sorted(paths, key=natural_key)


def is_picture(path: Path) -> bool:
    """Whether a file's name is that of a picture."""
    return path.suffix.lower() in SUFFIXES


def natural_key(path: Path) -> list[str | int]:
    """Sorts img2 before img10."""
    parts = re.split(r"(\d+)", str(path))  # text and digits in turn, so that like is compared with like
    return [int(part) if place % 2 else part.casefold() for place, part in enumerate(parts)]
