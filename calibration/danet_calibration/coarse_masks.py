"""The masks of the fine stages at half their resolution.

A mask says how much of each new feature stays, a number between 0 and 1/2 (the paper's form) that its 9x9 kernel makes
of a wide neighbourhood. On the fine maps it changes slowly from cell to cell, and there its depthwise convolution is
the most costly layer of an INT8 file. So it is computed once for every 2x2 cells: of the mean of the four responses,
which is the same as one convolution with a 10x10 kernel and stride 2,

    (a[2Y] + a[2Y + 1]) / 2 = sum_k' (w[k'] + w[k' - 1]) / 2 x[2Y + k' - p]

and the four cells share the mask. That is not the network that was trained: the gate measures what it costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13

from danet_calibration.graph import constant_values, map_size

_UNARY = ("Abs", "Negative")
_WITH_CONSTANT = ("Add", "Subtract", "Multiply")


def coarsen_masks(model: ov.Model, strides: Sequence[int]) -> int:
    """Compute the masks of the stages of some strides for every 2x2 cells.

    Args:
        model: an IR in float; changed in place.
        strides: pixels to a cell; of the fusions' masks none is touched.

    Returns:
        How many masks.
    """
    height = model.input(0).partial_shape[1]
    heights = {height.get_length() // stride for stride in strides} if height.is_static else set()
    found = [node for node in model.get_ordered_ops() if node.get_type_name() == "Sigmoid" and _is_mask(node)]
    count = 0
    for sigmoid in found:
        convolution = _convolution_behind(sigmoid)
        size = map_size(sigmoid.output(0).partial_shape)
        if convolution is None or size is None or size[0] not in heights or size[0] % 2 or size[1] % 2:
            continue
        _halve(convolution)
        readers = list(sigmoid.output(0).get_target_inputs())
        again = _doubled(sigmoid.output(0), size)
        for reader in readers:
            reader.replace_source_output(again.output(0))
        count += 1
    model.validate_nodes_and_infer_types()
    return count


def _is_mask(sigmoid: Any) -> bool:
    """Whether a sigmoid weighs the output of a convolution, and no difference, as in the fusions."""
    readers = [reader.get_node() for reader in sigmoid.output(0).get_target_inputs()]
    if len(readers) != 1 or readers[0].get_type_name() != "Multiply":
        return False
    others = [source.get_source_output().get_node() for source in readers[0].inputs()]
    return any(_weighted(other) for other in others if other.get_friendly_name() != sigmoid.get_friendly_name())


def _weighted(node: Any) -> bool:
    if node.get_type_name() == "Add" and constant_values(node.input_value(1).get_node()) is not None:
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Convolution")


def _convolution_behind(sigmoid: Any) -> Any | None:
    """The depthwise convolution whose responses a sigmoid takes, bias, sign and absolute value between them."""
    node = sigmoid.input_value(0).get_node()
    while node.get_type_name() in (*_UNARY, *_WITH_CONSTANT):
        if node.get_type_name() in _WITH_CONSTANT and constant_values(node.input_value(1).get_node()) is None:
            return None
        if len(node.output(0).get_target_inputs()) != 1:
            return None
        node = node.input_value(0).get_node()
    if node.get_type_name() != "GroupConvolution" or len(node.output(0).get_target_inputs()) != 1:
        return None
    weights = constant_values(node.input_value(1).get_node())
    plain = node.get_attributes()["strides"] == [1, 1] and node.get_attributes()["dilations"] == [1, 1]
    return node if plain and weights is not None and weights.shape[-1] % 2 and weights.shape[-2] % 2 else None


def _halve(convolution: Any) -> None:
    """Replace a depthwise convolution by that of the means of 2x2 of its outputs."""
    weights = constant_values(convolution.input_value(1).get_node())
    assert weights is not None
    name, attributes = convolution.get_friendly_name(), convolution.get_attributes()
    halved = opset13.group_convolution(
        convolution.input_value(0),
        opset13.constant(mean_kernel(weights)),
        [2, 2],
        attributes["pads_begin"],
        attributes["pads_end"],
        [1, 1],
    )
    ov.utils.replace_node(convolution, halved)
    halved.set_friendly_name(name)


def mean_kernel(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Kernels (..., h + 1, w + 1) that respond with the means of 2x2 responses of kernels (..., h, w)."""
    padded = np.pad(weights, [(0, 0)] * (weights.ndim - 2) + [(1, 1), (1, 1)]).astype(np.float64)
    rows = padded[..., 1:, :] + padded[..., :-1, :]
    return ((rows[..., 1:] + rows[..., :-1]) / 4).astype(np.float32)


def _doubled(output: Any, size: tuple[int, int]) -> Any:
    """Each cell four times."""
    return opset13.interpolate(
        output,
        opset13.constant(np.array(size, np.int64)),
        "nearest",
        "sizes",
        axes=opset13.constant(np.array([2, 3], np.int64)),
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
