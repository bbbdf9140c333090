"""Full INT8 of a .tflite file: what is in it, and that calibration crops are streamed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.faults.cases import GOLDEN

from danet.backends.tflite_backend import open_tflite
from danet.errors import InputError
from danet.model_spec import ModelSpec
from danet.tflite_file import with_spec
from danet_calibration.tflite_int8 import _ranges, _recipe, quantize_tflite
from danet_converters.parity import sample_crops
from danet_network.checkpoint import load_checkpoint
from danet_network.runner import TorchRunner


@pytest.fixture(scope="module")
def spec(tiny_checkpoint: Path) -> ModelSpec:
    return load_checkpoint(tiny_checkpoint)[1]


@pytest.fixture(scope="module")
def quantized(tiny_tflite: Path, spec: ModelSpec) -> bytes:
    crops = sample_crops(spec, seed=1)
    batches = (crops[start : start + 4] for start in range(0, len(crops), 4))
    return quantize_tflite(tiny_tflite.read_bytes(), batches)


def kinds_of(content: bytes) -> dict[str, set[str]]:
    """By operation, the types of the tensors that it writes."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    from danet_converters.tflite_graph import operation

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    types = {code: name for name, code in vars(schema.TensorType).items() if isinstance(code, int)}
    graph = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    subgraph = graph.subgraphs[0]
    found: dict[str, set[str]] = {}
    for node in subgraph.operators:
        found.setdefault(names[operation(graph, node)], set()).add(types[subgraph.tensors[node.outputs[0]].type])
    return found


@pytest.mark.long
def test_arithmetic_is_int8(quantized: bytes) -> None:
    kinds = kinds_of(quantized)
    for name in ("CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "CONCATENATION", "MUL", "DEPTH_TO_SPACE"):
        assert kinds[name] == {"INT8"}, name


@pytest.mark.long
def test_it_computes_the_same_roughly(quantized: bytes, spec: ModelSpec, tiny_network: Any, tmp_path: Path) -> None:
    (tmp_path / "int8.tflite").write_bytes(with_spec(quantized, spec))
    backend = open_tflite(tmp_path / "int8.tflite")
    assert (backend.quantized, backend.batch_sizes) == (True, None)
    crops = sample_crops(spec, seed=9)
    expected, found = TorchRunner(tiny_network, spec).run(crops), backend.run(crops)
    # a random network multiplies each rounding error on; the accuracy of a trained one is the gate's to judge
    assert not np.allclose(expected, found, atol=1e-4)
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.8


@pytest.mark.long
def test_crops_are_streamed(tiny_tflite: Path, spec: ModelSpec) -> None:
    alive: list[int] = []

    def batches() -> Iterator[NDArray[np.uint8]]:
        for number in range(3):
            alive.append(number)
            yield sample_crops(spec, seed=number)[:1]
            assert alive == list(range(number + 1))  # the next is asked for when this one is done

    quantize_tflite(tiny_tflite.read_bytes(), batches())
    assert alive == [0, 1, 2]


@pytest.mark.long
def test_each_crop_counts_alike_in_whatever_order(tiny_tflite: Path, spec: ModelSpec) -> None:
    crops = sample_crops(spec, seed=1)[:4] // np.array([1, 2, 4, 8], np.uint8)[:, None, None, None]  # unlike ones
    model, recipe = tiny_tflite.read_bytes(), _recipe(())

    def ranges(crops: NDArray[np.uint8]) -> dict[str, Any]:
        return _ranges(model, [crops], recipe, threads=1)

    alone = [ranges(crops[number : number + 1]) for number in range(4)]
    together, backwards = ranges(crops), ranges(crops[::-1])
    assert together.keys() == alone[0].keys()
    differ = 0
    for name, one in together.items():
        assert one.keys() == {"min", "max"}
        for end, value in one.items():
            each = np.stack([single[name][end] for single in alone])
            np.testing.assert_allclose(value, each.mean(0), rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(backwards[name][end], value, rtol=1e-4, atol=1e-6)
            differ += bool(np.ptp(each, axis=0).max() > 0.1 * np.abs(each).max())
    assert differ > 20  # ranges of single crops do


def test_no_crops() -> None:
    with pytest.raises(InputError, match="no calibration crops"):
        quantize_tflite((GOLDEN / "tiny.tflite").read_bytes(), iter(()))


def test_unknown_operation() -> None:
    with pytest.raises(InputError, match=r"float operation 'SIGMOID', expected one of .*LOGISTIC"):
        quantize_tflite((GOLDEN / "tiny.tflite").read_bytes(), iter(()), float_operations=["SIGMOID"])
