"""OpenVINO IR as the quantizer takes and gives it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13
from openvino._offline_transformations import compress_quantize_weights_transformation
from openvino.frontend import (
    GeneralFailure,
    InitializationFailure,
    NotImplementedFailure,
    OpConversionFailure,
    OpValidationFailure,
)

from danet.errors import ModelFileError
from danet.model_spec import ModelSpec
from danet.openvino_core import openvino_core
from danet.printable import last_line
from danet_calibration.compact_ir import (
    drop_tensor_names,
    halve_constants,
    name_by_place,
    share_constants,
    strip_shapes,
)
from danet_calibration.input_bytes import fold_normalization
from danet_converters.to_openvino import save_ir

_FAILURES = (
    RuntimeError,
    GeneralFailure,
    InitializationFailure,
    NotImplementedFailure,
    OpConversionFailure,
    OpValidationFailure,
)
"""OpenVINO's frontends have errors of their own, which are no RuntimeError."""


def read_ir(path: Path) -> ov.Model:
    """A float IR or ONNX file as the quantizer takes it: its operations named by type and place.

    The normalisation of the pixels is folded into the first convolution (see `danet_calibration.input_bytes`).

    The names that OpenVINO's converters give count from one number in a process, so that they differ
    from one export to the next; statistics that are kept need the same names. Weights that are stored
    in half precision become float32, in which biases are corrected.

    Raises:
        ModelFileError: OpenVINO cannot read it.
    """
    try:
        model = ov.convert_model(path) if path.suffix.lower() == ".onnx" else openvino_core().read_model(path)
    except _FAILURES as error:
        raise ModelFileError(f"{path.name}: OpenVINO cannot read it ({last_line(error)})") from error
    for node in model.get_ordered_ops():
        _widen(node)
    fold_normalization(model)
    name_by_place(model)
    return model


def _widen(node: Any) -> None:
    """Replace a half-precision constant and its conversion by the float32 constant."""
    if node.get_type_name() != "Convert" or node.get_element_type() != ov.Type.f32:
        return
    stored = node.input_value(0).get_node()
    if stored.get_type_name() == "Constant" and stored.get_element_type() == ov.Type.f16:
        wide = opset13.constant(np.asarray(stored.data, np.float32))
        ov.utils.replace_node(node, wide)


def write_quantized_ir(model: ov.Model, spec: ModelSpec, path: Path) -> None:
    """Write a quantized graph: integer weights as integers, large constants in half precision, little text."""
    stored = model.clone()
    compress_quantize_weights_transformation(stored)
    share_constants(stored)
    halve_constants(stored)
    name_by_place(stored)
    drop_tensor_names(stored)
    save_ir(stored, spec, path)
    strip_shapes(path)
