from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13

from danet_calibration.compact_ir import drop_tensor_names, halve_constants, share_constants, strip_shapes


@pytest.fixture
def model() -> ov.Model:
    """Two quantizers of equal ranges, a large constant and a small one."""
    data = opset13.parameter([1, 64, 8, 8], np.float32, name="images")
    for _ in range(2):
        low, high = np.float32(-1), np.float32(2)
        data = opset13.fake_quantize(opset13.relu(data), low, high, low, high, 256)
    scale = np.random.default_rng(0).uniform(0.5, 1.5, (1, 64, 8, 8)).astype(np.float32)
    result = opset13.add(opset13.multiply(data, scale), np.float32(0.25))
    model = ov.Model([result], [model_input(data)], "small")
    model.outputs[0].set_names({"heatmaps"})
    return model


def model_input(node: ov.Node) -> ov.Node:
    while node.get_type_name() != "Parameter":
        node = node.input_value(0).get_node()
    return node


def constants(model: ov.Model) -> list[ov.Node]:
    return [node for node in model.get_ordered_ops() if node.get_type_name() == "Constant"]


def answer(model: ov.Model) -> np.ndarray:
    data = np.random.default_rng(1).normal(0, 2, (1, 64, 8, 8)).astype(np.float32)
    return np.asarray(ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(data)[0])


def test_equal_ranges_are_kept_once(model: ov.Model) -> None:
    before = answer(model)
    assert len(constants(model)) == 8 + 2
    share_constants(model)
    assert len(constants(model)) == 2 + 2
    np.testing.assert_array_equal(answer(model), before)


def test_large_constants_are_halved_small_ones_stay(model: ov.Model) -> None:
    before = answer(model)
    halve_constants(model)
    kinds = {tuple(node.get_output_shape(0)): node.get_element_type() for node in constants(model)}
    assert kinds == {(1, 64, 8, 8): ov.Type.f16, (): ov.Type.f32}
    np.testing.assert_allclose(answer(model), before, rtol=1e-3, atol=1e-3)


def test_what_half_precision_cannot_hold_stays(model: ov.Model) -> None:
    large = next(node for node in constants(model) if node.get_output_shape(0))
    huge = opset13.constant(np.full((1, 64, 8, 8), 1e5, np.float32))
    ov.utils.replace_node(large, huge)
    halve_constants(model)
    assert all(node.get_element_type() == ov.Type.f32 for node in constants(model))


def test_text_without_input_shapes_reads_as_the_same_graph(model: ov.Model, tmp_path: Path) -> None:
    before = answer(model)
    drop_tensor_names(model)
    ov.save_model(model, tmp_path / "small.xml", compress_to_fp16=False)
    long = (tmp_path / "small.xml").stat().st_size
    strip_shapes(tmp_path / "small.xml")
    assert (tmp_path / "small.xml").stat().st_size < 0.9 * long
    read = ov.Core().read_model(tmp_path / "small.xml")
    assert read.output(0).get_names() == {"heatmaps"}
    np.testing.assert_array_equal(answer(read), before)


def test_values_keep_what_looks_like_the_end_of_a_tag(model: ov.Model, tmp_path: Path) -> None:
    licence = " />a ></port> b />"
    model.set_rt_info(licence, ["danet.licence"])
    ov.save_model(model, tmp_path / "small.xml")
    strip_shapes(tmp_path / "small.xml")
    assert ov.Core().read_model(tmp_path / "small.xml").get_rt_info(["danet.licence"]).astype(str) == licence
