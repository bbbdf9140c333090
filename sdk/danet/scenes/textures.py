"""Noise, cloth, skin and hair textures; the noise is made once per process and then only cropped.

All textures are uint8, BGR where they have colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from danet.scenes.sampling import below, between, coin, pick

Image = NDArray[np.uint8]
Color = tuple[int, int, int]

BANK_SIDE = 512
TILE = 96
TEXELS = 240.0
"""Texels of a garment per body unit."""


@lru_cache(maxsize=1)
def noise_bank() -> tuple[Image, ...]:
    """Five fields (512, 512) uint8 from smooth clouds to fine grain, spread over the whole range."""
    rng = np.random.default_rng(20_240_229)
    return tuple(_field(rng, slope) for slope in (1.0, 0.8, 0.62, 0.45, 0.2))


def _field(rng: Generator, slope: float) -> Image:
    total = np.zeros((BANK_SIDE, BANK_SIDE), np.float64)
    weight = 1.0
    for octave in range(2, 10):
        grid = rng.integers(0, 256, (2**octave, 2**octave)).astype(np.uint8)
        total += weight * cv2.resize(grid, (BANK_SIDE, BANK_SIDE), interpolation=cv2.INTER_CUBIC)
        weight *= 1 - 0.55 * slope
    low, high = np.quantile(total, (0.01, 0.99))
    spread: Image = np.clip((total - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
    return spread


@lru_cache(maxsize=1)
def grain_bank() -> Image:
    """White Gaussian noise (512, 512, 3) uint8 around 128, standard deviation 40."""
    rng = np.random.default_rng(20_240_301)
    return np.clip(rng.normal(128, 40, (BANK_SIDE, BANK_SIDE, 3)), 0, 255).astype(np.uint8)


def noise_crop(rng: Generator, height: int, width: int, zoom: float | None = None) -> Image:
    """A random piece (height, width) uint8 of the bank, enlarged `zoom` times (drawn when not given)."""
    field = pick(rng, noise_bank())
    factor = zoom if zoom is not None else float(2 ** between(rng, -0.5, 4))
    rows, columns = (max(4, min(BANK_SIDE, int(side / factor))) for side in (height, width))
    top, left = below(rng, BANK_SIDE - rows + 1), below(rng, BANK_SIDE - columns + 1)
    return resized(field[top : top + rows, left : left + columns], width, height)


def resized(image: Image, width: int, height: int) -> Image:
    """Bilinear resize."""
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


STEPS = np.arange(256)[:, None] / 255


def ramp(low: Color, high: Color) -> Image:
    """A colour map (256, 1, 3) from `low` at 0 to `high` at 255."""
    start = np.array(low, np.float64)
    return (start + STEPS * (np.array(high, np.float64) - start) + 0.5).astype(np.uint8)[:, None]


@dataclass(frozen=True)
class Material:
    """A surface: texture (TILE, TILE, 3) uint8 BGR, rows running along the limb, and its mean colour."""

    texture: Image
    mean: Color


def shaded(color: Color, shade: Image, strength: float) -> Material:
    """A surface of one colour, darkened by up to `strength` where `shade` (TILE, TILE) uint8 is 0."""
    dark = scaled(color, 1 - strength)
    return _material(cv2.applyColorMap(shade, ramp(dark, color)))


def _material(texture: NDArray[Any]) -> Material:
    blue, green, red, _ = cv2.mean(texture[::4])
    return Material(texture.astype(np.uint8, copy=False), (int(blue), int(green), int(red)))


PATTERNS = ("plain", "stripes", "bars", "checks", "blotches", "print")


def cloth(rng: Generator, color: Color, second: Color, pattern: str) -> Material:
    """Cloth of one or two colours with folds."""
    strength, folds = between(rng, 0.15, 0.75), fold_crop(rng)
    first = shaded(color, folds, strength)
    if pattern == "plain":
        return first
    texture = first.texture
    cv2.copyTo(shaded(second, folds, strength).texture, _pattern_mask(rng, pattern), texture)
    return _material(texture)


def fold_crop(rng: Generator) -> Image:
    """A piece (TILE, TILE) uint8 of the noise bank as it is."""
    top, left = below(rng, BANK_SIDE - TILE), below(rng, BANK_SIDE - TILE)
    return pick(rng, noise_bank())[top : top + TILE, left : left + TILE]


def _pattern_mask(rng: Generator, pattern: str) -> Image:
    """Where the second colour is (TILE, TILE) uint8."""
    if pattern in ("blotches", "print"):
        level = 128 if pattern == "blotches" else 175
        noise = noise_crop(rng, TILE, TILE, between(rng, 0.8, 5))
        return cv2.threshold(noise, level, 255, cv2.THRESH_BINARY)[1].astype(np.uint8, copy=False)
    wave = np.arange(TILE) % (6 + below(rng, 20)) < between(rng, 2, 7)
    rows, columns = pattern in ("stripes", "checks"), pattern in ("bars", "checks")
    mask = (wave[:, None] & rows) ^ (wave[None, :] & columns)
    return np.broadcast_to(mask, (TILE, TILE)).astype(np.uint8)


SKIN_TONES: tuple[Color, ...] = (
    (220, 228, 244),
    (200, 214, 238),
    (170, 194, 230),
    (142, 174, 216),
    (116, 150, 200),
    (92, 126, 178),
    (70, 100, 150),
    (54, 78, 118),
    (42, 58, 88),
    (34, 44, 64),
)
"""BGR, from light to dark."""


def skin(rng: Generator) -> Material:
    """Skin of any tone with slight mottling."""
    low = below(rng, len(SKIN_TONES) - 1)
    blend = float(rng.random())
    tone = [a + blend * (b - a) + 4 * float(rng.normal()) for a, b in zip(*SKIN_TONES[low : low + 2], strict=True)]
    blue, green, red = (_clipped(int(value)) for value in tone)
    return shaded((blue, green, red), fold_crop(rng), 0.14)


HAIR_COLORS: tuple[Color, ...] = (
    (22, 20, 22),
    (28, 32, 42),
    (34, 48, 72),
    (52, 80, 118),
    (92, 138, 182),
    (140, 180, 212),
    (40, 64, 140),
    (150, 150, 152),
    (215, 215, 218),
)


def hair(rng: Generator) -> Material:
    """Strands along the texture's rows, natural colours and now and then a dyed one."""
    color = pick(rng, HAIR_COLORS, (4, 4, 4, 2, 1.5, 1, 0.7, 1, 0.7)) if coin(rng, 0.96) else vivid(rng)
    top, left = below(rng, BANK_SIDE - 16), below(rng, BANK_SIDE - TILE)
    strands = resized(noise_bank()[-1][top : top + 12, left : left + TILE], TILE, TILE)
    return shaded(color, strands, 0.5)


