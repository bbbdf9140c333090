"""ONNX as the quantizer takes and gives it: QDQ pairs for ONNX Runtime."""

from __future__ import annotations

import copy
from itertools import count
from pathlib import Path

import onnx
from nncf.onnx.graph.passes import apply_preprocess_passes, compress_quantize_weights_transformation

from danet.model_spec import SPEC_KEY, ModelSpec


def read_onnx(path: Path) -> onnx.ModelProto:
    """A float ONNX file, which ONNX Runtime has opened before, as NNCF takes it."""
    prepared: onnx.ModelProto = apply_preprocess_passes(onnx.load(path))
    taken = {node.name for node in prepared.graph.node}
    for number, node in enumerate(prepared.graph.node):
        if not node.name:  # ONNX asks for none, but scopes are lists of names
            node.name = next(name for at in count(number) if (name := f"{node.op_type}_{at}") not in taken)
            taken.add(node.name)
    return prepared


def write_quantized_onnx(model: onnx.ModelProto, spec: ModelSpec, path: Path) -> None:
    """Write a quantized graph, its weights as integers."""
    stored = copy.deepcopy(model)
    compress_quantize_weights_transformation(stored)
    del stored.metadata_props[:]
    stored.metadata_props.add(key=SPEC_KEY, value=spec.to_json())
    onnx.checker.check_model(stored, full_check=True)
    onnx.save(stored, path)
