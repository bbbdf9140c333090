from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import pytest
from rich.progress import Progress

from danet_calibration import gate, layer_times
from danet_calibration.accuracy_control import NothingQuantizedError, fixed_batch, is_quantized
from danet_calibration.crops import cut_crops
from danet_calibration.data import DataChoice, find_data
from danet_calibration.float_model import open_float
from danet_calibration.formats import FORMATS
from danet_calibration.job import Job, attempt, prepare, quantized
from danet_calibration.layer_times import REST, group_times
from danet_calibration.nncf_ptq import Calibration
from danet_calibration.results import Accuracy, Attempt, GroupCost
from danet_calibration.roles import ROLES
from danet_calibration.sensitivity import measure_sensitivity
from danet_calibration.sensitivity_report import _about, markdown_table, report_sensitivity
from danet_calibration.strategy import Strategy
from danet_calibration.watch import Watch
from danet_calibration.workspace import Workspace


@pytest.fixture(scope="module")
def open_job(proven_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, str], Job]:
    folder = tmp_path_factory.mktemp("job")

    def make(model: Path, format: str) -> Job:
        wanted = FORMATS[format]
        float_model = open_float(str(model), wanted, folder)
        data = find_data(DataChoice(proven_folder, samples=4, limit=4))
        crops = cut_crops(data.chosen, float_model.spec, folder / "crops")
        calibration = Calibration(crops, Workspace(folder / "cache"), Watch(Progress(disable=True)))
        return prepare(wanted, float_model, calibration, data, 0.5, folder)

    return make


@pytest.fixture(scope="module")
def job(open_job: Callable[[Path, str], Job], tiny_ir: Path) -> Job:
    return open_job(tiny_ir, "openvino")


QUANTIZED = ("first convolution", "last convolution")
NARROW = Strategy(bias_correction="none", float_roles=tuple(role for role in ROLES if role not in QUANTIZED))


