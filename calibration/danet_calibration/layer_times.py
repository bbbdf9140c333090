"""Where OpenVINO spends its time in a graph, by the groups of DANet's operations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from danet_calibration.roles import Placed
from danet_calibration.running_means import means_after

ROUNDS, WARM_UP = 15, 3
REST = "other"
"""Copies, pools, concatenations and whatever no group claims."""


def group_times(
    models: dict[str, ov.Model], operations: Sequence[Placed], crops: NDArray[np.uint8], threads: int | None = None
) -> dict[str, dict[str, float]]:
    """Milliseconds by group for one batch in each model: means of rounds that go over the models in turn.

    Args:
        models: of the same operations, by name; quantized or not.
        operations: of the float model.
        crops: (N, H, W, 3) uint8 BGR, one batch.
        threads: of OpenVINO; all if not given.
    """
    groups = {placed.operation.name: placed for placed in operations}
    profiled = {name: _Profiled(model, crops, threads) for name, model in models.items()}
    counted: list[dict[str, dict[str, float]]] = []
    for calls in (WARM_UP, ROUNDS):
        for _ in range(calls):
            for one in profiled.values():
                one.infer()
        counted.append({name: one.counters(groups) for name, one in profiled.items()})
    warm, all_calls = counted
    return {name: means_after(warm[name], all_calls[name], WARM_UP, WARM_UP + ROUNDS) for name in models}


class _Profiled:
    """A model compiled with performance counters."""

    def __init__(self, model: ov.Model, crops: NDArray[np.uint8], threads: int | None) -> None:
        fixed = model.clone()
        fixed.reshape({0: list(crops.shape)})
        config: dict[str, Any] = {
            "PERF_COUNT": "YES",
            "INFERENCE_PRECISION_HINT": ov.Type.f32,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
        }
        if threads is not None:
            config["INFERENCE_NUM_THREADS"] = threads
        self._compiled = ov.Core().compile_model(fixed, "CPU", config)
        self._request = self._compiled.create_infer_request()
        self._crops = crops

    def infer(self) -> None:
        """One inference."""
        self._request.infer({0: self._crops})

    def counters(self, groups: dict[str, Placed]) -> dict[str, float]:
        """Milliseconds by group, the mean of all inferences so far."""
        spent: dict[str, float] = {placed.group: 0.0 for placed in groups.values()} | {REST: 0.0}
        for node in self._compiled.get_runtime_model().get_ops():
            info = node.get_rt_info()
            time = info["execTimeMcs"].astype(str) if "execTimeMcs" in info else ""
            names = info["originalLayersNames"].astype(str).split(",") if "originalLayersNames" in info else []
            if time.isdecimal():
                spent[_owner(names, groups)] += int(time) / 1000
        return spent


def _owner(names: Iterable[str], groups: dict[str, Placed]) -> str:
    """The group of what was fused into one node: that of its convolution, else of its first operation."""
    members = [groups[name] for name in names if name in groups]
    convolutions = [placed for placed in members if placed.operation.kernel is not None]
    return next((placed.group for placed in (*convolutions, *members)), REST)
