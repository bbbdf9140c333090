"""Gaussian heatmaps at known places, and models that answer them, for tests of the geometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from danet.model_spec import DecoderSpec, ModelSpec

FINE_SIGMA = 5.6 / 4
"""Cells: the finest scale of training (danet_training/config.py, `fine_sigma`, stride 4)."""
WIDEST_SIGMA = 10.4 / 4
"""Cells: the coarsest."""


def spec_of(cells: tuple[int, int], stride: int, padding: float, decoder: DecoderSpec) -> ModelSpec:
    """A spec of two keypoints."""
    return ModelSpec(
        name="gaussian",
        input_size=(cells[0] * stride, cells[1] * stride),
        stride=stride,
        box_padding=padding,
        mean=(0.0, 0.0, 0.0),
        decoder=decoder,
        keypoints=("left_a", "right_a"),
        flip_pairs=((0, 1),),
        skeleton=(),
    )


def gaussian_maps(cells: NDArray[np.float64], size: tuple[int, int], sigma: float) -> NDArray[np.float32]:
    """Heatmaps (N, K, h, w) float32 with peak 1 at places (N, K, 2) x, y in cells."""
    rows, columns = (np.arange(side) for side in size)
    across = np.exp(-((columns - cells[..., :1]) ** 2) / (2 * sigma**2))
    down = np.exp(-((rows - cells[..., 1:]) ** 2) / (2 * sigma**2))
    return (down[..., :, None] * across[..., None, :]).astype(np.float32)


def lengths(low: float, high: float) -> st.SearchStrategy[float]:
    """Lengths whose logarithm is even, so that every order of size is tried."""
    return st.floats(np.log(low), np.log(high)).map(lambda value: float(np.exp(value)))


@st.composite
def boxes(draw: st.DrawFn, low: float = 4, high: float = 20_000, far: float = 20_000) -> NDArray[np.float64]:
    """One box (1, 4) xyxy of any size and aspect, its centre up to `far` pixels from the frame's corner."""
    width, height = draw(lengths(low, high)), draw(lengths(low, high))
    x, y = draw(st.floats(-far, far)), draw(st.floats(-far, far))
    return np.array([[x - width / 2, y - height / 2, x + width / 2, y + height / 2]])


@dataclass(frozen=True)
class BrightnessBackend:
    """A model whose response is how bright a cell is: the left keypoint in blue, the right one in red."""

    stride: int

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        persons, height, width, _ = images.shape
        blocks = images.reshape(persons, height // self.stride, self.stride, width // self.stride, self.stride, 3)
        means = blocks.mean(axis=(2, 4), dtype=np.float32) / 255
        return np.ascontiguousarray(means[..., [0, 2]].transpose(0, 3, 1, 2))

    def close(self) -> None: ...


def spots(size: tuple[int, int], places: NDArray[np.float64], sigma: float) -> NDArray[np.uint8]:
    """A frame (H, W, 3) uint8 BGR with a blue and a red Gaussian at places (2, 2) x, y, pixel indices, on black."""
    maps = gaussian_maps(places[None], size, sigma)[0]
    frame = np.zeros((*size, 3), np.uint8)
    frame[..., 0], frame[..., 2] = np.rint(255 * maps)
    return frame
