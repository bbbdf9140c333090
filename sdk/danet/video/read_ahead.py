"""Frames of a file read in a thread of their own, a few ahead: decoding overlaps with the network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import Empty, Full, Queue

from danet.video.frame import Frame, Source

AHEAD = 2
"""Frames that wait at most."""
ENDING_S = 1.0
"""How long the end of the thread is waited for."""
POLL_S = 0.1
"""How often a waiting thread looks whether it should end."""


def read_ahead(source: Source, stopped: Callable[[], bool]) -> Iterator[Frame]:
    """The frames of a source in order, until `stopped`; an error of it is raised after the frames before it.

    The thread ends with this generator: when the source does, or when the generator is closed.
    """
    queue: Queue[Frame | BaseException | None] = Queue(AHEAD)
    ended = threading.Event()

    def put(item: Frame | BaseException | None) -> bool:
        while not ended.is_set():
            try:
                queue.put(item, timeout=POLL_S)
                return True
            except Full:
                continue
        return False

    def read() -> None:
        try:
            for frame in source:
                if not put(frame):
                    return
            put(None)
        except BaseException as error:  # goes on in the thread that takes the frames
            put(error)

    reader = threading.Thread(target=read, name="danet-read-ahead", daemon=True)
    reader.start()
    try:
        yield from _taken(queue, reader, stopped)
    finally:
        ended.set()
        reader.join(timeout=ENDING_S)  # one that waits in the source's code ends when that returns


def _taken(
    queue: Queue[Frame | BaseException | None], reader: threading.Thread, stopped: Callable[[], bool]
) -> Iterator[Frame]:
    while True:
        try:
            item = queue.get(timeout=POLL_S)
        except Empty:
            # the source's code may not return before its next frame, if ever
            if stopped() or (not reader.is_alive() and queue.empty()):
                return
            continue
        if item is None:
            return
        if isinstance(item, BaseException):
            raise item
        yield item
