from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset1, opset13

from danet.embedded import PORTRAIT, PORTRAIT_BOX, embedded_model
from danet.model_spec import ModelSpec
from danet_calibration.byte_features import add_feature_quantizers
from danet_calibration.candidates import Candidate, Photo
from danet_calibration.crops import cut_crops
from danet_calibration.ir_format import read_ir
from danet_calibration.nncf_ptq import Calibration
from danet_calibration.watch import Watch
from danet_calibration.workspace import Workspace

PERSON = Candidate(Photo(PORTRAIT), np.array(PORTRAIT_BOX), "portrait")
CONFIG = {"INFERENCE_PRECISION_HINT": "f32"}


@pytest.fixture
def calibration(watch: Watch, tmp_path: Path) -> Calibration:
    crops = cut_crops([PERSON] * 2, ModelSpec(name="tiny", input_size=(128, 96)), tmp_path / "crops")
    return Calibration(crops, Workspace(tmp_path / "cache"), watch)


def concatenations(model: ov.Model) -> list[Any]:
    """Of maps; those of single cells, the means, are left out."""
    found = [node for node in model.get_ops() if node.get_type_name() == "Concat"]
    return [node for node in found if node.output(0).partial_shape[2].get_length() > 1]


def parts(node: Any) -> list[Any]:
    """What is concatenated; before a pool that it went through."""
    found = [source.get_source_output().get_node() for source in node.inputs()]
    return [part.input_value(0).get_node() if part.get_type_name() == "MaxPool" else part for part in found]


def heatmaps(model: ov.Model, calibration: Calibration) -> Any:
    return ov.compile_model(model, "CPU", CONFIG)(next(calibration.crops.batches()))[0]


def test_what_is_concatenated_has_one_scale(tiny_ir: Path, calibration: Calibration) -> None:
    model = read_ir(tiny_ir)
    expected = heatmaps(model, calibration)
    assert concatenations(model)
    add_feature_quantizers(model, calibration)
    quantizers = [part for node in concatenations(model) for part in parts(node) if part.get_type_name() != "Concat"]
    assert {part.get_type_name() for part in quantizers} == {"FakeQuantize"}
    assert {tuple(end(part, port) for port in (3, 4)) for part in quantizers} == {(-1, 127 / 128)}
    assert len({end(part, 1) for part in quantizers}) > 5  # as many ranges as parts
    answer = heatmaps(model, calibration)
    assert not np.array_equal(answer, expected)
    # steps of 1/127 of the largest feature, rounded to the nearest, in a network of random weights
    assert np.abs(answer - expected).mean() < 0.01 * np.abs(expected).max()


def test_what_is_pooled_is_rounded_before(tiny_ir: Path, calibration: Calibration) -> None:
    """The largest of rounded neighbours is the largest rounded; in bytes the pool moves a quarter."""
    model = read_ir(tiny_ir)
    add_feature_quantizers(model, calibration)
    pools = [node for node in model.get_ops() if node.get_type_name() == "MaxPool"]
    before = [node.input_value(0).get_node().get_type_name() for node in pools]
    assert len(pools) >= 3
    assert before.count("FakeQuantize") >= 3  # between the stages
    for node in pools:
        assert "FakeQuantize" not in {
            reader.get_node().get_type_name() for reader in node.output(0).get_target_inputs()
        }


def end(quantizer: Any, port: int) -> float:
    """Of a quantizer's input range (ports 1 and 2) or output range (3 and 4)."""
    return float(quantizer.input_value(port).get_node().data)


