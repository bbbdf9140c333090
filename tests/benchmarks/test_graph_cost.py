from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from danet.embedded import embedded_model
from danet.errors import ModelFileError
from danet_benchmarks.file_facts import file_sha256, read_facts
from danet_benchmarks.graph_cost import GraphCost, graph_cost
from danet_network.config import DANetConfig, danet_config
from danet_network.count import count


@pytest.mark.parametrize("file", ["tiny_ir", "tiny_ir_fp16", "tiny_onnx"])
def test_exported_files_do_what_the_network_does(
    file: str, tiny_config: DANetConfig, request: pytest.FixtureRequest
) -> None:
    cost = graph_cost(request.getfixturevalue(file))
    assert cost.multiply_adds == count(tiny_config, (128, 96), deployed=True).flops


def test_embedded_model_does_what_danet72_does() -> None:
    path = embedded_model("danet72")
    assert path is not None
    facts = read_facts(path)
    whole, deployed = count(danet_config("danet72")), count(danet_config("danet72"), deployed=True)
    assert facts.executed_gmacs == deployed.gflops
    assert (facts.gmacs, facts.parameters_m) == (whole.gflops, whole.parameters / 1e6)
    coarse = (80 * 80 + 9 * 80 * 17) * (48 + 192 + 768)  # three regressors on 8x6, 16x12, 32x24 cells
    assert whole.flops - deployed.flops == coarse
    assert graph_cost(path).parameters == pytest.approx(whole.parameters, rel=0.02)
    assert facts.file_mib == pytest.approx(7.3, abs=0.1)  # with the .bin


def test_facts_of_a_checkpoint(tiny_checkpoint: Path, tiny_config: DANetConfig) -> None:
    facts = read_facts(tiny_checkpoint)
    assert facts.spec.source_sha256 == file_sha256(tiny_checkpoint)
    assert facts.executed_gmacs == count(tiny_config, (128, 96), deployed=True).gflops
    assert facts.gmacs == count(tiny_config, (128, 96)).gflops


def test_each_kind_of_layer(tmp_path: Path) -> None:
    images = ops.parameter([-1, 8, 6, 4], np.float32, name="images")

    def weights(*shape: int) -> ov.Node:
        return ops.constant(np.ones(shape, np.float32))

    zero, one = [0, 0], [1, 1]
    grouped = ops.group_convolution(images, weights(2, 5, 4, 3, 3), one, one, one, one)  # 10 x 6 x 4
    up = ops.convolution_backprop_data(grouped, weights(10, 3, 2, 2), [2, 2])  # 3 x 12 x 8
    up = ops.group_convolution_backprop_data(up, weights(3, 1, 1, 2, 2), [2, 2], pads_begin=zero, pads_end=zero)
    product = ops.matmul(up, weights(16, 7), False, False)  # 3 x 24 x 16 times 16 x 7
    ov.save_model(ov.Model([product], [images], "layers"), tmp_path / "layers.xml", compress_to_fp16=False)
    expected = 240 * 36 + 240 * 12 + 288 * 4 + 3 * 24 * 7 * 16
    assert graph_cost(tmp_path / "layers.xml") == GraphCost(360 + 120 + 12 + 112, expected)


def test_unreadable(tmp_path: Path) -> None:
    broken = tmp_path / "broken.xml"
    broken.write_text("<net")
    with pytest.raises(ModelFileError, match=r"broken\.xml"):
        graph_cost(broken)
