"""OpenCV's threads, one number for the whole process."""

from __future__ import annotations

import cv2


def set_opencv_threads(threads: int) -> None:
    """Let OpenCV use so many.

    One is told as 0, "without its pool": with 1 OpenCV waits for the pool's other threads to end, and in a process
    that was forked from one with a pool there are none, so that it would wait for ever.
    """
    cv2.setNumThreads(0 if threads == 1 else threads)
