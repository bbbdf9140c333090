"""A network to ONNX: uint8 NHWC BGR crops in, heatmaps out, dynamic batch, ModelSpec in metadata_props."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import onnx
import torch

from danet.model_spec import SPEC_KEY, ModelSpec
from danet_converters.deployed import DeployedNetwork, made_once

OPSET = 18
INPUT, OUTPUT = "images", "heatmaps"


def write_onnx(network: DeployedNetwork, spec: ModelSpec, path: Path) -> None:
    """Write `network` to `path`; checked by ONNX's own checker."""
    onnx.save(onnx_model(network, spec), path)


def onnx_model(network: DeployedNetwork, spec: ModelSpec) -> onnx.ModelProto:
    """The exported graph as a checked ONNX model of one's own."""
    model = onnx.ModelProto()
    model.CopyFrom(_traced(network, spec))
    model.metadata_props.add(key=SPEC_KEY, value=spec.to_json())
    onnx.checker.check_model(model, full_check=True)
    return model


@made_once
def _traced(network: DeployedNetwork, spec: ModelSpec) -> onnx.ModelProto:
    # two persons: a batch of one would be exported as a constant
    example = torch.zeros((2, *spec.input_size, 3), dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is absent
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # and of its own deprecations
        program = torch.onnx.export(
            network,
            (example,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes={"images": {0: torch.export.Dim("N", min=1, max=4096)}},
            verbose=False,
        )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    del model.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]  # a tenth of the file: the lines of this machine's folders that it comes from
    return model