@pytest.mark.long
def test_each_quantized_group_is_measured_alone_and_once(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    costs = measure_sensitivity(job, NARROW)
    assert {cost.group for cost in costs} == set(QUANTIZED)
    drops = [cost.drop for cost in costs]
    assert drops == sorted(drops, reverse=True)
    assert all(cost.ap == pytest.approx(1 - cost.drop, abs=1e-6) and not cost.in_float for cost in costs)
    last = next(cost for cost in costs if cost.group == "last convolution")
    assert (last.operations, last.weights) == (1, 17 * 16 * 9)

    def no_graph(*_: object) -> None:
        raise AssertionError("quantized again")

    monkeypatch.setattr("danet_calibration.job.quantized", no_graph)
    assert measure_sensitivity(job, NARROW) == costs


@pytest.fixture
def tuned(job: Job) -> Job:
    """The same with persons to tune on that it is not measured on."""
    return replace(job, tuning=replace(job.validations[0].first(1), name="held out"))


def test_groups_are_ranked_on_what_is_tuned_on_alone(tuned: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def known(part: Job, rung: str, strategy: Strategy, references: tuple[float, ...]) -> Attempt:
        seen.extend(data.name for data in part.validations)
        return Attempt(rung, strategy, (Accuracy("", 1, 1.0, 1.0),), 1, True, 0.0)

    monkeypatch.setattr("danet_calibration.sensitivity.known_attempt", known)
    assert len(measure_sensitivity(tuned, NARROW)) == len(seen) == 2
    assert set(seen) == {"held out"}


def test_accuracy_is_controlled_on_what_is_tuned_on(tuned: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr("danet_calibration.job.control_accuracy", lambda *arguments: given.extend(arguments))
    monkeypatch.setattr("danet_calibration.job.quantize_bytes", lambda graph: graph)
    quantized(tuned, replace(NARROW.scope_alone(), accuracy_control=True))
    assert tuned.tuning in given
    assert tuned.validations[0] not in given


def test_a_file_in_which_nothing_is_quantized_is_no_int8(
    tuned: Job, int8_graph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NNCF gives back operations until the AP is kept; of none left the AP is that of the float model."""
    monkeypatch.setattr(nncf, "quantize_with_accuracy_control", lambda graph, *_, **__: graph.clone())
    with pytest.raises(NothingQuantizedError, match=r"no operation can stay in INT8 where the AP may drop by 0\.5"):
        quantized(tuned, replace(NARROW.scope_alone(), accuracy_control=True))
    assert is_quantized(int8_graph)


def test_words_of_a_choice_say_whether_the_proof_is_of_the_same_persons(job: Job, tuned: Job) -> None:
    chosen = Strategy().widened(("norm",))
    assert gate._tuned(job, Strategy()) == ()
    assert gate._tuned(tuned, chosen) == ("layers in float chosen on held out, 2 persons",)
    (words,) = gate._tuned(job, chosen)
    assert words == f"layers in float chosen on {job.tuning.name}, 4 persons, which the AP is of too"


@pytest.fixture(scope="module")
def int8_graph(job: Job) -> Any:
    return quantized(job, NARROW)


@pytest.mark.parametrize("batch", [None, 1])
def test_times_go_to_the_groups(job: Job, int8_graph: Any, batch: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_times, "ROUNDS", 2)
    monkeypatch.setattr(layer_times, "WARM_UP", 1)
    crops = next(job.calibration.crops.batches(batch or 2))
    graphs = {"float": job.graph.clone(), "int8": int8_graph.clone()}
    assert fixed_batch(graphs["float"]) is None
    if batch is not None:
        for graph in graphs.values():
            graph.reshape({0: [batch, *crops.shape[1:]]})
            assert fixed_batch(graph) == batch
    times = group_times(graphs, job.operations, crops, threads=1)
    for found in times.values():
        assert set(found) == {placed.group for placed in job.operations} | {REST}
        assert found["first convolution"] > 0
        assert found["depthwise @ 1/4"] > 0


def test_a_convolution_is_never_among_the_rest(job: Job) -> None:
    """Whatever OpenVINO fused into it, and however it names that."""
    groups = {placed.operation.name: placed for placed in job.operations}
    crops = next(job.calibration.crops.batches(2))
    nodes = layer_times._Profiled(job.graph, crops, threads=1)._compiled.get_runtime_model().get_ops()
    infos = [node.get_rt_info() for node in nodes]
    owners = [
        (info["layerType"].astype(str), layer_times._owner(info["originalLayersNames"].astype(str).split(","), groups))
        for info in infos
    ]
    convolutions = [owner for kind, owner in owners if kind in ("Convolution", "Deconvolution")]
    assert REST not in convolutions
    assert set(convolutions) == {placed.group for placed in job.operations if placed.operation.kernel is not None}


def test_times_are_means_of_the_rounds_after_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cold:
        """Its first calls take 50 ms, the others 2; the counters are means of all so far, as OpenVINO's."""

        def __init__(self, *_: Any) -> None:
            self.calls: list[float] = []

        def infer(self) -> None:
            self.calls.append(50.0 if len(self.calls) < layer_times.WARM_UP else 2.0)

        def counters(self, _: Any) -> dict[str, float]:
            return {"3x3": sum(self.calls) / len(self.calls), REST: 0.0}

    monkeypatch.setattr(layer_times, "_Profiled", Cold)
    times = group_times({"float": None, "int8": None}, [], np.zeros((1, 4, 4, 3), np.uint8))  # type: ignore[dict-item]
    assert times == {name: pytest.approx({"3x3": 2.0, REST: 0.0}) for name in ("float", "int8")}


@pytest.mark.long
def test_report_as_table_and_picture(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    groups = [placed.group for placed in job.operations]
    costs = [GroupCost(group, 1, 10, 0.9, 0.1, number % 2 == 0) for number, group in enumerate(dict.fromkeys(groups))]
    monkeypatch.setattr("danet_calibration.sensitivity_report.measure_sensitivity", lambda *_, **__: costs)
    report_sensitivity(job, NARROW, tmp_path)
    content = json.loads((tmp_path / "sensitivity-openvino.json").read_text())
    assert [entry["group"] for entry in content["groups"]] == [*(cost.group for cost in costs), REST]
    assert all(entry["int8_ms"] >= 0 for entry in content["groups"])
    assert (content["groups"][-1]["ap"], content["groups"][-1]["drop"]) == (None, None)
    table = (tmp_path / "sensitivity-openvino.md").read_text()
    assert table.count("\n| ") == len(costs) + 2  # a heading, and what no group claims
    assert (tmp_path / "sensitivity-openvino.png").read_bytes().startswith(b"\x89PNG")


def test_a_report_without_times_promises_none(job: Job) -> None:
    crops = len(job.calibration.crops)
    assert crops < 8  # whose batch is not full then
    assert f"; times of one batch of {crops} on" in _about(job, NARROW)
    assert "in float: all other groups)" in _about(job, NARROW)
    assert "times" not in _about(replace(job, format=FORMATS["onnx"]), NARROW)


def test_table_cells() -> None:
    cost = GroupCost("3x3 @ 1/4", 3, 27648, 0.37, 0.0061, False, float_ms=1.234, int8_ms=None)
    assert markdown_table([cost]).splitlines()[-1] == "| 3x3 @ 1/4 | 3 | 27648 | +0.0061 | 1.23 | - | INT8 |"
    rest = GroupCost(REST, 0, 0, nan, nan, True, 1.0, 2.0)
    assert markdown_table([rest]).splitlines()[-1] == "| other | 0 | 0 | - | 1.00 | 2.00 | float |"


def test_statistics_are_of_the_file_that_they_were_collected_on(job: Job, tmp_path: Path) -> None:
    """A checkpoint's export changes with PyTorch; the checkpoint's digest does not."""
    keyed = replace(job, format=replace(job.format, quantize=lambda *arguments: arguments[4]))
    paths = [tmp_path / f"{number}.xml" for number in range(2)]
    for number, path in enumerate(paths):
        path.write_text(str(number))
        path.with_suffix(".bin").touch()
    models = [replace(job.float_model, path=path) for path in (*paths, paths[0])]
    first, second, again = (quantized(replace(keyed, float_model=model), NARROW) for model in models)
    assert first == again != second


@pytest.mark.slow
@pytest.mark.parametrize("format", ["openvino", "onnx"])
def test_accuracy_control_gives_back_until_the_drop_is_allowed(
    format: str, open_job: Callable[[Path, str], Any], tiny_onnx: Path
) -> None:
    job = replace(open_job(tiny_onnx, format), max_drop=0.001)
    first, _ = attempt(job, "default", NARROW, (1.0,))
    assert not first.passed
    control, graph = attempt(job, "accuracy-aware", replace(NARROW.scope_alone(), accuracy_control=True), (1.0,))
    assert control.drop < first.drop
    assert graph is not None
