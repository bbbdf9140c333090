"""Small changes of heatmaps make small changes of "dark" keypoints, and a change of unit none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from danet.decode import decode
from danet.model_spec import DecoderSpec, ModelSpec

from .heatmaps import FINE_SIGMA, WIDEST_SIGMA, gaussian_maps, spec_of

PAPER = spec_of((64, 48), 4, 1.25, DecoderSpec())
DARK = PAPER.decoded_by("dark")

sigmas = st.floats(FINE_SIGMA, WIDEST_SIGMA)
cells = st.tuples(*(st.floats(0, 1),) * 4)


def maps_at(parts: tuple[float, ...], sigma: float) -> NDArray[np.float32]:
    places = 10 + np.array(parts).reshape(1, 2, 2) * (27, 43)
    return gaussian_maps(places, (64, 48), sigma)


@given(cells, sigmas, st.integers(-15, 15), st.sampled_from([PAPER, DARK]))
@settings(deadline=None, max_examples=60)
def test_a_power_of_two_changes_nothing(parts: tuple[float, ...], sigma: float, power: int, spec: ModelSpec) -> None:
    """Heatmaps with a peak of 2^power and a spec that says so; powers of two are exact in float32."""
    maps, peak = maps_at(parts, sigma), 2.0**power
    points, scores = decode(maps, spec)
    scaled = replace(spec, decoder=replace(spec.decoder, heatmap_peak=peak))
    again, scores_again = decode(maps * np.float32(peak), scaled)
    np.testing.assert_array_equal(again, points)
    np.testing.assert_array_equal(scores_again, scores)


@given(cells, sigmas, st.floats(1e-6, 1e6))
@settings(deadline=None, max_examples=60)
def test_any_peak(parts: tuple[float, ...], sigma: float, peak: float) -> None:
    maps = maps_at(parts, sigma)
    scaled = replace(DARK, decoder=replace(DARK.decoder, heatmap_peak=peak))
    points, scores = decode(maps, DARK)
    again, scores_again = decode(maps * np.float32(peak), scaled)
    np.testing.assert_allclose(again, points, atol=2e-4)
    np.testing.assert_allclose(scores_again, scores, atol=1e-6)


@given(cells, sigmas, st.integers(0, 2**32 - 1), st.floats(0, 1e-3))
@settings(deadline=None, max_examples=100)
def test_noise_moves_keypoints_in_proportion(parts: tuple[float, ...], sigma: float, seed: int, noise: float) -> None:
    """The bound, for noise of at most e on every cell.

    Blurred by s = 2.9 cells, the peak is h = sigma^2 / (sigma^2 + s^2) high and the noise no more than e, so the
    logarithm and its slope are off by e / h, the bends by 4 e / h. A step is the slope times sigma^2 + s^2 = 1 / bend:
    off by (sigma^2 + s^2) e / h for the slope, and by 4 times as much times its own length, half a cell, for the bend:
    3 (sigma^2 + s^2)^2 / sigma^2 e in all. That is 165 e for the finest sigma, 102 e for the widest; the neighbours are
    a tenth lower than the peak, so their logarithms are off by a tenth more.
    """
    maps = maps_at(parts, sigma)
    random = np.random.default_rng(seed)
    noisy = maps + random.uniform(-noise, noise, maps.shape).astype(np.float32)
    moved = np.abs(decode(noisy, DARK)[0] - decode(maps, DARK)[0]).max() / DARK.stride
    assert moved <= 185 * noise + 5e-5


def test_the_offset_jumps_where_dark_does_not() -> None:
    """Midway between cells the least noise decides where an offset goes."""
    at = [20.5 - 1e-3, 20.5 + 1e-3]
    maps = np.concatenate([gaussian_maps(np.array([[[x, 30.2], [x, 30.2]]]), (64, 48), FINE_SIGMA) for x in at])
    jumps = [np.abs(np.diff(decode(maps, spec)[0][:, 0, 0]))[0] / 4 for spec in (PAPER, DARK)]
    np.testing.assert_allclose(jumps, (0.5, 2e-3), atol=1e-3)
