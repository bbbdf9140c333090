"""The ladder's last rung: NNCF gives operations back to float, one group after another, until the AP is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import nncf
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from danet.errors import DanetError
from danet.estimator import PoseEstimator
from danet.model_spec import ModelSpec
from danet_calibration.graph import graph_input
from danet_calibration.nncf_ptq import (
    Calibration,
    Stream,
    advanced_parameters,
    quantization_parameters,
    quiet,
)
from danet_calibration.roles import Placed
from danet_calibration.strategy import Strategy
from danet_evaluation.coco import KeypointDataset
from danet_evaluation.evaluate import run

_QUANTIZERS = ("FakeQuantize", "QuantizeLinear")
RANKING_PICTURES = 100
"""Pictures, of those that it is tuned on, on which NNCF ranks the operations."""


class NothingQuantizedError(DanetError):
    """No operation could stay in INT8: what is left is the float model."""


def control_accuracy(
    graph: Any,
    operations: Sequence[Placed],
    strategy: Strategy,
    calibration: Calibration,
    tuning: KeypointDataset,
    spec: ModelSpec,
    max_drop: float,
) -> Any:
    """A quantized copy of an OpenVINO or ONNX model, with as much in float as `max_drop` asks for.

    The result may still lose more: NNCF stops where nothing is left to give back, and `tuning` is not what the file is
    measured on.

    Raises:
        NothingQuantizedError: NNCF gave all operations back to float.
    """
    pictures = [image_id for image_id, _, _ in tuning.images()]
    batch = fixed_batch(graph)

    latest: list[tuple[Any, Any]] = []

    def runner_of(model: Any) -> Any:
        # to rank, NNCF asks for each picture by itself: an ONNX session each time would take longer than the pictures
        if not latest or latest[0][0] is not model:
            latest[:] = [(model, _runner(model))]
        return latest[0][1]

    def validate(model: Any, image_ids: Iterable[int]) -> tuple[float, None]:
        part = tuning.of_images(set(image_ids))
        progress = calibration.watch.task("accuracy control", len(part.persons))
        with PoseEstimator(spec.name, spec=spec, backend=runner_of(model), batch_size=batch) as estimator:
            return run(estimator, part, None, progress).evaluation.figures.ap, None

    with quiet():
        controlled = nncf.quantize_with_accuracy_control(
            graph,
            nncf.Dataset(Stream(calibration, graph_input(graph))),
            nncf.Dataset(pictures),
            validate,
            max_drop=max_drop,
            **quantization_parameters(strategy, operations, len(calibration.crops)),
            advanced_quantization_parameters=advanced_parameters(strategy),
            advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(
                ranking_subset_size=min(RANKING_PICTURES, len(pictures)), num_ranking_workers=1
            ),
        )
    if not is_quantized(controlled):
        raise NothingQuantizedError(
            f"no operation can stay in INT8 where the AP may drop by {max_drop:g}; allow more, or use the float file"
        )
    return controlled


def is_quantized(graph: Any) -> bool:
    """Whether any operation of an OpenVINO or ONNX model has a quantizer."""
    if hasattr(graph, "get_ops"):
        return any(operation.get_type_name() in _QUANTIZERS for operation in graph.get_ops())
    return any(node.op_type in _QUANTIZERS for node in graph.graph.node)


def fixed_batch(graph: Any) -> int | None:
    """The only batch size that an OpenVINO or ONNX model takes; None: any."""
    if hasattr(graph, "get_ops"):
        batch = graph.input(0).partial_shape[0]
        return batch.get_length() if batch.is_static else None
    return graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value or None


def _runner(model: Any) -> Any:
    """A danet backend for what NNCF hands to a validation function."""
    return OnnxRunner(model.SerializeToString()) if hasattr(model, "SerializeToString") else CompiledRunner(model)


@dataclass(frozen=True)
class CompiledRunner:
    """A model that OpenVINO has compiled, with a dynamic batch."""

    model: Any

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Crops (N, H, W, 3) uint8 BGR -> heatmaps (N, K, h, w) float32."""
        request = self.model.create_infer_request()
        heatmaps: NDArray[np.float32] = request.infer({0: images})[0].astype(np.float32, copy=True)
        return heatmaps

    def close(self) -> None:
        """Nothing to free: the model is NNCF's."""


class OnnxRunner:
    """An ONNX model from memory."""

    def __init__(self, model: bytes) -> None:
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Crops (N, H, W, 3) uint8 BGR -> heatmaps (N, K, h, w) float32."""
        heatmaps: NDArray[np.float32] = self._session.run(None, {self._session.get_inputs()[0].name: images})[0]
        return heatmaps

    def close(self) -> None:
        """Nothing else to free."""
