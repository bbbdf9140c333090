"""Types of options, for argparse: what does not fit is wrong use (exit status 2)."""

from __future__ import annotations

import argparse
from math import isfinite


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number above 0")
    return int(text)


def not_negative_whole(text: str) -> int:
    """A whole number of 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number of 0 or more")
    return int(text)


def not_negative(text: str) -> float:
    """A finite number of 0 or more."""
    value = _number(text)
    if not isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number of 0 or more")
    return value


def above_nothing(text: str) -> float:
    """A finite number above 0."""
    value = _number(text)
    if not isfinite(value) or value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number above 0")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
