"""OpenCV's threads, one number for the whole process."""

from __future__ import annotations

import os

import cv2

_parents_pool = 0
"""Threads of the pool that OpenCV had when this process was forked off; 0 where it was not."""


def set_opencv_threads(threads: int) -> None:
    """Let OpenCV use so many.

    To make its pool smaller OpenCV waits for threads of it to end, and in a process that was forked from one with a
    pool there are none, so that it would wait for ever. There fewer threads are told as 0, "without its pool"; and so
    is one everywhere, which comes to the same.
    """
    cv2.setNumThreads(0 if threads == 1 or threads < _parents_pool else threads)


def _in_child() -> None:
    global _parents_pool
    _parents_pool = cv2.getNumThreads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
