"""One frame of a source, and what a source is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a source and when it was taken."""

    image: NDArray[np.uint8]
    """(H, W, 3) uint8 BGR; its own, no buffer that is used again: frames are read ahead."""
    index: int
    """0, 1, 2, ...: its place in the source; a live source that drops frames counts those too."""
    time_s: float
    """Seconds since the source's first frame: a file's own time stamps, or a monotonic clock where it is live."""
    name: str = ""
    """The picture's file name, where the source is a folder."""


@runtime_checkable
class Source(Protocol):
    """Where frames come from. Iterating gives them in order, each once; closing twice does no harm."""

    name: str
    """The file, camera or address, for messages."""
    live: bool
    """A camera or stream: frames that nobody takes are dropped, and there is no end to wait for."""
    fps: float | None
    """Frames to a second as the source states it; None where it does not."""
    frames: int | None
    """How many there are, as the source states it; None where unknown."""

    def __iter__(self) -> Iterator[Frame]:
        """The frames, until the source ends.

        Raises:
            SourceError: the source cannot be read (further).
        """
        ...

    @property
    def dropped(self) -> int:
        """Frames that were not taken in time; 0 where the source is not live."""
        ...

    def close(self) -> None:
        """Free the source; an iteration that waits for a frame ends."""
        ...
