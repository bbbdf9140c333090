"""Types of options, for argparse: what does not fit is wrong use (exit status 2)."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from math import isfinite

from danet.errors import InputError

DRAWN_SCORE = 0.2
"""Of keypoints, from which they are drawn where a command is told nothing."""
BACKENDS_HELP = "openvino, onnxruntime, tflite, torch or null; by the suffix if not given"


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number above 0")
    return int(text)


def threads(text: str) -> int:
    """A number of threads that settings may have."""
    from danet.tuning.settings import MAX_THREADS  # not at each command's start

    return _up_to(positive(text), MAX_THREADS)


def persons(text: str) -> int:
    """A number of persons that a scene may have."""
    from danet.scenes.scene import MAX_PERSONS  # not at each command's start

    return _up_to(positive(text), MAX_PERSONS)


def _up_to(value: int, most: int) -> int:
    if value > most:
        raise argparse.ArgumentTypeError(f"{value}, expected {most} at most")
    return value


def not_negative_whole(text: str) -> int:
    """A whole number of 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number of 0 or more")
    return int(text)


def not_negative(text: str) -> float:
    """A finite number of 0 or more."""
    value = number(text)
    if not isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number of 0 or more")
    return value


def part(text: str) -> float:
    """A number in 0..1: a keypoint's score, a part of the AP."""
    return _in_range(text, 0.0, 1.0)


def height(text: str) -> float:
    """A share of the frame's height that the HOG detector looks for."""
    from danet.detectors.hog_detector import SMALLEST  # not at each command's start

    return _in_range(text, *SMALLEST)


def _in_range(text: str, least: float, most: float) -> float:
    value = number(text)
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number in {least:g}..{most:g}")
    return value


def head(text: str) -> str:
    """A kind of detector export."""
    from danet.detectors.recognition import HEADS  # not at each command's start

    return _one_of(text, HEADS)


def tunable(text: str) -> str:
    """A backend that danet tune measures."""
    from danet.tuning.search import TUNABLE  # not at each command's start

    return _one_of(text, TUNABLE)


def _one_of(text: str, known: Collection[str]) -> str:
    if text not in known:
        raise argparse.ArgumentTypeError(f"{text!r}, expected one of {', '.join(known)}")
    return text


def backend(text: str) -> str:
    """A backend's name."""
    from danet.backends.registry import BACKENDS  # not at each command's start

    return _one_of(text, BACKENDS)


def padding(text: str) -> float:
    """A box padding that a ModelSpec may have."""
    from danet.model_spec import PADDINGS, checked_padding  # not at each command's start

    try:
        return checked_padding(number(text))
    except InputError as error:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number in {PADDINGS}") from error


def number(text: str) -> float:
    """Any number; NaN where the text is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
