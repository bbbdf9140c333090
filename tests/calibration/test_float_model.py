"""What a quantized file is made from."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from danet.errors import InputError, ModelFileError
from danet_calibration.float_model import _refuse_unusable_onnx, open_float
from danet_calibration.formats import FORMATS
from danet_calibration.ir_format import read_ir
from danet_network.checkpoint import load_checkpoint
from danet_network.config import DANetConfig


def test_a_checkpoint_with_two_suffixes(tiny_checkpoint: Path, tiny_config: DANetConfig, tmp_path: Path) -> None:
    network, spec = load_checkpoint(tiny_checkpoint)
    path = tmp_path / "best.pth.tar"
    torch.save({"model": network.state_dict(), "config": tiny_config.to_dict(), "spec": spec.to_json()}, path)
    found = open_float(str(path), FORMATS["onnx"], tmp_path / "scratch")
    assert found.path.suffix == ".onnx"
    assert found.spec.name == spec.name


def test_a_file_is_read_from_a_copy(tiny_ir: Path, tmp_path: Path) -> None:
    """What is given may change while minutes are measured: the proof would be of other weights than the file."""
    for suffix in (".xml", ".bin"):
        shutil.copy(tiny_ir.with_suffix(suffix), tmp_path / f"own{suffix}")
    found = open_float(str(tmp_path / "own.xml"), FORMATS["openvino"], tmp_path / "scratch")
    (tmp_path / "own.bin").write_bytes(b"")
    assert found.path.parent == tmp_path / "scratch"
    for suffix in (".xml", ".bin"):
        assert found.path.with_suffix(suffix).read_bytes() == tiny_ir.with_suffix(suffix).read_bytes()


def test_an_onnx_file_that_another_tool_quantized(tiny_onnx: Path, tmp_path: Path) -> None:
    """Its spec still says fp32, and a drop would be measured against an INT8 file."""
    model = onnx.load(tiny_onnx)
    (answer,) = model.graph.output
    last = next(node for node in model.graph.node if answer.name in node.output)
    last.output[0] = "before"
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0.01), "scale"))
    model.graph.initializer.append(numpy_helper.from_array(np.int8(0), "zero"))
    model.graph.node.append(helper.make_node("QuantizeLinear", ["before", "scale", "zero"], ["bytes"]))
    model.graph.node.append(helper.make_node("DequantizeLinear", ["bytes", "scale", "zero"], [answer.name]))
    onnx.save(model, tmp_path / "qdq.onnx")
    with pytest.raises(InputError, match=r"is quantized already \(DequantizeLinear, QuantizeLinear\)"):
        open_float(str(tmp_path / "qdq.onnx"), FORMATS["openvino"], tmp_path / "scratch")


def test_an_old_opset(tiny_onnx: Path, tmp_path: Path) -> None:
    model = onnx.load(tiny_onnx)
    for one in model.opset_import:
        one.version = 12 if one.domain == "" else one.version
    onnx.save(model, tmp_path / "old.onnx")
    with pytest.raises(InputError, match="is of ONNX's opset 12, expected 13 or newer"):
        _refuse_unusable_onnx(tmp_path / "old.onnx", "old.onnx", FORMATS["onnx"])
    _refuse_unusable_onnx(tmp_path / "old.onnx", "old.onnx", FORMATS["openvino"])


def test_operations_of_onnx_runtime_alone(tmp_path: Path) -> None:
    """In files that it has optimised; OpenVINO's converter says so by an error of its own kind."""
    kinds = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 4)) for name in "ab"]
    node = helper.make_node("Rfft", ["a"], ["b"], domain="com.microsoft", signal_ndim=1, normalized=0, onesided=1)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph([node], "g", kinds[:1], kinds[1:])
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), tmp_path / "a.onnx")
    with pytest.raises(ModelFileError, match=r"^a\.onnx: OpenVINO cannot read it"):
        read_ir(tmp_path / "a.onnx")
