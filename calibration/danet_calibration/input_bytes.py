"""The crop's bytes as what the first convolution reads.

A network normalises its pixels first, (x - mean) / deviation, each colour by its own numbers. A quantizer behind that
rounds the 256 values that a pixel has to 256 others, and OpenVINO makes three passes over the crop of it: colours into
planes, the quantizer, colours beside each other again. The normalisation is linear, so the convolution can have it:

    conv(W, a x + b) = conv(a W, x - z) + sum(W (b + a z))

with one whole number z for all colours, a zero point, and what it differs from each colour's mean in the bias. Then the
quantizer's 256 steps are the 256 values of a byte, nothing is rounded, and the convolution reads the crop as it lies in
memory. Only where the kernel reaches beyond the crop's edge is the result another: the padding is the grey z there, not
the mean colour (114 for 104, 116 and 124). Measured in docs/performance.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13

from danet_calibration.graph import constant_values

LEVELS = 256
HIGHEST = LEVELS - 1
_PLANES = [0, 3, 1, 2]
_LINEAR = ("Multiply", "Divide", "Add", "Subtract")


def fold_normalization(model: ov.Model) -> bool:
    """Put a network's normalisation of its pixels into its first convolution, all but the subtraction of one number.

    Args:
        model: an IR in float; changed in place.

    Returns:
        Whether it was: not where the graph begins in another way.
    """
    found = _normalization(model)
    if found is None:
        return False
    convolution, planes, scale, shift = found
    weights = constant_values(convolution.input_value(1).get_node())
    if weights is None or scale.size != weights.shape[1] or np.any(scale == 0):
        return False
    zero = float(np.rint(np.mean(-shift / scale)))
    if not 0 <= zero <= HIGHEST:
        return False
    centred = opset13.subtract(planes, opset13.constant(np.float32(zero)))
    scaled = opset13.constant((weights * scale.reshape(1, -1, 1, 1)).astype(np.float32))
    bias = np.einsum("oihw,i->o", weights.astype(np.float64), shift + scale * zero).reshape(1, -1, 1, 1)
    convolution.input(0).replace_source_output(centred.output(0))
    convolution.input(1).replace_source_output(scaled.output(0))
    _add_bias(convolution, bias)
    model.validate_nodes_and_infer_types()
    return True


def _normalization(model: ov.Model) -> tuple[Any, Any, NDArray[np.float64], NDArray[np.float64]] | None:
    """The first convolution, the pixels in planes, and scale and shift of each colour; None where it is otherwise."""
    images = model.input(0).get_node()
    if len(model.inputs) != 1 or images.get_element_type() != ov.Type.u8:
        return None
    convolution = next((node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution"), None)
    if convolution is None:
        return None
    steps = []
    node = convolution.input_value(0).get_node()
    while node.get_type_name() in _LINEAR:
        step = _linear_step(node)
        if step is None or len(node.output(0).get_target_inputs()) != 1:
            return None
        source, *factor_and_shift = step
        steps.append(factor_and_shift)
        node = source
    if not is_planes_of_bytes(node, images):
        return None
    scale, shift = np.ones(3), np.zeros(3)
    for factor, added in reversed(steps):
        scale, shift = scale * factor, shift * factor + added
    return convolution, node.output(0), scale, shift


def _linear_step(node: Any) -> tuple[Any, NDArray[np.float64], NDArray[np.float64]] | None:
    """What an operation with a constant is done to, and what it multiplies by and adds; None for another."""
    kind = node.get_type_name()
    for port in (1, 0) if kind in ("Multiply", "Add") else (1,):
        found = constant_values(node.input_value(port).get_node())
        if found is not None and found.size in (1, 3):
            constant = found.astype(np.float64).ravel()
            one, zero = np.ones_like(constant), np.zeros_like(constant)
            steps = {
                "Multiply": (constant, zero),
                "Divide": (1 / constant, zero),
                "Add": (one, constant),
                "Subtract": (one, -constant),
            }
            return node.input_value(1 - port).get_node(), *steps[kind]
    return None


def is_planes_of_bytes(node: Any, images: Any) -> bool:
    """Whether a node gives the input's colours in planes, as numbers: a conversion and a transposition of it."""
    kinds = []
    while node.get_type_name() in ("Transpose", "Convert"):
        if node.get_type_name() == "Transpose" and _order(node) != _PLANES:
            return False
        kinds.append(node.get_type_name())
        node = node.input_value(0).get_node()
    return sorted(kinds) == ["Convert", "Transpose"] and node.get_friendly_name() == images.get_friendly_name()


def _order(transpose: Any) -> list[int]:
    order = transpose.input_value(1).get_node()
    return [int(axis) for axis in order.data] if order.get_type_name() == "Constant" else []


def _add_bias(convolution: Any, bias: NDArray[np.float64]) -> None:
    """Add to each channel of a convolution's output; in the constant of the addition behind it where there is one."""
    readers = list(convolution.output(0).get_target_inputs())
    if len(readers) == 1 and readers[0].get_node().get_type_name() == "Add":
        other = readers[0].get_node().input(1 - readers[0].get_index())
        constant = constant_values(other.get_source_output().get_node())
        if constant is not None and constant.size in (1, bias.size):
            total = np.broadcast_to(constant.reshape(1, -1, 1, 1) + bias, bias.shape)
            other.replace_source_output(opset13.constant(total.astype(np.float32)).output(0))
            return
    added = opset13.add(convolution, opset13.constant(bias.astype(np.float32)))
    for reader in readers:
        reader.replace_source_output(added.output(0))


def quantize_bytes(model: ov.Model) -> bool:
    """Let the quantizer behind a folded normalisation round nothing: 256 steps for the 256 values of a byte.

    Args:
        model: an IR that went through `fold_normalization`, then through NNCF; changed in place.

    Returns:
        Whether there was such a quantizer.
    """
    images = model.input(0).get_node()
    for node in model.get_ordered_ops():
        if node.get_type_name() != "FakeQuantize":
            continue
        centred = node.input_value(0).get_node()
        if centred.get_type_name() != "Subtract" or not is_planes_of_bytes(centred.input_value(0).get_node(), images):
            continue
        zero = constant_values(centred.input_value(1).get_node())
        if zero is None or zero.size != 1:
            continue
        low = -float(zero.ravel()[0])
        ends = [opset13.constant(np.float32(end)) for end in (0, HIGHEST, low, low + HIGHEST)]
        exact = opset13.fake_quantize(centred.input_value(0), *ends, LEVELS)
        node.output(0).replace(exact.output(0))
        model.validate_nodes_and_infer_types()
        return True
    return False
