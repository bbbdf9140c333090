"""Pictures in the memory of the training device, and crops of them cut there, many persons at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from danet_evaluation.coco import Picture

_READERS = 16
"""Threads that decode pictures; OpenCV leaves Python's lock while it does."""


class PictureStore:
    """Pictures of any sizes, one behind the other in one buffer.

    Args:
        pixels: (pixels, 4) uint8 on the device: each picture's rows of BGR and one byte that pads a pixel
            to a whole word, so that one look-up fetches it.
        offsets: (P,) int64, pixels before each picture.
        sizes: (P, 2) int64, height and width.
    """

    def __init__(self, pixels: Tensor, offsets: Tensor, sizes: Tensor) -> None:
        self.pixels = pixels
        self.offsets = offsets
        self.sizes = sizes

    @classmethod
    def read(cls, pictures: Sequence[Picture], device: torch.device) -> PictureStore:
        """Decode pictures and lay them into the device's memory.

        Raises:
            InputError: one that cannot be read.
            torch.OutOfMemoryError: more than the device holds.
        """
        with ThreadPoolExecutor(_READERS) as pool:
            images: list[NDArray[np.uint8]] = list(pool.map(_padded, pictures))
        areas = np.array([image.shape[0] * image.shape[1] for image in images], np.int64)
        offsets = np.concatenate((np.zeros(1, np.int64), areas.cumsum()))
        pixels = torch.empty((int(offsets[-1]), 4), dtype=torch.uint8, device=device)
        for image, offset, area in zip(images, offsets[:-1].tolist(), areas.tolist(), strict=True):
            pixels[offset : offset + area] = torch.from_numpy(image).view(-1, 4)
        sizes = torch.tensor([image.shape[:2] for image in images], device=device)
        return cls(pixels, torch.from_numpy(offsets[:-1]).to(device), sizes)

    @classmethod
    def empty(cls, pictures: int, size: tuple[int, int], device: torch.device) -> PictureStore:
        """Room for pictures of one size (H, W), all black."""
        area = size[0] * size[1]
        pixels = torch.zeros((pictures * area, 4), dtype=torch.uint8, device=device)
        offsets = torch.arange(pictures, device=device) * area
        return cls(pixels, offsets, torch.tensor([size] * pictures, device=device))

    def put(self, first: int, images: NDArray[np.uint8]) -> None:
        """Replace the pictures from number `first` on by images (N, H, W, 3) uint8 BGR of their size."""
        flat = torch.from_numpy(images.reshape(-1, 3)).to(self.pixels.device)
        start = int(first * images[0].size // 3)
        self.pixels[start : start + len(flat), :3] = flat

    def crops(self, pictures: Tensor, affines: Tensor, size: tuple[int, int], border: Tensor) -> Tensor:
        """Bilinear crops (N, H, W, 3) float32 BGR, 0 to 255, as `danet.crop.crop_persons` cuts them.

        OpenCV's warp knows 32 places between two pixels where this one is exact, so that values differ
        by a few levels at hard edges.

        Args:
            pictures: (N,) int64, which picture each crop is cut from.
            affines: (N, 2, 3) float64, frame to crop pixel indices.
            size: height and width of a crop.
            border: (3,) float32 BGR outside of the picture.
        """
        x, y = _sources(affines, size)
        left, top = x.floor(), y.floor()
        right_share, low_share = x - left, y - top
        left, top = left.long(), top.long()
        height, width = self.sizes[pictures].T[:, :, None, None]
        starts = self.offsets[pictures][:, None, None]
        words = self.pixels.view(torch.int32).view(-1)
        crops = x.new_zeros((*x.shape, 3))
        for right in (0, 1):
            for low in (0, 1):
                column, row = left + right, top + low
                inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
                found = words[torch.where(inside, starts + row * width + column, 0)]
                values = found.view(torch.uint8).view(*found.shape, 4)[..., :3]
                share = (right_share if right else 1 - right_share) * (low_share if low else 1 - low_share)
                crops += share[..., None] * torch.where(inside[..., None], values, border)
        return crops


def _padded(picture: Picture) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(picture.read(), cv2.COLOR_BGR2BGRA), np.uint8)


def _sources(affines: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Where in the picture each crop's pixels lie: x and y (N, H, W) float32."""
    (a, b), (c, d) = (affines[:, 0, :2].T, affines[:, 1, :2].T)
    # in closed form: a batched inverse on a GPU waits for it
    linear = torch.stack((d, -b, -c, a), 1).view(-1, 2, 2) / (a * d - b * c)[:, None, None]
    shift = -(linear @ affines[:, :, 2:])
    inverse = torch.cat((linear, shift), 2).float()
    rows = torch.arange(size[0], device=affines.device, dtype=torch.float32)[:, None]
    columns = torch.arange(size[1], device=affines.device, dtype=torch.float32)
    x, y = (
        inverse[:, axis, 0, None, None] * columns
        + inverse[:, axis, 1, None, None] * rows
        + inverse[:, axis, 2, None, None]
        for axis in (0, 1)
    )
    return x, y
