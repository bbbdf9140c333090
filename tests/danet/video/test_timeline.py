from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danet.video.timeline import Timeline


def run(positions_ms: list[float], interval_s: float = 0.04) -> list[float]:
    timeline = Timeline(interval_s)
    return [timeline.next(position) for position in positions_ms]


def test_varying_time_stamps_are_kept_and_begin_at_zero() -> None:
    assert run([200, 240, 310, 333]) == pytest.approx([0, 0.04, 0.11, 0.133])


def test_frames_without_time_stamps_come_at_the_stated_rate() -> None:
    assert run([0, 0, 0, 0]) == pytest.approx([0, 0.04, 0.08, 0.12])
    assert run([0, 40, math.nan, 0]) == pytest.approx([0, 0.04, 0.08, 0.12])


def test_after_frames_out_of_order_the_files_own_time_is_found_again() -> None:
    times = run([0, 40, 80, 480, 520, 160, 560, 600])  # as OpenCV gives after a damaged place
    assert times[-2:] == pytest.approx([0.56, 0.6])
    assert times[5] == pytest.approx(0.54)


def test_a_count_that_starts_anew_goes_on() -> None:
    times = run([100_000, 100_040, 40, 80, 120])
    assert times == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])


@given(st.lists(st.floats(min_value=-1e9, max_value=1e9) | st.sampled_from([0.0, math.nan, math.inf]), max_size=30))
def test_time_always_rises(positions: list[float]) -> None:
    times = run([*positions])
    assert all(later > earlier for earlier, later in pairwise(times))
    assert not times or times[0] == 0


def test_a_steady_rate_is_told_from_a_varying_one() -> None:
    steady, varying = Timeline(0.04), Timeline(0.04)
    for index in range(30):
        steady.next(40 * index + (200 if index > 20 else 0))  # a gap makes no varying rate
        varying.next(60 * index)
    assert steady.steady
    assert not varying.steady
