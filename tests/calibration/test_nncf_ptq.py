from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest

from danet.embedded import PORTRAIT, PORTRAIT_BOX
from danet.model_spec import ModelSpec
from danet_calibration.candidates import Candidate, Photo
from danet_calibration.crops import CalibrationCrops, cut_crops
from danet_calibration.graph import ir_operations
from danet_calibration.ir_format import read_ir
from danet_calibration.nncf_ptq import Calibration, ignored_scope, quantize_graph
from danet_calibration.roles import Placed, place
from danet_calibration.statistics_store import FILE
from danet_calibration.strategy import Strategy
from danet_calibration.watch import Watch
from danet_calibration.workspace import Workspace


@pytest.fixture(scope="module")
def graph(tiny_ir: Path) -> ov.Model:
    return read_ir(tiny_ir)


@pytest.fixture(scope="module")
def operations(graph: ov.Model) -> list[Placed]:
    return place(ir_operations(graph), 128)


@pytest.fixture
def calibration(watch: Watch, tmp_path: Path) -> Calibration:
    left, top, right, bottom = PORTRAIT_BOX
    boxes = (left, top, right, bottom), (left, top, right, (top + bottom) / 2)  # two crops whose ranges differ
    candidates = [Candidate(Photo(PORTRAIT), np.array(box), "portrait") for box in boxes]
    crops = cut_crops(candidates, ModelSpec(name="tiny", input_size=(128, 96)), tmp_path / "crops")
    return Calibration(crops, Workspace(tmp_path / "cache"), watch)


def quantizers(model: ov.Model) -> set[str]:
    """Names of the operations that read a quantized feature."""
    return {
        target.get_node().get_friendly_name()
        for node in model.get_ops()
        if node.get_type_name() == "FakeQuantize"
        for target in node.output(0).get_target_inputs()
        if target.get_index() == 0
    }


def heatmaps(model: ov.Model, calibration: Calibration) -> Any:
    return ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(next(calibration.crops.batches()))[0]


def test_roles_in_float_have_no_quantizer(graph: ov.Model, operations: list[Placed], calibration: Calibration) -> None:
    """All in one graph, which takes seconds; that a role alone names its own operations is the next test's."""
    roles = ("3x3", "depthwise", "last convolution")
    strategy = Strategy(bias_correction="none", float_roles=roles)
    found = quantizers(quantize_graph(graph, operations, strategy, calibration, "key", "images"))
    for role in roles:
        names = {placed.operation.name for placed in operations if placed.role == role}
        assert names
        assert not names & found
    for role in ("1x1", "first convolution"):
        names = {placed.operation.name for placed in operations if placed.role == role}
        assert names
        assert names <= found


@pytest.mark.parametrize("role", ["3x3", "depthwise", "last convolution"])
def test_scope_of_one_role(role: str, operations: list[Placed]) -> None:
    scope = ignored_scope(operations, Strategy(float_roles=(role,)))
    assert scope.names == [one.operation.name for one in operations if one.role == role]
    assert scope.names


def test_scope_by_role_and_by_group(operations: list[Placed]) -> None:
    scope = ignored_scope(operations, Strategy(float_roles=("last convolution",), float_groups=("3x3 @ 1/8",)))
    expected = [one.operation.name for one in operations if one.role == "last convolution" or one.group == "3x3 @ 1/8"]
    assert scope.names == expected
    assert len(expected) == 2


@pytest.mark.long
@pytest.mark.parametrize("preset", ["performance", pytest.param("mixed", marks=pytest.mark.slow)])
def test_kept_statistics_give_the_same_graph_without_the_pictures(
    preset: Any, graph: ov.Model, operations: list[Placed], calibration: Calibration, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = Strategy(preset=preset)
    first = quantize_graph(graph, operations, strategy, calibration, "key", "images")

    def no_pictures(_: CalibrationCrops, size: int = 1) -> Iterator[Any]:
        raise AssertionError(f"crops were read again, by {size}")

    answer = heatmaps(first, calibration)
    expected = heatmaps(graph, calibration)
    monkeypatch.setattr(CalibrationCrops, "batches", no_pictures)
    second = quantize_graph(graph, operations, strategy, calibration, "key", "images")
    monkeypatch.undo()
    np.testing.assert_array_equal(heatmaps(second, calibration), answer)
    assert not np.array_equal(answer, expected)


@pytest.mark.long
@pytest.mark.parametrize("damage", [pytest.param(b"PK\x03\x04 no zip", marks=pytest.mark.slow), None])
def test_damaged_statistics_are_collected_anew(
    damage: bytes | None, graph: ov.Model, operations: list[Placed], calibration: Calibration
) -> None:
    strategy = Strategy(bias_correction="none")
    first = heatmaps(quantize_graph(graph, operations, strategy, calibration, "key", "images"), calibration)
    path = calibration.workspace.folder / "key" / FILE
    path.write_bytes(path.read_bytes()[:-200] if damage is None else damage)
    again = heatmaps(quantize_graph(graph, operations, strategy, calibration, "key", "images"), calibration)
    np.testing.assert_array_equal(again, first)


@pytest.mark.long
def test_one_odd_crop_does_not_stretch_the_mean_range(
    graph: ov.Model, operations: list[Placed], calibration: Calibration
) -> None:
    portrait = next(calibration.crops.batches())
    odd = np.random.default_rng(0).integers(0, 2, portrait.shape, np.uint8) * 255
    calibration.crops.path.write_bytes(3 * portrait.tobytes() + odd.tobytes())
    four = replace(calibration.crops, hashes=("",) * 4)
    ranges = {}
    for kind in ("mean", "largest"):
        strategy = Strategy(bias_correction="none", activation_range=kind)  # type: ignore[arg-type]
        made = quantize_graph(graph, operations, strategy, replace(calibration, crops=four), kind, "images")
        ranges[kind] = activation_ranges(made)
    # the mean of m, m, m and M is at least a quarter of M, and M where all are alike
    assert len(ranges["mean"]) == len(ranges["largest"]) > 20
    ratios = np.array(ranges["mean"]) / np.array(ranges["largest"])
    assert ratios.min() < 0.8
    assert (ratios >= 0.2499).all()
    assert (ratios <= 1.0001).all()


def activation_ranges(model: ov.Model) -> list[float]:
    """Upper ends of what is rounded, in the graph's order, weights left out."""
    return [
        float(node.input_value(2).get_node().data.max())
        for node in model.get_ordered_ops()
        if node.get_type_name() == "FakeQuantize" and node.input_value(0).partial_shape.is_dynamic
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "strategy",
    [
        Strategy(bias_correction="accurate"),
        Strategy(smooth_quant=0.5),
        Strategy(weight_bits="8"),
        Strategy(activation_range="largest"),
    ],
)
def test_every_choice_is_carried_out(
    strategy: Strategy, graph: ov.Model, operations: list[Placed], calibration: Calibration
) -> None:
    plain = heatmaps(quantize_graph(graph, operations, Strategy(), calibration, "plain", "images"), calibration)
    other = heatmaps(quantize_graph(graph, operations, strategy, calibration, "other", "images"), calibration)
    assert np.isfinite(other).all()
    assert not np.array_equal(plain, other)


def test_nothing_of_nncf_reaches_stdout(
    graph: ov.Model, operations: list[Placed], calibration: Calibration, capfd: pytest.CaptureFixture[str]
) -> None:
    quantize_graph(graph, operations, Strategy(bias_correction="none"), calibration, "key", "images")
    assert capfd.readouterr().out == ""
