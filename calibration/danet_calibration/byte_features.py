"""The features that a stage concatenates, stored as bytes.

NNCF quantizes what a convolution reads. A stage's growing features are read by every later layer, each time through
batch norms of its own, so that they would stay in float32: written, concatenated and read at four times the size.
Quantizers of one range to a stage, behind whatever is concatenated, make them bytes (OpenVINO concatenates integers
where all parts have the same scale). Measured in docs/performance.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13

from danet_calibration.graph import map_size
from danet_calibration.nncf_ptq import Calibration

LEVELS = 256
BATCH = 4
"""Crops to a run."""
_CONFIG = {"INFERENCE_PRECISION_HINT": ov.Type.f32}


def add_feature_quantizers(model: ov.Model, calibration: Calibration) -> None:
    """Put quantizers behind all maps that are concatenated, as wide as the largest value on the calibration crops.

    Args:
        model: an IR that NNCF has quantized; changed in place.
        calibration: gives the crops.
    """
    stages = _stages(model)
    largest = _largest(model, [part for parts in stages for part in parts], calibration)
    for parts in stages:
        limit = max(largest[_key(part)] for part in parts)
        if limit <= 0:
            continue
        ends = [opset13.constant(np.float32(end)) for end in (-limit, limit * (LEVELS / 2 - 1) / (LEVELS / 2))]
        for part in parts:
            readers = list(part.get_target_inputs())
            rounded = opset13.fake_quantize(part, *ends, *ends, LEVELS)
            for reader in readers:
                reader.replace_source_output(rounded.output(0))
    model.validate_nodes_and_infer_types()


def _stages(model: ov.Model) -> list[list[Any]]:
    """For each chain of concatenations the outputs that it is made of, other concatenations left out."""
    chains: dict[str, list[Any]] = {}
    seen: set[tuple[str, int]] = set()  # a part of two chains has the first one's range
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Concat" or not _is_map(node):
            continue
        sources = [source.get_source_output() for source in node.inputs()]
        names = [source.get_node().get_friendly_name() for source in sources]
        chain = next((chains[name] for name in names if name in chains), [])
        chains[node.get_friendly_name()] = chain
        for source in sources:
            if source.get_node().get_type_name() not in ("Concat", "FakeQuantize") and _key(source) not in seen:
                seen.add(_key(source))
                chain.append(source)
    distinct = {id(chain): chain for chain in chains.values()}
    return [chain for chain in distinct.values() if chain]


def _is_map(node: Any) -> bool:
    size = map_size(node.output(0).partial_shape)
    return size is not None and min(size) > 1


def _key(output: Any) -> tuple[str, int]:
    return output.get_node().get_friendly_name(), output.get_index()


def _largest(model: ov.Model, outputs: list[Any], calibration: Calibration) -> dict[tuple[str, int], float]:
    """The largest absolute value of each output over all crops."""
    keys = [_key(output) for output in outputs]
    probe = model.clone()
    nodes = {node.get_friendly_name(): node for node in probe.get_ops()}
    first = len(probe.outputs)
    probe.add_outputs([nodes[name].output(index) for name, index in keys])
    request = ov.Core().compile_model(probe, "CPU", _CONFIG).create_infer_request()
    largest = dict.fromkeys(keys, 0.0)
    done = calibration.watch.task("ranges of features", len(calibration.crops))
    fixed = model.input(0).partial_shape[0].is_static
    for crops in calibration.crops.batches(1 if fixed else BATCH):
        request.infer({0: crops})
        for number, key in enumerate(keys, first):
            largest[key] = max(largest[key], float(np.abs(request.get_output_tensor(number).data).max()))
        done(len(crops))
    return largest
