from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from numpy.typing import NDArray
from openvino import opset13

from danet.embedded import PORTRAIT, PORTRAIT_BOX, embedded_model
from danet.model_spec import ModelSpec
from danet_calibration.candidates import Candidate, Photo
from danet_calibration.crops import cut_crops
from danet_calibration.graph import constant_values
from danet_calibration.input_bytes import fold_normalization, quantize_bytes

CONFIG = {"INFERENCE_PRECISION_HINT": "f32"}
MEAN, DEVIATION = np.array([103.53, 116.28, 123.675]), np.array([57.375, 57.12, 58.395])
GREY = 114
"""The mean of MEAN, rounded."""


def colours(values: Any) -> NDArray[np.float32]:
    return np.asarray(values, np.float32).reshape(1, 3, 1, 1)


def divided(planes: Any) -> Any:
    return opset13.divide(opset13.subtract(planes, colours(MEAN)), colours(DEVIATION))


def multiplied(planes: Any) -> Any:
    return opset13.add(colours(-MEAN / DEVIATION), opset13.multiply(colours(1 / DEVIATION), planes))


def network(normalize: Any, bias: bool, padding: int = 1, planes_last: bool = True) -> ov.Model:
    random = np.random.default_rng(3)
    images = opset13.parameter([1, 16, 12, 3], np.uint8, name="images")
    order = np.array([0, 3, 1, 2])
    if planes_last:
        planes = opset13.transpose(opset13.convert(images, np.float32), order)
    else:
        planes = opset13.convert(opset13.transpose(images, order), np.float32)
    weights = random.normal(size=(8, 3, 3, 3)).astype(np.float32)
    sides = [padding, padding]
    maps = opset13.convolution(normalize(planes), weights, [2, 2], sides, sides, [1, 1])
    if bias:
        maps = opset13.add(maps, random.normal(size=(1, 8, 1, 1)).astype(np.float32))
    return ov.Model([opset13.relu(maps)], [images], "network")


def answer(model: ov.Model, crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = ov.compile_model(model, "CPU", CONFIG)(crop)[0].copy()
    return found


@pytest.fixture
def crop() -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (1, 16, 12, 3), np.uint8)


@pytest.mark.parametrize("normalize", [divided, multiplied])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("planes_last", [True, False])
def test_the_folded_network_answers_the_same_where_no_padding_is_seen(
    normalize: Any, bias: bool, planes_last: bool, crop: NDArray[np.uint8]
) -> None:
    model = network(normalize, bias, planes_last=planes_last)
    expected = answer(model, crop)
    assert fold_normalization(model)
    found = answer(model, crop)
    np.testing.assert_allclose(found[:, :, 1:, 1:], expected[:, :, 1:, 1:], rtol=0, atol=2e-5)
    # beyond the edge is GREY: a colour's mean differs from it by 10.5 of 57 at most
    assert 1e-3 < np.abs(found - expected).max() < 10.5 / 57 * 3 * 27
    assert "Divide" not in {node.get_type_name() for node in model.get_ops()}


def test_without_padding_nothing_differs(crop: NDArray[np.uint8]) -> None:
    model = network(divided, bias=True, padding=0)
    expected = answer(model, crop)
    assert fold_normalization(model)
    np.testing.assert_allclose(answer(model, crop), expected, rtol=0, atol=2e-5)


def test_beyond_the_edge_is_grey(crop: NDArray[np.uint8]) -> None:
    """Derived apart: the same network without padding, on a crop with a frame of that grey."""
    padded = network(divided, bias=True)
    assert fold_normalization(padded)
    inner = network(divided, bias=True, padding=0)
    inner.reshape({0: [1, 18, 14, 3]})
    frame = np.pad(crop, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=GREY)
    np.testing.assert_allclose(answer(padded, crop), answer(inner, frame), rtol=0, atol=2e-5)


