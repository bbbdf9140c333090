"""NNCF's activation statistics in a file, so that a run that was killed need not collect them again.

NNCF 3.4 can dump its statistics, but not load those of bias correction before they were collected
once (`MeanTensorStatistic` is built of None), so they are kept here in a form of our own.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from nncf.common.tensor_statistics.statistics import (
    AbsMaxTensorStatistic,
    MeanTensorStatistic,
    MinMaxTensorStatistic,
)
from nncf.tensor import Tensor

FILE = "statistics.npz"
_KINDS = {kind.__name__: kind for kind in (MinMaxTensorStatistic, AbsMaxTensorStatistic, MeanTensorStatistic)}


def save_statistics(points: Any, folder: Path) -> bool:
    """Write the collected statistics of NNCF's statistic points; False where one is of no kind that can be kept."""
    arrays: dict[str, Any] = {}
    for place, collector in _places(points):
        statistic = collector.get_statistics()
        kind = type(statistic).__name__
        if kind not in _KINDS:
            return False
        for field, value in statistic.get_data(is_serialized=True).items():
            arrays[f"{place}|{kind}|{field}"] = np.asarray(value.data)
    with (folder / FILE).open("wb") as file:
        np.savez(file, **arrays)
    return True


def load_statistics(points: Any, folder: Path) -> bool:
    """Give NNCF's statistic points what was saved; False, with nothing given, where it does not fit or is damaged."""
    try:
        with np.load(folder / FILE, allow_pickle=False) as arrays:
            known: dict[str, tuple[str, dict[str, Any]]] = {}
            for name in arrays.files:
                place, kind, field = name.rsplit("|", 2)
                known.setdefault(place, (kind, {}))[1][field] = Tensor(arrays[name])
            found = [(collector, _statistic(*known[place])) for place, collector in _places(points)]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return False
    for collector, statistic in found:
        collector.set_cache(statistic)
    return True


def _statistic(kind: str, data: dict[str, Any]) -> Any:
    statistic = _KINDS[kind].__new__(_KINDS[kind])
    statistic.load_data(data)
    return statistic


def _places(points: Any) -> Iterator[tuple[str, Any]]:
    """NNCF's collectors, each with a name of its own that is the same in every run."""
    for number, (_, point, collector) in enumerate(points.get_tensor_collectors()):
        target = point.target_point
        yield f"{number}|{target.target_node_name}|{target.type}|{target.port_id}", collector
