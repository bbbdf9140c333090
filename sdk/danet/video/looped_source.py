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
        self.closed = False
        """Whether `close` was called: a closed source gives no more frames."""

    def __iter__(self) -> Iterator[Frame]:
        """The frames, without end until `close`.

        Raises:
            SourceError: the source cannot be read, or gave nothing in a round.
        """
        end: tuple[int, float] | None = None
        while not self.closed:
            index, time_s, last = 0, 0.0, None
            interval = 1 / (self.fps or 25)
            for frame in self._source:
                if last is not None:
                    interval = frame.time_s - last.time_s
                elif end is not None:  # a source of the user's own need not begin at 0
                    index, time_s = end[0] - frame.index, end[1] - frame.time_s
                last = frame
                yield replace(frame, index=index + frame.index, time_s=time_s + frame.time_s)
            if last is None and not self.closed:
                raise SourceError(f"{self.name}: gave no frame, so there is nothing to repeat")
            if last is not None:
                end = index + last.index + 1, time_s + last.time_s + interval

    def close(self) -> None:
        """Free the source; iterations end."""
        self.closed = True
        self._source.close()
