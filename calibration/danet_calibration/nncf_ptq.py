"""Post-training quantization of one graph by NNCF, with its activation statistics kept for the next run."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import nncf
from nncf.common.factory import StatisticsAggregatorFactory, build_graph
from nncf.quantization.advanced_parameters import (
    AdvancedQuantizationParameters,
    AdvancedSmoothQuantParameters,
    OverflowFix,
)
from nncf.quantization.algorithms.post_training.algorithm import PostTrainingQuantization
from nncf.quantization.range_estimator import RangeEstimatorParametersSet

from danet_calibration.crops import CalibrationCrops
from danet_calibration.roles import Placed
from danet_calibration.statistics_store import load_statistics, save_statistics
from danet_calibration.strategy import Strategy
from danet_calibration.watch import Watch
from danet_calibration.workspace import Workspace

_OVERFLOW_FIX = {
    "8": OverflowFix.DISABLE,
    "7": OverflowFix.ENABLE,
    "7 in the first layer": OverflowFix.FIRST_LAYER,
}
_RANGES = {"mean": RangeEstimatorParametersSet.MEAN_MINMAX, "largest": RangeEstimatorParametersSet.MINMAX}


@dataclass(frozen=True)
class Calibration:
    """What a graph is quantized with."""

    crops: CalibrationCrops
    workspace: Workspace
    watch: Watch


def ignored_scope(operations: Sequence[Placed], strategy: Strategy) -> nncf.IgnoredScope:
    """The operations of a graph that a strategy leaves in float, by name."""
    names = [
        placed.operation.name
        for placed in operations
        if placed.role in strategy.float_roles or placed.group in strategy.float_groups
    ]
    return nncf.IgnoredScope(names=names, validate=False)


def quantization_parameters(strategy: Strategy, operations: Sequence[Placed], subset: int) -> dict[str, Any]:
    """A strategy as the arguments that NNCF's quantizers share; its advanced parameters apart."""
    return {
        "preset": nncf.QuantizationPreset(strategy.preset),
        "target_device": nncf.TargetDevice.CPU,
        "subset_size": subset,
        "fast_bias_correction": strategy.bias_correction != "accurate",
        # SmoothQuant is a step of NNCF's pipeline for transformers only
        "model_type": None if strategy.smooth_quant is None else nncf.ModelType.TRANSFORMER,
        "ignored_scope": ignored_scope(operations, strategy),
    }


def advanced_parameters(strategy: Strategy) -> AdvancedQuantizationParameters:
    """The rest of a strategy in NNCF's terms."""
    alpha = -1 if strategy.smooth_quant is None else strategy.smooth_quant
    return AdvancedQuantizationParameters(
        overflow_fix=_OVERFLOW_FIX[strategy.weight_bits],
        disable_bias_correction=strategy.bias_correction == "none",
        activations_range_estimator_params=_RANGES[strategy.activation_range],
        smooth_quant_alphas=AdvancedSmoothQuantParameters(convolution=alpha, matmul=-1),
    )


def quantize_graph(
    model: Any, operations: Sequence[Placed], strategy: Strategy, calibration: Calibration, key: str, input_name: str
) -> Any:
    """A quantized copy of an OpenVINO or ONNX model.

    Args:
        model: in float.
        operations: of it, placed.
        strategy: without accuracy control.
        calibration: crops, and where their statistics are kept.
        key: of the statistics: says which model, crops and strategy they belong to.
        input_name: of the graph.
    """
    crops = calibration.crops
    parameters = quantization_parameters(strategy, operations, len(crops))
    with quiet():
        algorithm = PostTrainingQuantization(**parameters, advanced_parameters=advanced_parameters(strategy))
        graph = build_graph(model)
        dataset = nncf.Dataset(Stream(calibration, input_name))
        aggregator = StatisticsAggregatorFactory.create(model, dataset)
        aggregator.register_statistic_points(algorithm.get_statistic_points(model, graph))
        known = calibration.workspace.entry(key)
        if known is not None and load_statistics(aggregator.statistic_points, known):
            calibration.workspace.count(key)
        else:
            aggregator.collect_statistics(model, graph)
            with calibration.workspace.new_entry(key) as folder:
                save_statistics(aggregator.statistic_points, folder)
        return algorithm.apply(model, graph, aggregator.statistic_points, dataset)


@dataclass(frozen=True)
class Stream:
    """The crops as NNCF wants them, one at a time, read from disk at each pass."""

    calibration: Calibration
    input_name: str

    def __len__(self) -> int:
        return len(self.calibration.crops)

    def __iter__(self) -> Iterator[Any]:
        done = self.calibration.watch.task("calibration", len(self))
        for crop in self.calibration.crops.batches():
            yield {self.input_name: crop}
            done(1)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """NNCF without its own bars and log lines: they go to stdout, which belongs to machine output."""
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
