"""The file formats that can be quantized: how each is read, quantized and written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from danet.model_spec import ModelSpec
from danet_calibration.byte_features import add_feature_quantizers
from danet_calibration.coarse_masks import coarsen_masks
from danet_calibration.graph import Operation, graph_input, ir_operations, onnx_operations
from danet_calibration.input_bytes import quantize_bytes
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
    byte_features: bool = False
    """Whether it can store concatenated features as bytes."""
    coarse_masks: bool = False
    """Whether it can compute masks at half their resolution."""
    byte_input: bool = False
    """Whether the first convolution reads the crop's bytes (see `danet_calibration.input_bytes`)."""
    input_name: Callable[[Any], str] = graph_input
    """Of the float graph: "images" as the converters write it, or what others have called it."""
    half_weights: bool = True
    """Whether the float file may store its weights in half precision."""

    def fitting(self, strategy: Strategy) -> Strategy:
        """A strategy without what this format cannot do."""
        return replace(
            strategy,
            byte_features=self.byte_features and strategy.byte_features,
            coarse_masks=strategy.coarse_masks if self.coarse_masks else (),
        )

    def method(self, strategy: Strategy) -> str:
        """How a file came about, in words."""
        return f"post-training quantization by {self.quantizer}{f': {strategy.describe()}' if self.ladder else ''}"


def quantize_ir(
    model: Any, operations: Sequence[Placed], strategy: Strategy, calibration: Calibration, key: str, input_name: str
) -> Any:
    """`quantize_graph` for OpenVINO: the crop's bytes as they are, bytes between layers, coarser masks."""
    coarser = model.clone()
    coarsen_masks(coarser, strategy.coarse_masks)
    quantized = quantize_graph(coarser, operations, strategy, calibration, key, input_name)
    quantize_bytes(quantized)
    if strategy.byte_features:
        add_feature_quantizers(quantized, calibration)
    return quantized


FORMATS = {
    "openvino": Format(
        "openvino",
        (".xml", ".bin"),
        (".xml", ".onnx"),
        read_ir,
        ir_operations,
        quantize_ir,
        write_quantized_ir,
        byte_features=True,
        coarse_masks=True,
        byte_input=True,
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
        input_name=lambda _: "",  # LiteRT's quantizer asks for none
        half_weights=False,
    ),
    "onnx": Format("onnx", (".onnx",), (".onnx",), read_onnx, onnx_operations, quantize_graph, write_quantized_onnx),
}
"""By the names that `danet convert --to` uses."""
