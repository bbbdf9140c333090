from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from danet.errors import InputError
from danet.tracking.one_euro import OneEuroFilter, OneEuroSettings, smoothing_gain


def paper_filter(xs: list[float], times: list[float], min_cutoff: float, beta: float, dcutoff: float) -> list[float]:
    """The filter of one number as the paper's appendix writes it down, step by step."""

    def alpha(cutoff: float, te: float) -> float:
        tau = 1.0 / (2 * math.pi * cutoff)
        return 1.0 / (1.0 + tau / te)

    filtered, derivative, out = xs[0], 0.0, [xs[0]]
    for previous, x, te in zip(xs, xs[1:], np.diff(times), strict=False):
        slope = (x - previous) / te
        derivative = alpha(dcutoff, te) * slope + (1 - alpha(dcutoff, te)) * derivative
        a = alpha(min_cutoff + beta * abs(derivative), te)
        filtered = a * x + (1 - a) * filtered
        out.append(filtered)
    return out


def run(values: NDArray[np.float64], times: NDArray[np.float64], settings: OneEuroSettings) -> NDArray[np.float32]:
    one = OneEuroFilter(settings)
    return np.array([one(points, float(time)) for points, time in zip(values, times, strict=True)])


@given(st.integers(0, 2**32 - 1), st.floats(0.2, 5), st.floats(0, 0.2))
def test_one_axis_is_the_papers_filter(seed: int, min_cutoff: float, beta: float) -> None:
    random = np.random.default_rng(seed)
    xs, times = np.cumsum(random.normal(0, 3, 40)), np.cumsum(random.uniform(0.01, 0.2, 40))
    points = np.stack((xs, np.zeros(40)), 1)[:, None]
    found = run(points, times, OneEuroSettings(min_cutoff, beta, 1.0))
    expected = paper_filter(xs.tolist(), times.tolist(), min_cutoff, beta, 1.0)
    np.testing.assert_allclose(found[:, 0, 0], expected, atol=1e-4)
    np.testing.assert_array_equal(found[:, 0, 1], 0)


@given(st.integers(0, 2**32 - 1))
def test_stays_within_what_was_seen(seed: int) -> None:
    random = np.random.default_rng(seed)
    points = random.uniform(-100, 100, (30, 5, 2))
    found = run(points, np.arange(30) / 25, OneEuroSettings())
    assert (found <= np.maximum.accumulate(points, 0) + 1e-3).all()
    assert (found >= np.minimum.accumulate(points, 0) - 1e-3).all()


def test_noise_at_rest_shrinks_and_motion_does_not_lag() -> None:
    random = np.random.default_rng(1)
    times = np.arange(200) / 25
    still = 50 + random.normal(0, 2, (200, 17, 2))
    smooth = run(still, times, OneEuroSettings())
    assert np.diff(smooth[20:], 2, axis=0).std() < 0.25 * np.diff(still[20:], 2, axis=0).std()
    moving = np.broadcast_to(300 * times[:, None, None], (200, 17, 2))
    lag_s = (moving - run(moving, times, OneEuroSettings()))[-1, 0, 0] / 300
    assert lag_s < 0.04  # one frame


def test_time_stamps_count_not_calls() -> None:
    """A step seen after a longer time is believed more."""

    def after(dt: float) -> float:
        one = OneEuroFilter(OneEuroSettings(beta=0))
        one(np.zeros((1, 2)), 0.0)
        return float(one(np.ones((1, 2)), dt)[0, 0])

    assert after(0.02) < after(0.1) < after(0.5)
    assert after(0.1) == pytest.approx(float(smoothing_gain(1.0, 0.1)), abs=1e-6)


def test_doubtful_keypoints_move_less() -> None:
    one = OneEuroFilter()
    one(np.zeros((3, 2)), 0.0)
    x = one(np.ones((3, 2)), 0.04, np.array([1.0, 0.1, 0.0]))[:, 0]
    assert x[0] > x[1] > x[2] == 0


def test_after_an_outlier_that_counts_for_nothing_the_way_back_does_neither() -> None:
    """The jitter of a pixel is smoothed after it as it is without one."""
    found = []
    for outlier in (0.0, 200.0):
        one = OneEuroFilter()
        xs = [outlier if index == 10 else index % 2 for index in range(20)]
        scores = [0.0 if index == 10 else 1.0 for index in range(20)]
        times = (index / 25 for index in range(20))
        steps = zip(xs, times, scores, strict=True)
        found.append([float(one(np.full((1, 2), x), time_s, np.array([score]))[0, 0]) for x, time_s, score in steps])
    np.testing.assert_array_equal(found[1], found[0])