def test_what_begins_in_another_way_is_left_as_it_is(crop: NDArray[np.uint8]) -> None:
    def clipped(planes: Any) -> Any:
        return opset13.relu(divided(planes))

    def twice(planes: Any) -> Any:
        half = opset13.multiply(planes, np.float32(0.5))
        return opset13.add(half, half)

    def bright(planes: Any) -> Any:  # a mean that no byte is
        return opset13.subtract(planes, np.float32(300))

    for normalize in (clipped, twice, bright):
        model = network(normalize, bias=True)
        expected, operations = answer(model, crop), len(model.get_ops())
        assert not fold_normalization(model)
        assert len(model.get_ops()) == operations
        np.testing.assert_array_equal(answer(model, crop), expected)


def test_a_float_input_is_left_as_it_is() -> None:
    images = opset13.parameter([1, 3, 16, 12], np.float32, name="images")
    weights = np.ones((8, 3, 3, 3), np.float32)
    maps = opset13.convolution(divided(images), weights, [1, 1], [1, 1], [1, 1], [1, 1])
    assert not fold_normalization(ov.Model([maps], [images], "floats"))


def test_the_quantizer_rounds_nothing(crop: NDArray[np.uint8]) -> None:
    model = network(divided, bias=True)
    fold_normalization(model)
    expected = answer(model, crop)
    convolution = next(node for node in model.get_ops() if node.get_type_name() == "Convolution")
    coarse = opset13.fake_quantize(convolution.input_value(0), *(np.float32(end) for end in (-120, 120, -120, 120)), 16)
    convolution.input(0).replace_source_output(coarse.output(0))
    assert np.abs(answer(model, crop) - expected).max() > 0.05
    assert quantize_bytes(model)
    np.testing.assert_allclose(answer(model, crop), expected, rtol=0, atol=2e-5)
    quantizers = [node for node in model.get_ops() if node.get_type_name() == "FakeQuantize"]
    ends = [
        [float(constant_values(node.input_value(port).get_node()).item()) for port in range(1, 5)]
        for node in quantizers
    ]
    assert ends == [[0, 255, -GREY, 255 - GREY]]


def test_where_nothing_was_folded_there_is_no_such_quantizer() -> None:
    assert not quantize_bytes(network(divided, bias=True))


@pytest.mark.usefixtures("int8_kernels")
def test_openvino_reads_the_crop_as_it_lies() -> None:
    """What the runtime says it executes between the input and the first convolution of a quantized file."""
    model = ov.Core().read_model(embedded_model("danet72"))
    assert fold_normalization(model)
    convolution = next(node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution")
    rounded = opset13.fake_quantize(
        convolution.input_value(0), *(np.float32(end) for end in (-140, 140, -140, 140)), 256
    )
    convolution.input(0).replace_source_output(rounded.output(0))
    weights = constant_values(convolution.input_value(1).get_node())
    assert weights is not None
    convolution.input(1).replace_source_output(quantized_weights(weights).output(0))
    assert quantize_bytes(model)
    model.reshape({0: [1, 256, 192, 3]})
    infos = [
        node.get_rt_info() for node in ov.compile_model(model, "CPU", CONFIG).get_runtime_model().get_ordered_ops()
    ]
    kinds = [info["layerType"].astype(str) for info in infos]
    before = [kind for kind in kinds[: kinds.index("Convolution")] if kind not in ("Const", "Reshape")]
    assert before in (["Input", "Reorder"], ["Input"])  # a reorder that moves nothing: see the next line
    executed = [info["primitiveType"].astype(str) for info in infos[: kinds.index("Convolution") + 1]]
    assert executed[-1].lower().endswith("i8")


def quantized_weights(weights: NDArray[np.float32]) -> Any:
    largest = np.abs(weights).max((1, 2, 3), keepdims=True)
    return opset13.fake_quantize(opset13.constant(weights), -largest, largest, -largest, largest, 255)


def test_the_embedded_network_answers_nearly_the_same(tmp_path: Path) -> None:
    """The border alone differs: a ten-thousandth of the heatmaps' square on people, docs/performance.md."""
    crops = cut_crops(
        [Candidate(Photo(PORTRAIT), np.array(PORTRAIT_BOX), "portrait")], ModelSpec(name="danet72"), tmp_path / "crop"
    )
    person = next(crops.batches())
    model = ov.Core().read_model(embedded_model("danet72"))
    expected = answer(model, person)
    assert fold_normalization(model)
    found = answer(model, person)
    assert 0 < np.square(found - expected).sum() < 1e-3 * np.square(expected).sum()
