"""What a camera does to a finished picture: light, contrast, blur, noise, compression, no colour.

Nothing here moves a pixel's content, so keypoints stay exact.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.random import Generator

from danet.scenes.background import tint
from danet.scenes.sampling import below, between, coin
from danet.scenes.textures import BANK_SIDE, Image, grain_bank


def camera_effects(image: Image, rng: Generator) -> Image:
    """A new picture (H, W, 3) uint8 BGR; each effect is drawn on its own."""
    image = _lit(image, rng)
    if coin(rng, 0.45):
        image = _blurred(image, rng)
    if coin(rng, 0.1):
        image = _shaken(image, rng)
    if coin(rng, 0.55):
        image = _grained(image, rng)
    if coin(rng, 0.05):
        gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        image = cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False)
    return _compressed(image, rng) if coin(rng, 0.2) else image


def _lit(image: Image, rng: Generator) -> Image:
    """Gain, contrast and colour of the light through one table."""
    contrast, gain = between(rng, 0.35, 1.0) if coin(rng, 0.15) else 1.0, float(2 ** rng.normal(0, 0.3))
    steps = np.arange(256)[:, None]
    lifted = (steps - 128) * contrast + 128
    table = np.clip(lifted * gain * (np.array(tint(rng)) / 255), 0, 255).astype(np.uint8)
    return cv2.LUT(image, table[:, None, :]).astype(np.uint8, copy=False)


def _blurred(image: Image, rng: Generator) -> Image:
    sigma = float(abs(rng.normal(0, 0.9))) + 0.4
    side = 3 if sigma < 0.9 else 5 if sigma < 1.6 else 7
    return cv2.GaussianBlur(image, (side, side), sigma).astype(np.uint8, copy=False)


def _shaken(image: Image, rng: Generator) -> Image:
    """Motion blur along a line that is symmetric about the pixel."""
    reach, angle = between(rng, 1, 4), between(rng, 0, math.pi)
    side = 2 * math.ceil(reach) + 1
    kernel = np.zeros((side, side), np.float32)
    middle = side // 2
    for step in np.linspace(-reach, reach, 4 * side).tolist():
        kernel[middle + round(step * math.sin(angle)), middle + round(step * math.cos(angle))] += 1
    return cv2.filter2D(image, -1, kernel / kernel.sum()).astype(np.uint8, copy=False)


def _grained(image: Image, rng: Generator) -> Image:
    """Adds sensor noise; the bank is repeated over large frames."""
    height, width = image.shape[:2]
    strength = between(rng, 0.02, 0.4) ** 1.3
    top, left = below(rng, BANK_SIDE // 2), below(rng, BANK_SIDE // 2)
    grain = grain_bank()[top:, left:]
    rows, columns = -(-height // grain.shape[0]), -(-width // grain.shape[1])
    if rows > 1 or columns > 1:
        grain = np.tile(grain, (rows, columns, 1))
    return cv2.addWeighted(image, 1, grain[:height, :width], strength, -128 * strength).astype(np.uint8, copy=False)


def _compressed(image: Image, rng: Generator) -> Image:
    _, data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, 25 + below(rng, 65)))
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
