from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from danet.detectors.letterbox import Fit, fitted

SIDES = st.integers(1, 4000)
SIZES = st.tuples(SIDES, SIDES)
INPUTS = st.tuples(st.integers(32, 1280), st.integers(32, 1280))
FITS = st.sampled_from(["corner", "centre", "stretch"])


@given(SIZES, INPUTS, FITS, st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_boxes_map_there_and_back(
    size: tuple[int, int], inputs: tuple[int, int], fit: Fit, shares: list[float]
) -> None:
    letterbox = fitted(size, inputs, fit)
    boxes = np.array([shares]) * np.array([size[1], size[0], size[1], size[0]])
    inside = letterbox.to_input(boxes)
    np.testing.assert_allclose(letterbox.to_frame(inside), boxes, atol=1e-3)
    assert (inside >= -1e-9).all()
    assert (inside <= np.array([inputs[1], inputs[0]] * 2) + 1e-9).all()


@given(SIZES, INPUTS, st.sampled_from(["corner", "centre"]))
def test_the_frame_fills_one_side_and_keeps_its_aspect(
    size: tuple[int, int], inputs: tuple[int, int], fit: Fit
) -> None:
    letterbox = fitted(size, inputs, fit)
    ratio = min(inputs[0] / size[0], inputs[1] / size[1])
    for inner, outer, limit in zip(letterbox.inner_size, size, inputs, strict=True):
        assert abs(inner - max(1, outer * ratio)) <= 1
        assert 1 <= inner <= limit
    assert letterbox.inner_size[0] == inputs[0] or letterbox.inner_size[1] == inputs[1]
    rest = np.subtract(inputs, letterbox.inner_size)
    assert letterbox.offset == ((0, 0) if fit == "corner" else tuple(rest // 2))


@pytest.mark.parametrize("fit", ["corner", "centre", "stretch"])
@pytest.mark.parametrize("size", [(300, 500), (500, 300), (64, 64), (37, 91)])
def test_pixels_go_where_boxes_go(fit: Fit, size: tuple[int, int]) -> None:
    frame = np.zeros((*size, 3), np.uint8)
    box = np.array([[size[1] // 4, size[0] // 5, size[1] * 3 // 4, size[0] * 4 // 5]])
    left, top, right, bottom = box[0]
    frame[top:bottom, left:right] = 255
    letterbox = fitted(size, (160, 192), fit)
    ys, xs = np.nonzero(letterbox.apply(frame)[:, :, 0] > 127)  # half way up an edge is the edge
    seen = np.array([[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]])
    np.testing.assert_allclose(seen, letterbox.to_input(box), atol=1)


def test_corner_is_yolox_preproc() -> None:
    # YOLOX: r = min(416 / 360, 416 / 480); the picture int(360 r) x int(480 r) at the top left, 114 elsewhere
    picture = fitted((360, 480), (416, 416), "corner").apply(np.full((360, 480, 3), 7, np.uint8))
    assert (picture[:312] == 7).all()
    assert (picture[312:] == 114).all()


def test_centre_is_ultralytics_letterbox() -> None:
    # LetterBox: 1280 x 721 -> 640 x 360 (of 360.5, to even), 140 rows above and below
    letterbox = fitted((721, 1280), (640, 640), "centre")
    assert (letterbox.inner_size, letterbox.offset) == ((360, 640), (140, 0))
    # 5 pixels are left over: round(2.5 - 0.1) = 2 above, round(2.5 + 0.1) = 3 below
    assert fitted((59, 64), (64, 64), "centre").offset == (2, 0)
