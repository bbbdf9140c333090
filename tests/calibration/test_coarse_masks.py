from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from openvino import opset13

from danet.embedded import embedded_model
from danet_calibration.coarse_masks import coarsen_masks, mean_kernel
from danet_calibration.ir_format import read_ir

CONFIG = {"INFERENCE_PRECISION_HINT": "f32"}


def answer(model: ov.Model, crop: NDArray[Any]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = ov.compile_model(model, "CPU", CONFIG)(crop)[0].copy()
    return found


@given(
    arrays(np.float32, st.sampled_from([(3, 3), (9, 9), (5, 3)]), elements=st.floats(-4, 4, width=32)),
    st.integers(0, 2**32 - 1),
)
def test_a_mean_kernel_answers_with_the_mean_of_four(kernel: NDArray[np.float32], seed: int) -> None:
    cells = np.random.default_rng(seed).normal(size=(16, 12))
    pad_y, pad_x = (side // 2 for side in kernel.shape)
    padded = np.pad(cells, ((pad_y, pad_y), (pad_x, pad_x)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape)
    each = np.einsum("yxhw,hw->yx", windows, kernel.astype(np.float64))
    means = each.reshape(8, 2, 6, 2).mean((1, 3))
    wide = mean_kernel(kernel)
    windows = np.lib.stride_tricks.sliding_window_view(padded, wide.shape)[::2, ::2]
    found = np.einsum("yxhw,hw->yx", windows, wide.astype(np.float64))
    np.testing.assert_allclose(found, means, rtol=0, atol=1e-4)


def sigmoids(model: ov.Model, stride: int) -> list[Any]:
    """Of maps at a stride."""
    height = model.input(0).partial_shape[1].get_length() // stride
    found = [node for node in model.get_ordered_ops() if node.get_type_name() == "Sigmoid"]
    return [node for node in found if node.output(0).partial_shape[2].get_length() == height]


def with_means(model: ov.Model, strides: tuple[int, ...]) -> int:
    """The same by pooling, for masks of stages: responses averaged over 2x2 cells, then given to all four."""
    count = 0
    for stride in strides:
        for sigmoid in sigmoids(model, stride):
            (reader,) = sigmoid.output(0).get_target_inputs()
            if "Subtract" in {
                source.get_source_output().get_node().get_type_name() for source in reader.get_node().inputs()
            }:
                continue
            node = sigmoid
            while node.get_type_name() != "GroupConvolution":
                node = node.input_value(0).get_node()
            readers = list(node.output(0).get_target_inputs())
            size = [side.get_length() for side in list(node.output(0).partial_shape)[2:]]
            means = opset13.avg_pool(node, [2, 2], [0, 0], [0, 0], [2, 2], False)
            again = opset13.interpolate(
                means, np.array(size), "nearest", "sizes", axes=np.array([2, 3]), nearest_mode="floor",
                coordinate_transformation_mode="asymmetric",
            )  # fmt: skip
            for one in readers:
                one.replace_source_output(again.output(0))
            count += 1
    model.validate_nodes_and_infer_types()
    return count


@pytest.mark.parametrize("strides", [(4,), (8,), (4, 8), (4, 8, 16)])
def test_masks_are_those_of_mean_responses(tiny_ir: Path, strides: tuple[int, ...]) -> None:
    crop = np.random.default_rng(1).integers(0, 256, (1, 128, 96, 3), np.uint8)
    model, pooled = read_ir(tiny_ir), read_ir(tiny_ir)
    before = answer(model, crop)
    count = coarsen_masks(model, strides)
    assert count == with_means(pooled, strides) > 0
    expected = answer(pooled, crop)
    np.testing.assert_allclose(answer(model, crop), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert np.abs(expected - before).max() > 1e-3 * np.abs(before).max()


def test_the_masks_of_danet72() -> None:
    """Three layers at 1/4, six at 1/8; of the fusions none."""
    model = ov.Core().read_model(embedded_model("danet72"))
    assert coarsen_masks(model, (4, 8)) == 9
    kernels = [
        tuple(node.input_value(1).get_partial_shape().to_shape())[-2:]
        for node in model.get_ops()
        if node.get_type_name() == "GroupConvolution"
    ]
    assert (kernels.count((10, 10)), kernels.count((9, 9))) == (9, 27)


def test_names_of_convolutions_stay(tiny_ir: Path) -> None:
    """Ignored scopes name them."""

    def names(model: ov.Model) -> set[str]:
        return {node.get_friendly_name() for node in model.get_ops() if node.get_type_name() == "GroupConvolution"}

    model = read_ir(tiny_ir)
    before = names(model)
    coarsen_masks(model, (4, 8))
    assert names(model) == before


def test_without_strides_nothing_changes(tiny_ir: Path) -> None:
    model = read_ir(tiny_ir)
    operations = len(model.get_ops())
    assert coarsen_masks(model, ()) == 0
    assert len(model.get_ops()) == operations