def test_steady_motion_has_its_speed_across_doubtful_samples() -> None:
    """Their way counts over their time: else a person who walks would seem to jump."""
    one = OneEuroFilter()
    for index in range(100):
        one(np.full((1, 2), 4.0 * index), index / 25, np.array([0.0 if index % 10 in (7, 8, 9) else 1.0]))
        if index > 50:
            np.testing.assert_allclose(one._speed, 100, rtol=0.02)


def test_a_long_gap_starts_anew() -> None:
    one = OneEuroFilter(OneEuroSettings(reset_s=1.0))
    one(np.zeros((2, 2)), 0.0)
    np.testing.assert_array_equal(one(np.full((2, 2), 90.0), 1.5), 90)


def test_scale_is_the_unit_of_beta() -> None:
    """A person of twice the size, counted in half pixels, is smoothed alike."""
    random = np.random.default_rng(3)
    small, large = OneEuroFilter(), OneEuroFilter()
    for index in range(30):
        points = random.uniform(0, 50, (17, 2))
        near, far = small(points, index / 25, scale=2.0), large(2 * points, index / 25, scale=1.0)
        np.testing.assert_allclose(far, 2 * near, rtol=1e-5)


def test_the_same_time_again_changes_nothing() -> None:
    one = OneEuroFilter()
    one(np.zeros((1, 2)), 1.0)
    np.testing.assert_array_equal(one(np.full((1, 2), 9.0), 1.0), 0)


@pytest.mark.parametrize(
    ("points", "time_s", "message"),
    [
        (np.zeros((2, 2)), 0.5, "do not fall"),
        (np.zeros((3, 2)), 2.0, "shape"),
        (np.full((2, 2), np.nan), 2.0, "finite"),
        (np.zeros((2, 2)), float("nan"), "do not fall"),
    ],
)
def test_bad_samples(points: NDArray[np.float64], time_s: float, message: str) -> None:
    one = OneEuroFilter()
    one(np.zeros((2, 2)), 1.0)
    with pytest.raises(InputError, match=message):
        one(points, time_s)


@pytest.mark.parametrize("bad", [{"min_cutoff": 0}, {"beta": -1}, {"speed_cutoff": float("nan")}, {"reset_s": -1}])
def test_bad_settings(bad: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(bad))):
        OneEuroSettings(**bad)


def test_a_doubtful_start_counts_for_nothing() -> None:
    times = np.arange(12) / 25
    seen = [np.array([[200.0, 200.0]]), *[np.array([[x, 0.0]]) for x in np.linspace(0, 11, 11)]]
    one, sure = OneEuroFilter(), OneEuroFilter()
    started = [one(point, t, np.array([0.0 if t == 0 else 1.0])) for point, t in zip(seen, times, strict=True)]
    expected = [sure(point, t, np.array([1.0])) for point, t in zip(seen[1:], times[1:], strict=True)]
    np.testing.assert_allclose(started[1:], expected, atol=1e-4)


@pytest.mark.parametrize("hidden_score", [0.0, 0.005, 0.02])
@pytest.mark.parametrize("score", [0.3, 0.5, 1.0])
def test_what_was_hidden_for_long_comes_back_where_it_is(hidden_score: float, score: float) -> None:
    """A walker's ankle, below the picture's edge for 3 seconds: no limb is drawn across the picture after it."""
    one, speed = OneEuroFilter(OneEuroSettings(reset_s=1.0)), 150.0
    lags = []
    for index in range(150):
        time_s = index / 25
        hidden = 25 <= index < 100
        point = np.array([[speed * time_s, 10.0]])
        x = one(point, time_s, np.array([hidden_score if hidden else score if index >= 100 else 1.0]))[0, 0]
        lags.append(speed * time_s - x)
    assert max(np.abs(lags[100:])) < 30  # a fifth of a second's way; before it went on from where it was, 450 px away


def test_one_outlier_of_a_doubtful_keypoint_moves_it_as_little_as_before() -> None:
    """What is known is not given up for a sample that is less sure, until `reset_s` has gone by."""
    one = OneEuroFilter()
    for index in range(20):
        x = one(np.zeros((1, 2)), index / 25, np.array([1.0]))
    x = one(np.full((1, 2), 100.0), 20 / 25, np.array([0.05]))
    assert abs(float(x[0, 0])) < 10