def test_what_was_divided_is_multiplied_again(tiny_ir: Path, calibration: Calibration) -> None:
    model = read_ir(tiny_ir)
    expected = heatmaps(model, calibration)
    operations = len(model.get_ops())
    add_feature_quantizers(model, calibration)
    quantizers = [node for node in model.get_ops() if node.get_type_name() == "FakeQuantize"]
    for quantizer in quantizers:  # the same graph with the divisions alone, nothing rounded
        divided = opset13.multiply(quantizer.input_value(0), np.float32(-1 / end(quantizer, 1)))
        quantizer.output(0).replace(divided.output(0))
    np.testing.assert_allclose(heatmaps(model, calibration), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    # the fusions read what they concatenate in sums, too; in the stages no operation is added
    added = len(model.get_ops()) - operations - 2 * len(quantizers)
    assert added <= 2 * 3 * len([node for node in concatenations(model) if is_fusion(node)])


def is_fusion(node: Any) -> bool:
    return any(part.get_type_name() == "ConvolutionBackpropData" for part in unrounded(node))


def unrounded(node: Any) -> list[Any]:
    return [part.input_value(0).get_node() if part.get_type_name() == "Multiply" else part for part in parts(node)]


def test_other_networks_compute_the_same(calibration: Calibration) -> None:
    """Means over channels, and maps that are put side by side, keep no channel apart."""
    images = opset13.parameter([1, 128, 96, 3], np.uint8, name="images")
    pixels = opset13.transpose(opset13.convert(images, np.float32), np.array([0, 3, 1, 2]))
    both = opset13.concat([opset13.multiply(pixels, np.float32(0.02)), opset13.relu(pixels)], 1)
    over_channels = opset13.reduce_mean(both, np.array([1]), keep_dims=True)
    beside = opset13.concat([both, opset13.multiply(both, over_channels)], 2)
    outputs = [beside, opset13.softmax(opset1.max_pool(both, [2, 2], [0, 0], [0, 0], [2, 2]), 1)]
    model = ov.Model(outputs, [images], "other")
    crop = next(calibration.crops.batches())
    expected = [one.copy() for one in ov.compile_model(model, "CPU", CONFIG)(crop).values()]
    add_feature_quantizers(model, calibration)
    quantizers = [node for node in model.get_ops() if node.get_type_name() == "FakeQuantize"]
    assert len({end(one, 1) for one in quantizers}) == 2
    for quantizer in quantizers:
        divided = opset13.multiply(quantizer.input_value(0), np.float32(-1 / end(quantizer, 1)))
        quantizer.output(0).replace(divided.output(0))
    for found, before in zip(ov.compile_model(model, "CPU", CONFIG)(crop).values(), expected, strict=True):
        np.testing.assert_allclose(found, before, rtol=0, atol=1e-5 * np.abs(before).max())


@pytest.fixture
def unlike_crops(calibration: Calibration) -> Calibration:
    """One crop of the portrait, one of noise, whose features are larger."""
    crops = calibration.crops
    portrait = next(crops.batches())
    noise = np.random.default_rng(0).integers(0, 256, portrait.shape, np.uint8)
    crops.path.write_bytes(portrait.tobytes() + noise.tobytes())
    return calibration


def test_ranges_are_the_quantile_of_the_crops_largest_values(tiny_ir: Path, unlike_crops: Calibration) -> None:
    model, before = read_ir(tiny_ir), read_ir(tiny_ir)
    add_feature_quantizers(model, unlike_crops)
    found = [part for node in concatenations(model) for part in parts(node) if part.get_type_name() == "FakeQuantize"]
    nodes = {node.get_friendly_name(): node for node in before.get_ops()}
    before.add_outputs([nodes[part.input_value(0).get_node().get_friendly_name()].output(0) for part in found])
    compiled = ov.compile_model(before, "CPU", CONFIG)
    answers = [[one.copy() for one in compiled(crop).values()] for crop in unlike_crops.crops.batches()]
    for number, part in enumerate(found, 1):
        least, most = sorted(float(np.abs(answer[number]).max()) for answer in answers)
        assert least < most
        assert -end(part, 1) == pytest.approx(least + 0.99 * (most - least), rel=1e-5)


@pytest.mark.long
@pytest.mark.usefixtures("int8_kernels")
def test_openvino_concatenates_bytes(calibration: Calibration) -> None:
    """What the runtime says it executes; in float it would read four times as much."""
    graph = read_ir(embedded_model("danet72"))
    quantized = read_ir(embedded_model("danet72"))
    crops = replace(calibration, crops=cut_crops([PERSON], ModelSpec(name="danet72"), calibration.crops.path))
    add_feature_quantizers(quantized, crops)
    assert "f32" in executed_concatenations(graph)
    executed = executed_concatenations(quantized)
    assert executed
    assert set(executed) <= {"i8", "u8"}


def executed_concatenations(model: ov.Model) -> list[str]:
    model.reshape({0: [1, 256, 192, 3]})
    nodes = ov.compile_model(model, "CPU", CONFIG).get_runtime_model().get_ops()
    infos = [node.get_rt_info() for node in nodes if list(node.get_output_shape(0))[2:] not in ([], [1, 1])]
    return [info["runtimePrecision"].astype(str) for info in infos if info["layerType"].astype(str) == "Concatenation"]
