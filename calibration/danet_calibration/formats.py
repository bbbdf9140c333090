"""The file formats that can be quantized: how each is read, quantized and written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from danet.model_spec import ModelSpec
from danet_calibration.graph import Operation, ir_operations, onnx_operations
from danet_calibration.ir_format import read_ir, write_quantized_ir
from danet_calibration.nncf_ptq import Calibration, quantize_graph
from danet_calibration.onnx_format import read_onnx, write_quantized_onnx
from danet_calibration.roles import Placed
from danet_calibration.strategy import Strategy
from danet_calibration.tflite_format import (
    no_operations,
    quantize_statically,
    read_float_tflite,
    write_quantized_tflite,
)

Quantize = Callable[[Any, Sequence[Placed], Strategy, Calibration, str, str], Any]
"""Graph, its operations, strategy, calibration, key of the statistics and input name -> quantized graph."""


@dataclass(frozen=True)
class Format:
    """One kind of quantized file."""

    name: str
    suffixes: tuple[str, ...]
    """Of the files written; the first is the one to open."""
    reads: tuple[str, ...]
    """Suffixes of float files that it is made from, beside checkpoints."""
    read: Callable[[Path], Any]
    operations: Callable[[Any], list[Operation]]
    quantize: Quantize
    write: Callable[[Any, ModelSpec, Path], None]
    quantizer: str = "NNCF"
    ladder: bool = True
    """Whether the quantizer follows strategies, so that others can be tried than the first."""

    def method(self, strategy: Strategy) -> str:
        """How a file came about, in words."""
        return f"post-training quantization by {self.quantizer}{f': {strategy.describe()}' if self.ladder else ''}"


FORMATS = {
    "openvino": Format(
        "openvino",
        (".xml", ".bin"),
        (".xml", ".onnx"),
        read_ir,
        ir_operations,
        quantize_graph,
        write_quantized_ir,
    ),
    "tflite": Format(
        "tflite",
        (".tflite",),
        (".tflite",),
        read_float_tflite,
        no_operations,
        quantize_statically,
        write_quantized_tflite,
        quantizer="LiteRT's quantizer, all operations static INT8",
        ladder=False,
    ),
    "onnx": Format("onnx", (".onnx",), (".onnx",), read_onnx, onnx_operations, quantize_graph, write_quantized_onnx),
}
"""By the names that `danet convert --to` uses."""
