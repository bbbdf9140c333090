"""A source that starts again when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from danet.errors import SourceError
from danet.video.frame import Frame, Source


class LoopedSource:
    """Goes through another source again and again; indices and time stamps go on.

    Args:
        source: one that can be iterated again; it is this one's to close.
    """

    live = False
    dropped = 0
    frames: int | None = None

    def __init__(self, source: Source) -> None:
        self.name = source.name
        self.fps = source.fps
        self._source = source
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        """The frames, without end until `close`.

        Raises:
            SourceError: the source cannot be read, or gave nothing in a round.
        """
        index, time_s = 0, 0.0
        while not self._closed:
            last: Frame | None = None
            interval = 1 / (self.fps or 25)
            for frame in self._source:
                if last is not None:
                    interval = frame.time_s - last.time_s
                last = frame
                yield replace(frame, index=index + frame.index, time_s=time_s + frame.time_s)
            if last is None and not self._closed:
                raise SourceError(f"{self.name}: gave no frame, so there is nothing to repeat")
            if last is not None:
                index += last.index + 1
                time_s += last.time_s + interval

    def close(self) -> None:
        """Free the source; iterations end."""
        self._closed = True
        self._source.close()
