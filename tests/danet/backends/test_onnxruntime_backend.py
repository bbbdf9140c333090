from __future__ import annotations

from pathlib import Path

import pytest

from danet.backends.base import BackendOptions
from danet.backends.registry import load_model
from danet.errors import ModelFileError

onnx = pytest.importorskip("onnx", reason="the models are made by onnx, which is not installed")
pytestmark = pytest.mark.needs("onnxruntime")
FLOAT, UINT8 = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8


@pytest.mark.parametrize(
    ("kind", "shape", "told"),
    [
        (FLOAT, ["N", 128, 96, 3], r"tensor\(float\)', \['N', 128, 96, 3\]"),
        (FLOAT, ["N", 3, 128, 96], r"tensor\(float\)', \['N', 3, 128, 96\]"),
        (UINT8, ["N", 3, 128, 96], r"tensor\(uint8\)', \['N', 3, 128, 96\]"),
    ],
)
def test_inputs_that_are_no_pixels(kind: int, shape: list[int | str], told: str, tmp_path: Path) -> None:
    helper = onnx.helper
    graph = helper.make_graph(
        [helper.make_node("Cast", ["images"], ["heatmaps"], to=FLOAT)],
        "g",
        [helper.make_tensor_value_info("images", kind, shape)],
        [helper.make_tensor_value_info("heatmaps", FLOAT, shape)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "m.onnx")
    with pytest.raises(ModelFileError, match=rf"{told}.*normalisation is in the graph.*--foreign"):
        load_model(tmp_path / "m.onnx", None, BackendOptions())
