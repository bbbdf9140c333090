"""The features that a stage concatenates, stored as bytes.

NNCF quantizes what a convolution reads. A stage's growing features are read by every later layer, each time through
batch norms of its own, so that they would stay in float32: written, concatenated and read at four times the size.
Quantizers behind whatever is concatenated make them bytes.

OpenVINO concatenates integers where all parts have the same scale, while the layers' ranges differ by ten. So each
layer's features are divided by their own range, which makes the scale the same for all, and what reads them multiplies
by the range again: s * x = (s * r) * (x / r), with r in the constant of the batch norm, no operation more. Ranges for
each channel gain nothing over that. Measured in docs/quantization.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13

from danet_calibration.graph import constant_values, map_size
from danet_calibration.nncf_ptq import Calibration

LEVELS = 256
BATCH = 4
"""Crops to a run."""
RANGE_QUANTILE = 0.99
"""Of the crops' largest values. Not their mean, as for what one layer reads: what is cut here all later layers miss."""
_CONFIG = {"INFERENCE_PRECISION_HINT": ov.Type.f32}
_Key = tuple[str, int]
"""An output: its node's name and its index."""


def add_feature_quantizers(model: ov.Model, calibration: Calibration) -> None:
    """Put quantizers behind all maps that are concatenated, and their ranges into what reads them.

    Args:
        model: an IR that NNCF has quantized; changed in place.
        calibration: gives the crops.
    """
    parts = _parts(model)
    ranges = _ranges(model, parts, calibration)
    ends = [opset13.constant(np.float32(end)) for end in (-1, (LEVELS / 2 - 1) / (LEVELS / 2))]
    divided: dict[_Key, NDArray[np.float32]] = {}
    for part in parts:
        limit = ranges[_key(part)]
        if limit <= 0:
            continue
        readers = list(part.get_target_inputs())
        inputs = [opset13.constant(np.float32(limit) * end.data) for end in ends]
        rounded = opset13.fake_quantize(part, *inputs, *ends, LEVELS)
        for reader in readers:
            reader.replace_source_output(rounded.output(0))
        divided[_key(rounded.output(0))] = np.full(_channels(part), limit, np.float32)
    _multiply_again(model, divided)
    model.validate_nodes_and_infer_types()


def _parts(model: ov.Model) -> list[Any]:
    """The outputs that concatenations of maps are made of, each once; other concatenations left out."""
    found = {
        _key(part): part
        for node in model.get_ordered_ops()
        if _is_concat(node) and _is_map(node)
        for part in (_before_pooling(source.get_source_output()) for source in node.inputs())
        if part.get_node().get_type_name() not in ("Concat", "FakeQuantize")
    }
    return list(found.values())


def _before_pooling(output: Any) -> Any:
    """Where the values of a maximum of neighbours come from: rounded there they give the same maximum, in bytes."""
    while output.get_node().get_type_name() == "MaxPool" and output.get_index() == 0:
        output = output.get_node().input_value(0)
    return output


def _is_concat(node: Any) -> bool:
    """Whether a node concatenates channels."""
    return bool(node.get_type_name() == "Concat" and node.get_attributes()["axis"] in (1, -3))


def _is_map(node: Any) -> bool:
    size = map_size(node.output(0).partial_shape)
    return size is not None and min(size) > 1


def _key(output: Any) -> _Key:
    return output.get_node().get_friendly_name(), output.get_index()


def _channels(output: Any) -> int:
    count: int = output.get_partial_shape()[1].get_length()
    return count


def _ranges(model: ov.Model, outputs: list[Any], calibration: Calibration) -> dict[_Key, float]:
    """How far each output reaches on the crops, in float.

    In float: with a dynamic batch OpenVINO 2026.4 gives the results of INT8 deconvolutions too small where they are
    outputs (4.6 for 37).
    """
    keys = [_key(output) for output in outputs]
    probe = model.clone()
    for node in probe.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize":
            node.output(0).replace(node.input_value(0))
    nodes = {node.get_friendly_name(): node for node in probe.get_ops()}
    first = len(probe.outputs)
    probe.add_outputs([nodes[name].output(index) for name, index in keys])
    request = ov.Core().compile_model(probe, "CPU", _CONFIG).create_infer_request()
    largest: dict[_Key, list[float]] = {key: [] for key in keys}
    done = calibration.watch.task("ranges of features", len(calibration.crops))
    fixed = model.input(0).partial_shape[0].is_static
    for crops in calibration.crops.batches(1 if fixed else BATCH):
        request.infer({0: crops})
        for number, key in enumerate(keys, first):
            largest[key] += np.abs(request.get_output_tensor(number).data).max((1, 2, 3)).tolist()
        done(len(crops))
    return {key: float(np.quantile(values, RANGE_QUANTILE)) for key, values in largest.items()}


def _multiply_again(model: ov.Model, divided: dict[_Key, NDArray[np.float32]]) -> None:
    """Multiply what was divided, as late as the graph allows: in the constant of a batch norm's product."""
    for node in model.get_ordered_ops():
        limits = [divided.get(_key(source.get_source_output())) for source in node.inputs()]
        untouched = sum(limit is None for limit in limits)
        if untouched == len(limits):
            continue
        kind = node.get_type_name()
        if _is_concat(node):
            widths = [_channels(source.get_source_output()) for source in node.inputs()]
            parts = [
                np.ones(width, np.float32) if limit is None else limit
                for limit, width in zip(limits, widths, strict=True)
            ]
            divided[_key(node.output(0))] = np.concatenate(parts)
        elif kind in ("ReduceMean", "MaxPool") and limits[0] is not None and _keeps_channels(node):
            divided[_key(node.output(0))] = limits[0]
        elif kind == "Multiply" and untouched == 1:
            index = 0 if limits[0] is not None else 1
            limit, other = limits[index], node.input(1 - index)
            assert limit is not None
            constant = constant_values(other.get_source_output().get_node())
            if constant is None:  # a factor to each channel of each person, from the channel attention
                divided[_key(node.output(0))] = limit
            else:
                scaled = opset13.constant((constant * limit.reshape(1, -1, 1, 1)).astype(np.float32))
                other.replace_source_output(scaled.output(0))
        else:
            for source, limit in zip(node.inputs(), limits, strict=True):
                if limit is not None:
                    restored = opset13.multiply(
                        source.get_source_output(), opset13.constant(limit.reshape(1, -1, 1, 1))
                    )
                    source.replace_source_output(restored.output(0))


def _keeps_channels(node: Any) -> bool:
    """Whether each channel of a node's first output comes from the channel of that number of its first input alone."""
    given, taken = node.input(0).get_partial_shape(), node.output(0).get_partial_shape()
    return len(taken) == len(given) and taken[1] == given[1]