NEUTRALS: tuple[Color, ...] = (
    (24, 24, 26),
    (30, 28, 26),
    (240, 240, 240),
    (225, 228, 232),
    (128, 128, 128),
    (80, 82, 84),
    (92, 56, 36),
    (128, 96, 66),
    (60, 38, 28),
    (110, 150, 180),
    (70, 92, 110),
)
"""Black, white, greys, navy, denim, khaki, brown: what most clothes are."""


def cloth_color(rng: Generator) -> Color:
    """Mostly neutral, else any hue."""
    if coin(rng, 0.45):
        return vivid(rng)
    blue, green, red = pick(rng, NEUTRALS)
    shift = int(rng.normal(0, 10))
    return _clipped(blue + shift), _clipped(green + shift), _clipped(red + shift)


def vivid(rng: Generator) -> Color:
    """Any hue and lightness."""
    hsv = np.array([[[below(rng, 180), 40 + below(rng, 216), 50 + below(rng, 206)]]], np.uint8)
    blue, green, red = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].tolist()
    return blue, green, red


def muted(rng: Generator) -> Color:
    """What surroundings are made of: mostly little colour, every lightness."""
    hsv = np.array([[[below(rng, 180), int(150 * rng.random() ** 1.7), 20 + below(rng, 236)]]], np.uint8)
    blue, green, red = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0].tolist()
    return blue, green, red


def scaled(color: Color, factor: float) -> Color:
    """A colour of `factor` times the brightness."""
    return int(color[0] * factor), int(color[1] * factor), int(color[2] * factor)


def _clipped(value: int) -> int:
    return max(0, min(255, value))
