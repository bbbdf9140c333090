"""Which of the candidates are calibrated on: seeded, and spread over sources and sizes of persons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from danet.errors import InputError
from danet_calibration.candidates import Candidate

SIZE_CLASSES = 3
"""Small, middle and large persons: thirds of each source's."""


def choose(candidates: Sequence[Candidate], count: int, seed: int) -> list[Candidate]:
    """`count` candidates, or all of them where there are fewer: in turn one of each source and size class.

    Activations' ranges are what calibration measures, so that a rare source counts as much as a large one.
    The same arguments give the same choice, in the same order.

    Raises:
        InputError: no candidates.
    """
    if not candidates:
        raise InputError("no person to calibrate on; expected at least one box or picture")
    rng = np.random.default_rng(seed)
    strata = [list(rng.permutation(stratum)) for stratum in _strata(candidates)]
    chosen: list[Candidate] = []
    while len(chosen) < min(count, len(candidates)):
        for stratum in strata:
            if stratum and len(chosen) < count:
                chosen.append(candidates[stratum.pop()])
    return chosen


def _strata(candidates: Sequence[Candidate]) -> list[list[int]]:
    """Indices by size class and source, in that order: what is left over then goes to all sources alike."""
    by_source: dict[str, list[int]] = {}
    for index, candidate in enumerate(candidates):
        by_source.setdefault(candidate.source, []).append(index)
    parts = [
        np.array_split(sorted(indices, key=lambda index: _height(candidates[index])), SIZE_CLASSES)
        for _, indices in sorted(by_source.items())
    ]
    return [part[number].tolist() for number in range(SIZE_CLASSES) for part in parts if len(part[number])]


def _height(candidate: Candidate) -> float:
    return 0.0 if candidate.box is None else float(candidate.box[3] - candidate.box[1])
