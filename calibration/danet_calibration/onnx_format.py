"""ONNX as the quantizer takes and gives it: QDQ pairs for ONNX Runtime."""

from __future__ import annotations

import copy
from pathlib import Path

import onnx
from nncf.onnx.graph.passes import apply_preprocess_passes, compress_quantize_weights_transformation

from danet.model_spec import SPEC_KEY, ModelSpec


def read_onnx(path: Path) -> onnx.ModelProto:
    """A float ONNX file, which ONNX Runtime has opened before, as NNCF takes it."""
    prepared: onnx.ModelProto = apply_preprocess_passes(onnx.load(path))
    return prepared


def write_quantized_onnx(model: onnx.ModelProto, spec: ModelSpec, path: Path) -> None:
    """Write a quantized graph, its weights as integers."""
    stored = copy.deepcopy(model)
    compress_quantize_weights_transformation(stored)
    del stored.metadata_props[:]
    stored.metadata_props.add(key=SPEC_KEY, value=spec.to_json())
    onnx.checker.check_model(stored, full_check=True)
    onnx.save(stored, path)
