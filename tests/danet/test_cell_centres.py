"""`DecoderSpec.flip_shift` says where a network's cells lie: for the flip test and for locations alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from danet.decode import decode
from danet.estimator import PoseEstimator
from danet.model_spec import DecoderSpec, ModelSpec, Refinement

HEIGHT, WIDTH, STRIDE = 128, 96, 4
NAMES = ("left", "right", "middle")
PLACES = np.array([[30.0, 41.0], [62.0, 50.0], [45.0, 90.0]])
"""Where the keypoints are in the crop, x and y in pixel indices."""


def spec_of(flip_shift: int, refinement: Refinement) -> ModelSpec:
    decoder = DecoderSpec(blur_kernel=1, flip_shift=flip_shift).refined(refinement)
    return ModelSpec(
        "cells", input_size=(HEIGHT, WIDTH), box_padding=1.0, decoder=decoder, keypoints=NAMES, flip_pairs=((0, 1),),
        skeleton=(),
    )  # fmt: skip


def maps_of(places: NDArray[np.float64], flip_shift: int) -> NDArray[np.float32]:
    """Heatmaps (1, K, h, w) of a network whose cell i is at pixel i * stride, or centred on its stride pixels."""
    first = 0.0 if flip_shift else (STRIDE - 1) / 2
    rows, columns = (first + STRIDE * np.arange(side // STRIDE) for side in (HEIGHT, WIDTH))
    squared = (columns[None, None] - places[:, :1, None]) ** 2 + (rows[None, :, None] - places[:, 1:, None]) ** 2
    return np.exp(-squared / (2 * (2 * STRIDE) ** 2)).astype(np.float32)[None]


@pytest.mark.parametrize("flip_shift", [0, 1])
@pytest.mark.parametrize(("refinement", "error"), [("offset", 2.0), ("dark", 0.01)])
def test_locations(flip_shift: int, refinement: Refinement, error: float) -> None:
    points, _ = decode(maps_of(PLACES, flip_shift), spec_of(flip_shift, refinement))
    assert np.abs(points[0] - PLACES).max() <= error


def test_all_places_together_have_no_bias() -> None:
    """Within a cell the quarter offset errs to both sides."""
    for flip_shift in (0, 1):
        errors = []
        for moved in np.ndindex(STRIDE, STRIDE):
            places = PLACES + moved
            errors.append(decode(maps_of(places, flip_shift), spec_of(flip_shift, "dark"))[0][0] - places)
        assert np.abs(np.mean(errors, axis=(0, 1))).max() < 0.01


@pytest.mark.parametrize("flip_shift", [0, 1])
@pytest.mark.parametrize("flip_test", [False, True])
def test_an_estimator_of_either_kind(flip_shift: int, flip_test: bool) -> None:
    """With the shift the mirrored maps lie (stride - 1) pixels off their place to one side, less a cell."""

    class Network:
        def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
            mirrored = bool(images[0, 0, -1, 0])
            seen = (PLACES * (-1, 1) + (WIDTH - 1, 0))[[1, 0, 2]] if mirrored else PLACES
            return np.repeat(maps_of(seen, flip_shift), len(images), axis=0)

        def close(self) -> None: ...

    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    frame[0, 0] = 255
    options: dict[str, Any] = {"spec": spec_of(flip_shift, "dark"), "backend": Network(), "flip_test": flip_test}
    with PoseEstimator("own", **options) as estimator:
        poses = estimator.infer(frame, [[0, 0, WIDTH, HEIGHT]])
    # of two maps, a quarter of a cell apart: half of that
    assert np.abs(poses.keypoints[0] - PLACES).max() < (0.55 if flip_test and flip_shift else 0.05)


def test_numbers_without_a_shift_are_those_of_before() -> None:
    maps = np.random.default_rng(0).random((2, 3, HEIGHT // STRIDE, WIDTH // STRIDE), np.float32)
    spec = spec_of(0, "offset")
    points, scores = decode(maps, spec)
    shifted, same = decode(maps, replace(spec, decoder=replace(spec.decoder, flip_shift=1)))
    np.testing.assert_array_equal(scores, same)
    np.testing.assert_allclose(points - shifted, (STRIDE - 1) / 2, rtol=0, atol=1e-5)
    cells = maps.reshape(2, 3, -1).argmax(2)
    corner = np.stack((cells % (WIDTH // STRIDE), cells // (WIDTH // STRIDE)), axis=2)
    assert np.abs(points - ((corner + 0.5) * STRIDE - 0.5)).max() <= STRIDE / 4
