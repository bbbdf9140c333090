"""A quantized IR in fewer bytes: the same graph with shared constants and a text without what no reader needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13

HALVE_FROM = 1024
"""Bytes of a float32 constant from which halving it saves more than the conversion's text costs."""


def share_constants(model: ov.Model) -> None:
    """Let quantizers of equal ranges read the same constants: half of an INT8 graph's constants are such."""
    known: dict[tuple[str, tuple[int, ...], bytes], Any] = {}
    for node in model.get_ordered_ops():
        if node.get_type_name() != "FakeQuantize":
            continue
        for port in range(1, 5):
            constant = node.input_value(port).get_node()
            if constant.get_type_name() == "Constant":
                shape = tuple(constant.get_output_shape(0))
                key = (str(constant.get_element_type()), shape, np.asarray(constant.data).tobytes())
                node.input(port).replace_source_output(known.setdefault(key, constant).output(0))


def halve_constants(model: ov.Model) -> None:
    """Store large float32 constants in half precision, as `ov.save_model` does for graphs without quantizers.

    The scales of integer weights stay: the runtime looks for them beside the weights.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Constant" and node.get_element_type() == ov.Type.f32 and not _is_scale(node):
            values = np.asarray(node.data)
            if values.nbytes >= HALVE_FROM and np.abs(values).max() < np.finfo(np.float16).max:
                stored = opset13.constant(values.astype(np.float16))
                ov.utils.replace_node(node, opset13.convert(stored, ov.Type.f32))


def _is_scale(constant: Any) -> bool:
    """Whether a constant is multiplied with integers that were converted to float."""
    meets = [
        source.get_source_output().get_node()
        for target in constant.output(0).get_target_inputs()
        for source in target.get_node().inputs()
    ]
    return any(node.get_type_name() == "Convert" and node.get_input_element_type(0) == ov.Type.i8 for node in meets)


def name_by_place(model: ov.Model) -> None:
    """Name every operation by its type and its place in the order of the graph.

    The names that OpenVINO gives count on through a process, so that the same graph would be other
    bytes each time.
    """
    for number, node in enumerate(model.get_ordered_ops()):
        if node.get_type_name() not in ("Parameter", "Result"):
            node.set_friendly_name(f"{node.get_type_name()}_{number}")


def drop_tensor_names(model: ov.Model) -> None:
    """Forget the names of tensors within the graph; those of its inputs and outputs stay."""
    for node in model.get_ordered_ops():
        if node.get_type_name() in ("Parameter", "Result"):
            continue
        for output in node.outputs():
            if not any(target.get_node().get_type_name() == "Result" for target in output.get_target_inputs()):
                output.set_names(set())


def strip_shapes(path: Path) -> None:
    """Take the shapes out of the ports of an .xml, and the types out of its input ports.

    OpenVINO infers them from the constants and parameters, whose own shapes stay; tools that only draw
    the file show none.
    """
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"<dim>[^<]*</dim>", "", text)
    text = re.sub(r"<input>.*?</input>", lambda ports: re.sub(r' precision="\w+"', "", ports[0]), text, flags=re.DOTALL)
    # values are matched before ends of tags, and left as they are: the spec's text may hold anything
    shorter = re.sub(r'"[^"]*"|></port>| />', lambda found: found[0] if found[0][0] == '"' else "/>", text)
    path.write_text(shorter, encoding="utf-8")
