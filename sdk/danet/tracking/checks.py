"""What the numbers of settings must be."""

from __future__ import annotations

from math import isfinite
from numbers import Real

from danet.errors import InputError


def expect_number(name: str, value: float, *, above_zero: bool) -> None:
    """Refuse a setting that is not finite, or below 0, or 0 where it must be above.

    Raises:
        InputError: names the setting.
    """
    if not isinstance(value, Real) or not isfinite(value) or value < 0 or (above_zero and value == 0):
        raise InputError(f"{name} is {value!r}, expected a finite number {'above 0' if above_zero else 'of 0 or more'}")
