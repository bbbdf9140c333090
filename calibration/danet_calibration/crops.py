"""Calibration crops on disk: cut once, hashed, and streamed as often as a quantizer asks for them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from danet.crop import crop_affines, crop_persons
from danet.frame import as_boxes
from danet.model_spec import ModelSpec
from danet_calibration.candidates import Candidate

Progress = Callable[[int], None]
"""Called with the number of crops that were just finished."""


@dataclass(frozen=True)
class CalibrationCrops:
    """Crops in a file, of which one at a time is in memory."""

    path: Path
    """Raw uint8: N x H x W x 3, BGR."""
    shape: tuple[int, int, int]
    """H, W, 3 of one crop."""
    hashes: tuple[str, ...]
    """sha256 of each crop's bytes, in order."""
    sources: dict[str, int]
    """How many crops come from each source."""

    def __len__(self) -> int:
        """How many crops there are."""
        return len(self.hashes)

    @property
    def digest(self) -> str:
        """sha256 over all crops: what a cache's keys are made of."""
        return hashlib.sha256("".join(self.hashes).encode()).hexdigest()

    def batches(self, size: int = 1) -> Iterator[NDArray[np.uint8]]:
        """The crops in order, (n, H, W, 3) uint8 BGR, n = `size` but for the last batch."""
        one = int(np.prod(self.shape))
        with self.path.open("rb") as file:
            while data := file.read(size * one):
                yield np.frombuffer(data, np.uint8).reshape(-1, *self.shape).copy()


def cut_crops(
    candidates: Sequence[Candidate], spec: ModelSpec, path: Path, progress: Progress = lambda _: None
) -> CalibrationCrops:
    """Cut the crops that the model sees of `candidates`, as the runtime cuts them, and write them to `path`.

    Raises:
        InputError: a picture that cannot be read.
    """
    hashes: list[str] = []
    sources: dict[str, int] = {}
    with path.open("wb") as file:
        for candidate in candidates:
            frame = candidate.picture.read()
            box = as_boxes(None, "xyxy", frame.shape[:2]) if candidate.box is None else candidate.box[None]
            crop = crop_persons(frame, crop_affines(box, spec), spec)
            hashes.append(hashlib.sha256(crop.tobytes()).hexdigest())
            sources[candidate.source] = sources.get(candidate.source, 0) + 1
            file.write(crop.tobytes())
            progress(1)
    return CalibrationCrops(path, (*spec.input_size, 3), tuple(hashes), sources)
