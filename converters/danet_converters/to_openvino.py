"""A network to OpenVINO IR: the ONNX graph read by OpenVINO, ModelSpec in rt_info."""

from __future__ import annotations

import re
from pathlib import Path

import openvino as ov

from danet.ir_file import seal
from danet.model_spec import SPEC_KEY, ModelSpec
from danet_converters.deployed import DeployedNetwork
from danet_converters.to_onnx import write_onnx


def write_ir(network: DeployedNetwork, spec: ModelSpec, path: Path) -> None:
    """Write `network` to `path` (.xml) and its .bin; weights are halved where spec.precision is fp16."""
    intermediate = path.with_name(f"{path.stem}.intermediate.onnx")
    write_onnx(network, spec, intermediate)
    # convert_model, unlike read_model, folds shapes and BNs: a third of the operations are left
    save_ir(ov.convert_model(intermediate), spec, path, halve=spec.precision == "fp16")
    intermediate.unlink()


def save_ir(model: ov.Model, spec: ModelSpec, path: Path, *, halve: bool = False) -> None:
    """Write an OpenVINO graph with its spec to `path` (.xml) and its .bin; `halve` stores float32 as float16."""
    if model.has_rt_info(["framework"]):
        del model.rt_info["framework"]  # the metadata of the ONNX file that it comes from, with that one's spec
    model.set_rt_info(spec.to_json(), [SPEC_KEY])
    ov.save_model(model, path, compress_to_fp16=halve)
    # a third of the .xml is indentation
    path.write_text(re.sub(r">\s+<", "><", path.read_text(encoding="utf-8")), encoding="utf-8")
    seal(path)
