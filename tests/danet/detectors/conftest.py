"""Tiny ONNX models with outputs known by hand, and frames of a real video."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.conftest import SHARED

VIDEO = SHARED / "video" / "walking.avi"
YOLOX = SHARED / "models" / "yolox_nano.onnx"
FLOAT = 1
"""onnx.TensorProto.FLOAT, for environments without onnx."""

MakeModel = Callable[..., Path]


def _onnx() -> Any:
    return pytest.importorskip("onnx", reason="detectors of these tests are made by onnx, which is not installed")


def save_graph(
    path: Path,
    nodes: Sequence[Any],
    shape: Sequence[int | str],
    outputs: Mapping[str, tuple[int, Sequence[int | str]]],
    dtype: int = FLOAT,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """An ONNX file of one input `images`, of nodes as onnx makes them; outputs are name -> (type, shape)."""
    onnx = _onnx()
    helper = onnx.helper
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("images", dtype, list(shape))],
        [helper.make_tensor_value_info(name, kind, list(sides)) for name, (kind, sides) in outputs.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


@pytest.fixture
def constant_model(tmp_path: Path) -> MakeModel:
    """Makes a model that gives the same outputs for any picture."""

    def make(
        outputs: Mapping[str, NDArray[Any]],
        *,
        shape: Sequence[int | str] = (1, 3, 96, 96),
        metadata: Mapping[str, str] | None = None,
        name: str = "detector.onnx",
        dtype: int = FLOAT,
    ) -> Path:
        onnx = _onnx()
        helper, numpy_helper = onnx.helper, onnx.numpy_helper
        kinds = {key: (helper.np_dtype_to_tensor_dtype(value.dtype), value.shape) for key, value in outputs.items()}
        # the picture counts for nothing, but is used: OpenVINO 2025 leaves out inputs that are not
        nothing = numpy_helper.from_array(np.array(0, np.float32), "nothing")
        nodes = [
            helper.make_node("Constant", [], ["nothing"], value=nothing),
            helper.make_node("Cast", ["images"], ["floats"], to=FLOAT),
            helper.make_node("ReduceMax", ["floats"], ["brightest"], keepdims=0),
            helper.make_node("Mul", ["brightest", "nothing"], ["zero"]),
        ]
        for key, value in outputs.items():
            constant = numpy_helper.from_array(np.ascontiguousarray(value), key)
            nodes += [
                helper.make_node("Constant", [], [f"{key} itself"], value=constant),
                helper.make_node("Cast", ["zero"], [f"{key} zero"], to=kinds[key][0]),
                helper.make_node("Add", [f"{key} itself", f"{key} zero"], [key]),
            ]
        return save_graph(tmp_path / name, nodes, shape, kinds, dtype, metadata)

    return make


@pytest.fixture
def mean_color_model(tmp_path: Path) -> MakeModel:
    """Makes an end-to-end detector whose one box is (0, 0, mean of channel 0, mean of channel 1) x factor.

    So the box tells what the network was given.
    """

    def make(
        *,
        factor: float = 1.0,
        shape: Sequence[int | str] = (1, 3, 96, 96),
        channels_last: bool = False,
        dtype: int = FLOAT,
    ) -> Path:
        onnx = _onnx()
        helper, numpy_helper = onnx.helper, onnx.numpy_helper
        axes = [1, 2] if channels_last else [2, 3]
        constants = {
            "zeros": np.zeros((1, 2), np.float32),
            "factor": np.array(factor, np.float32),
            "rest": np.array([[0.9, 0.0]], np.float32),
            "starts": np.array([0], np.int64),
            "ends": np.array([2], np.int64),
            "axes": np.array([1], np.int64),
        }
        nodes = [
            helper.make_node("Constant", [], [key], value=numpy_helper.from_array(value, key))
            for key, value in constants.items()
        ]
        nodes += [
            helper.make_node("Cast", ["images"], ["floats"], to=FLOAT),
            helper.make_node("ReduceMean", ["floats"], ["means"], axes=axes, keepdims=0),
            helper.make_node("Slice", ["means", "starts", "ends", "axes"], ["two"]),
            helper.make_node("Mul", ["two", "factor"], ["sides"]),
            helper.make_node("Concat", ["zeros", "sides", "rest"], ["row"], axis=1),
            helper.make_node("Unsqueeze", ["row", "axes"], ["output0"]),
        ]
        return save_graph(tmp_path / "mean.onnx", nodes, shape, {"output0": (FLOAT, (1, 1, 6))}, dtype)

    return make


@pytest.fixture(scope="session")
def walking() -> dict[int, NDArray[np.uint8]]:
    """A few frames of walking.avi, by their number."""
    if not VIDEO.exists():
        pytest.skip("not in ../shared/data: video/walking.avi")
    wanted = (0, 100, 250, 400, 600, 780)
    capture = cv2.VideoCapture(str(VIDEO))
    frames: dict[int, NDArray[np.uint8]] = {}
    for index in range(wanted[-1] + 1):
        assert capture.grab()
        if index in wanted:
            frames[index] = np.asarray(capture.retrieve()[1], np.uint8)
    capture.release()
    return frames


def iou(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """IoU (N, M) of boxes (N, 4) and (M, 4) xyxy."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (first, second)]
    ratio: NDArray[np.float64] = common / (areas[0][:, None] + areas[1][None] - common)
    return ratio


def matched(first: NDArray[np.floating], second: NDArray[np.floating], least: float = 0.5) -> list[float]:
    """IoU of pairs of boxes, each used once, the best pairs first."""
    values, pairs = iou(first, second), []
    while values.size and values.max() >= least:
        row, column = np.unravel_index(values.argmax(), values.shape)
        pairs.append(float(values[row, column]))
        values[row], values[:, column] = 0, 0
    return pairs
