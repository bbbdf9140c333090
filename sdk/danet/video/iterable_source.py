"""Frames that the caller makes: a list, a generator, an array of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from contextlib import suppress
from typing import Any

from danet.frame import as_bgr
from danet.video.folder_source import PICTURE_FPS
from danet.video.frame import Frame


class IterableSource:
    """Pictures, or Frames, out of an iterable.

    Args:
        items: pictures as `danet.frame.as_bgr` takes them, which get time stamps by `fps` and are copied, so that all
            may come in one buffer; or Frames, left as they are.
        fps: pictures to a second, for time stamps.
    """

    live = False
    dropped = 0

    def __init__(self, items: Iterable[Any], fps: float = PICTURE_FPS) -> None:
        self.name = type(items).__name__
        self.fps: float | None = fps
        self.frames: int | None = len(items) if isinstance(items, Sized) else None
        self._items = items
        self._interval = 1 / fps
        self.closed = False
        """Whether `close` was called: a closed source gives no more frames."""

    def __iter__(self) -> Iterator[Frame]:
        """The frames in order; what the iterable raises is raised.

        Raises:
            InputError: an item that is no picture.
        """
        for index, item in enumerate(self._items):
            if self.closed:
                return
            yield item if isinstance(item, Frame) else Frame(as_bgr(item).copy(), index, index * self._interval)

    def close(self) -> None:
        """End iterations, and the generator if it is one. Closing twice does no harm."""
        self.closed = True
        close = getattr(self._items, "close", None)
        if close is not None:
            with suppress(ValueError):  # a generator that runs in another thread; its iteration ends after this item
                close()
