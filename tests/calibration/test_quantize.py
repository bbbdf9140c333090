from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino as ov
import pytest
import torch

from danet.cpu import Cpu
from danet.embedded import PORTRAIT
from danet.errors import InputError, ModelFileError, ModelSpecError
from danet.estimator import PoseEstimator
from danet.model_spec import ModelSpec
from danet_calibration import data as data_module
from danet_calibration import float_model as float_model_module
from danet_calibration import gate as gate_module
from danet_calibration import job as job_module
from danet_calibration import quantize as quantize_module
from danet_calibration import workspace as workspace_module
from danet_calibration.command import print_report
from danet_calibration.data import Data, find_data
from danet_calibration.formats import FORMATS
from danet_calibration.gate import WrittenFileError
from danet_calibration.job import Job
from danet_calibration.quantize import Report
from danet_calibration.results import Accuracy, Attempt
from danet_calibration.roles import place
from danet_calibration.strategy import Strategy
from danet_calibration.watch import BudgetSpentError
from danet_calibration.workspace import FOLDER
from danet_converters.export import choose_targets, export
from danet_evaluation.coco import load_split
from danet_evaluation.evaluate import run
from danet_network.checkpoint import load_checkpoint
from danet_network.config import DANetConfig

Quantize = Callable[..., Report]
ANY = 0.99
LENIENT = 0.6
"""As `proven_run`'s."""


def models(folder: Path) -> list[str]:
    """All files that could be taken for a model, hidden folders included."""
    return sorted(path.name for path in folder.rglob("*") if path.suffix in (".xml", ".bin", ".onnx", ".tflite"))


def test_file_says_what_was_measured_and_runs(proven_run: Report, proven_folder: Path, tiny_onnx: Path) -> None:
    check_written(proven_run, proven_folder, tiny_onnx, "tiny-int8.xml")


@pytest.mark.slow
def test_onnx_file_says_what_was_measured_and_runs(quantized: Quantize, proven_folder: Path, tiny_onnx: Path) -> None:
    report = quantized(proven_folder, model=tiny_onnx, formats=("onnx",), max_drop=LENIENT)
    check_written(report, proven_folder, tiny_onnx, "tiny-int8.onnx")


def check_written(report: Report, folder: Path, source: Path, name: str) -> None:
    (outcome,) = report.outcomes
    assert outcome.written == report.request.out / name
    dataset = load_split(folder, "val")
    with PoseEstimator(outcome.written) as estimator:
        assert estimator.precision.startswith("int8")
        spec = estimator.spec
        ap = run(estimator, dataset).evaluation.figures.ap
    (attempt,) = outcome.attempts
    assert ap == pytest.approx(attempt.ap, abs=1e-12)
    assert outcome.float_aps[0] == pytest.approx(1, abs=1e-6)
    assert (spec.precision, spec.source_sha256) == ("int8", source_spec(source).source_sha256)
    (metric,) = spec.metrics
    assert (metric.name, metric.value, metric.data) == ("AP", round(ap, 4), f"{dataset.name}, 16 persons")
    for words in ("8 crops of", "seed 0", "NNCF", f"AP drop {attempt.drop:.4f}", attempt.strategy.describe()):
        assert words in (spec.calibration or "")


@pytest.mark.slow
def test_tflite_is_refused_by_the_same_gate_and_has_no_ladder(
    quantized: Quantize, proven_folder: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    pytest.importorskip("litert_torch")
    pytest.importorskip("ai_edge_quantizer")
    report = quantized(proven_folder, model=tiny_checkpoint, formats=("tflite",), max_drop=0.001)
    (outcome,) = report.outcomes
    assert (report.passed, outcome.written, len(outcome.attempts), models(tmp_path)) == (False, None, 1, [])


def test_an_int8_ir_holds_no_spec_but_its_own(proven_run: Report) -> None:
    text = (proven_run.request.out / "tiny-int8.xml").read_text(encoding="utf-8")
    assert text.count("<danet.model_spec ") == 1


def source_spec(path: Path) -> ModelSpec:
    properties = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    return ModelSpec.from_json(properties["danet.model_spec"])


def test_graph_is_of_integers_where_the_strategy_says_so(proven_run: Report, tiny_ir: Path) -> None:
    written = proven_run.request.out / "tiny-int8.xml"
    model = ov.Core().read_model(written)
    nodes = model.get_ops()
    assert any(node.get_type_name() == "FakeQuantize" for node in nodes)
    integers = sum(node.data.size for node in nodes if is_constant(node, ov.Type.i8))
    floats = sum(node.data.size for node in nodes if is_constant(node, ov.Type.f32) or is_constant(node, ov.Type.f16))
    assert integers > floats
    small, large = (path.with_suffix(".bin").stat().st_size for path in (written, tiny_ir))
    assert small < 0.6 * large
    assert model.input(0).partial_shape[0].is_dynamic


def is_constant(node: Any, kind: Any) -> bool:
    return bool(node.get_type_name() == "Constant" and node.get_element_type() == kind)


@pytest.mark.long
@pytest.mark.usefixtures("one_quantization")
def test_constant_pictures_are_refused_at_once_and_nothing_is_written(
    quantized: Quantize, constant_folder: Path, proven_run: Report, tmp_path: Path
) -> None:
    plain = Strategy(coarse_masks=(), byte_features=False)  # whose next rung is a wider scope
    report = quantized(constant_folder, max_drop=LENIENT, strategy=plain)
    (outcome,) = report.outcomes
    (attempt,) = outcome.attempts
    assert attempt.drop > LENIENT
    assert (report.passed, outcome.written, models(tmp_path)) == (False, None, [])
    assert "do the crops show persons?" in outcome.reason
    assert proven_run.passed  # it is the pictures: all else is the same there


def test_a_broken_graph_does_not_end_the_climb_while_the_next_rung_has_another(
    quantized: Quantize, proven_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(job: Job, rung: str, strategy: Strategy, references: Sequence[float]) -> tuple[Attempt, None]:
        accuracies = (Accuracy("val", 16, references[0], 0.0),)
        return Attempt(rung, strategy, accuracies, 1000, False, 0.1), None

    monkeypatch.setattr(gate_module, "attempt", broken)
    (outcome,) = quantized(proven_folder).outcomes
    assert [attempt.rung for attempt in outcome.attempts] == ["default", "masks for every cell", "features in float"]
    assert outcome.reason.startswith("features in float: AP drop 1.0000 of 1.0000 on val; do the crops show persons?")


def test_the_float_model_is_not_written_over(
    quantized: Quantize, proven_folder: Path, tiny_ir: Path, tmp_path: Path
) -> None:
    for suffix in (".xml", ".bin"):
        shutil.copy(tiny_ir.with_suffix(suffix), tmp_path / f"own{suffix}")
    before = (tmp_path / "own.xml").read_bytes()
    with pytest.raises(InputError, match=r"own\.xml is the float model itself; give another --name or --out"):
        quantized(proven_folder, model=tmp_path / "own.xml", out=tmp_path, name="own")
    assert (tmp_path / "own.xml").read_bytes() == before


def test_a_checkpoint_is_not_written_over(
    quantized: Quantize, proven_folder: Path, tiny_checkpoint: Path, tiny_config: DANetConfig, tmp_path: Path
) -> None:
    """A .bin of PyTorch has the name that an IR's weights will have."""
    network, spec = load_checkpoint(tiny_checkpoint)
    path = tmp_path / "own.bin"
    torch.save({"model": network.state_dict(), "config": tiny_config.to_dict(), "spec": spec.to_json()}, path)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"own\.bin is the float model itself; give another --name or --out"):
        quantized(proven_folder, model=path, out=tmp_path, name="own")
    assert path.read_bytes() == before


@pytest.mark.usefixtures("never_enough")
def test_a_format_that_cannot_be_made_costs_no_other_its_report(
    quantized: Quantize, proven_folder: Path, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = quantize_module.prepare

    def failing(format: Any, *arguments: Any) -> Job:
        if format.name == "onnx":
            raise ModelFileError("cannot be read")
        return prepare(format, *arguments)

    monkeypatch.setattr(quantize_module, "prepare", failing)
    report = quantized(proven_folder, model=tiny_onnx, formats=("openvino", "onnx"), max_drop=0.001)
    first, second = report.outcomes
    assert len(first.attempts) > 1
    assert (second.written, second.reason, second.attempts) == (None, "cannot be read", ())
    json.dumps(report.to_dict())
    with pytest.raises(ModelFileError, match="cannot be read"):
        quantized(proven_folder, model=tiny_onnx, formats=("onnx",))


@pytest.mark.usefixtures("never_enough")
def test_a_sensitivity_report_that_the_minutes_did_not_reach(
    quantized: Quantize, proven_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spent(*_: Any) -> None:
        raise BudgetSpentError("the minutes are spent")

    monkeypatch.setattr(quantize_module, "report_sensitivity", spent)
    report = quantized(proven_folder, sensitivity=tmp_path / "report", max_drop=0.001)
    assert report.to_dict()["unfinished"] is True


@pytest.fixture
def never_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every attempt loses 0.01 AP; nothing is quantized."""

    def attempt(job: Job, rung: str, strategy: Strategy, references: Sequence[float]) -> tuple[Attempt, None]:
        accuracies = tuple(Accuracy("data", 1, reference, reference - 0.01) for reference in references)
        return Attempt(rung, strategy, accuracies, 1000, job.max_drop >= 0.01, 0.0), None

    monkeypatch.setattr(gate_module, "attempt", attempt)
    monkeypatch.setattr(gate_module, "measure_sensitivity", lambda *_: [])


@pytest.fixture
def two_data_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The validation data, and its first persons as a second data set."""

    def find_two(*arguments: Any) -> Data:
        data = find_data(*arguments)
        (validation,) = data.validations
        return replace(data, validations=(validation, replace(validation.first(6), name="second")))

    monkeypatch.setattr(quantize_module, "find_data", find_two)


@pytest.mark.long
@pytest.mark.usefixtures("two_data_sets", "one_quantization")
def test_file_says_what_was_measured_on_each_data_set(quantized: Quantize, proven_folder: Path) -> None:
    report = quantized(proven_folder, max_drop=LENIENT)
    (outcome,) = report.outcomes
    (attempt,) = outcome.attempts
    first, second = attempt.accuracies
    assert (first.persons, second.persons, second.data) == (16, 6, "second")
    assert attempt.drop == max(first.drop, second.drop)
    assert first.ap != second.ap
    assert outcome.written is not None
    with PoseEstimator(outcome.written) as estimator:
        spec = estimator.spec
        again = run(estimator, load_split(proven_folder, "val").first(6)).evaluation.figures.ap
    assert second.ap == pytest.approx(again, abs=1e-12)
    assert [(one.data, one.value) for one in spec.metrics] == [
        (f"{first.data}, 16 persons", round(first.ap, 4)),
        ("second, 6 persons", round(second.ap, 4)),
    ]
    assert f"AP drop {second.drop:.4f} (1.0000 in float) on second, 6 persons" in (spec.calibration or "")
    assert [data["data"] for data in report.to_dict()["validation"]] == [first.data, "second"]


@pytest.mark.long
@pytest.mark.usefixtures("two_data_sets", "one_quantization")
def test_a_drop_on_one_data_set_alone_is_too_much(
    quantized: Quantize, proven_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def worse_on_the_second(job: Job, path: Path, words: str) -> tuple[float, float]:
        return 1.0, 0.98

    monkeypatch.setattr(job_module, "file_aps", worse_on_the_second)
    monkeypatch.setattr(gate_module, "ladder", lambda first, _: iter([("default", first)]))
    (outcome,) = quantized(proven_folder, max_drop=0.01).outcomes
    assert (outcome.written, models(tmp_path)) == (None, [])
    assert "the smallest AP drop of 1 attempts is 0.02" in outcome.reason


@pytest.mark.long
def test_file_says_on_whom_layers_were_chosen(
    quantized: Quantize, proven_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_module, "LEAST_TUNING", 4)
    monkeypatch.setattr(gate_module, "ladder", lambda first, _: iter([("wider", first.widened(("norm",)))]))
    report = quantized(proven_folder, max_drop=LENIENT, samples=6)
    held_out = report.to_dict()["tuning"]
    assert held_out["data"] == f"{proven_folder.name}/train, held out"
    (outcome,) = report.outcomes
    assert outcome.written is not None
    with PoseEstimator(outcome.written) as estimator:
        words = f"; layers in float chosen on {held_out['data']}, {held_out['persons']} persons; AP drop"
        assert words in (estimator.spec.calibration or "")


@pytest.mark.usefixtures("never_enough")
def test_refused_by_every_rung_and_an_earlier_file_stays(
    quantized: Quantize, proven_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "tiny-int8.xml").write_text("old")
    report = quantized(proven_folder, max_drop=0.0099)
    (outcome,) = report.outcomes
    assert [attempt.rung for attempt in outcome.attempts] == [
        "default",
        "masks for every cell",
        "features in float",
        "accuracy-aware",
    ]
    assert (report.passed, outcome.written) == (False, None)
    assert "the smallest AP drop of 4 attempts is 0.0100, allowed 0.0099" in outcome.reason
    assert models(tmp_path) == ["tiny-int8.xml"]
    assert (tmp_path / "out" / "tiny-int8.xml").read_text() == "old"
    json.dumps(report.to_dict())


@pytest.mark.long
def test_further_runs_take_over_what_is_the_same(
    quantized: Quantize, proven_run: Report, own_run: Path, proven_folder: Path
) -> None:
    written = {path.name: path.read_bytes() for path in own_run.glob("tiny-int8.*")}
    again = quantized(proven_folder, max_drop=LENIENT, out=own_run)
    assert (proven_run.reused, again.reused) == (0, 4)  # float AP, attempt, statistics, AP of the same bytes
    assert again.outcomes[0].attempts[0].ap == proven_run.outcomes[0].attempts[0].ap
    assert {path.name: path.read_bytes() for path in own_run.glob("tiny-int8.*")} == written


@pytest.mark.slow
def test_of_other_crops_the_float_ap_alone_is_taken_over(
    quantized: Quantize, own_run: Path, proven_folder: Path
) -> None:
    assert quantized(proven_folder, max_drop=LENIENT, samples=4, out=own_run, name="other").reused == 1


@pytest.mark.long
def test_on_another_cpu_all_is_measured_again(
    quantized: Quantize, own_run: Path, proven_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace_module, "read_cpu", lambda: Cpu("another", 2, ()))
    again = quantized(proven_folder, max_drop=LENIENT, out=own_run, name="other")
    assert (again.reused, again.outcomes[0].attempts[0].reused) == (1, False)  # the statistics alone


def test_spent_budget_is_refused_with_its_reason(
    watch: Any, quantized: Quantize, proven_folder: Path, tmp_path: Path
) -> None:
    watch.minutes = 1e-9
    (outcome,) = quantized(proven_folder, max_drop=ANY).outcomes
    assert "minutes are spent" in outcome.reason
    assert (len(outcome.float_aps), outcome.attempts, models(tmp_path)) == (1, (), [])


@pytest.mark.long
@pytest.mark.usefixtures("one_quantization")
def test_each_rerun_gets_further_whatever_its_minutes(watch: Any, quantized: Quantize, proven_folder: Path) -> None:
    watch.minutes = 1e-9
    assert not quantized(proven_folder, max_drop=ANY).passed  # the float AP
    watch.steps = 0
    assert quantized(proven_folder, max_drop=ANY).passed  # an attempt, from calibration to AP


@pytest.mark.long
@pytest.mark.usefixtures("one_quantization")
def test_a_budget_spent_in_a_second_format_keeps_the_first(
    watch: Any, quantized: Quantize, proven_folder: Path, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = gate_module._write

    def last(*arguments: Any) -> None:
        write(*arguments)
        watch.minutes = 1e-9

    monkeypatch.setattr(gate_module, "_write", last)
    report = quantized(proven_folder, model=tiny_onnx, formats=("openvino", "onnx"), max_drop=LENIENT)
    first, second = report.outcomes
    assert first.written is not None
    assert first.written.is_file()
    assert (second.written, second.float_aps, second.attempts) == (None, (), ())
    assert "minutes are spent" in second.reason
    assert not report.passed
    json.dumps(report.to_dict())
    print_report(report)


@pytest.mark.parametrize("name", ["sub/model", "../model", "", ".hidden", "a\\b"])
def test_names_that_lead_elsewhere(name: str, quantized: Quantize, proven_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a file's name without folder"):
        quantized(proven_folder, name=name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"out": "file"}, OSError, "is a file, expected a folder"),
        ({"sensitivity": "file"}, OSError, "is a file, expected a folder"),
        ({"sensitivity": "new", "formats": ("openvino", "tflite")}, InputError, "takes no group of layers alone"),
        ({"folder": "nowhere"}, InputError, "nowhere: no such file or folder"),
    ],
)
def test_what_can_be_told_before_the_model_is_exported(
    options: dict[str, Any],
    error: type[Exception],
    words: str,
    quantized: Quantize,
    proven_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(quantize_module, "open_float", lambda *_: pytest.fail("work was begun"))
    options = {name: tmp_path / value if isinstance(value, str) else value for name, value in options.items()}
    with pytest.raises(error, match=words):
        quantized(**{"folder": proven_folder, **options})
    assert not list(tmp_path.rglob(".*"))  # the tries are removed


def test_a_folder_in_a_target_s_place_is_told_before_anything_is_measured(
    quantized: Quantize, proven_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out" / "tiny-int8.bin").mkdir(parents=True)
    monkeypatch.setattr(quantize_module, "find_data", lambda *_: pytest.fail("work was begun"))
    with pytest.raises(IsADirectoryError, match="a folder, expected a file to write"):
        quantized(proven_folder)


@pytest.mark.long
@pytest.mark.usefixtures("one_quantization")
def test_the_users_cache_keeps_no_candidates(
    quantized: Quantize, proven_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DANET_CACHE_DIR", str(tmp_path / "cache"))
    quantized(proven_folder, max_drop=LENIENT)
    assert not (tmp_path / "cache").exists()


@pytest.mark.long
def test_an_onnx_file_of_batch_one(quantized: Quantize, proven_folder: Path, tiny_onnx: Path, tmp_path: Path) -> None:
    for size in (1, 2):
        model = onnx.load(tiny_onnx)
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = size
        onnx.save(model, tmp_path / f"batch-{size}.onnx")
    report = quantized(proven_folder, model=tmp_path / "batch-1.onnx", formats=("onnx",), max_drop=LENIENT)
    assert report.passed
    with pytest.raises(InputError, match="takes batches of 2 alone"):
        quantized(proven_folder, model=tmp_path / "batch-2.onnx", formats=("onnx",))


def test_report_lists_every_crop(proven_run: Report) -> None:
    report = proven_run.to_dict()
    json.dumps(report)
    assert len(set(report["calibration"]["sha256"])) == 8
    assert report["calibration"]["sources"] == {"source 0": 4, "source 1": 4}
    assert [data["persons"] for data in report["validation"]] == [16]
    assert report["peak_memory_bytes"] > 1 << 20


def test_float_models_that_cannot_be_used(
    quantized: Quantize, proven_run: Report, proven_folder: Path, tiny_ir: Path, tiny_onnx: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="is quantized already"):
        quantized(proven_folder, model=proven_run.request.out / "tiny-int8.xml")
    with pytest.raises(InputError, match="onnx INT8 is made from a checkpoint"):
        quantized(proven_folder, model=tiny_ir, formats=("onnx",))
    with pytest.raises(ModelFileError, match="no embedded model named 'danet73'"):
        quantized(proven_folder, model=Path("danet73"))
    (tmp_path / "elsewhere").mkdir()
    onnx.save(onnx.load(tiny_onnx), tmp_path / "elsewhere" / "a.onnx", save_as_external_data=True, location="a.weights")
    with pytest.raises(InputError, match="keeps weights in another file"):
        quantized(proven_folder, model=tmp_path / "elsewhere" / "a.onnx", formats=("onnx",))
    bare = ov.Core().read_model(tiny_ir)
    ov.save_model(bare, tmp_path / "bare.xml")
    text = (tmp_path / "bare.xml").read_text()
    (tmp_path / "bare.xml").write_text(text.replace("danet.model_spec", "other"))
    with pytest.raises(ModelSpecError, match="carries no model spec"):
        quantized(proven_folder, model=tmp_path / "bare.xml")


@pytest.mark.needs("ai_edge_litert")
def test_half_precision_weights_are_refused_where_the_quantizer_does_not_take_them(
    quantized: Quantize, proven_folder: Path
) -> None:
    with pytest.raises(InputError, match="stores its weights in fp16, expected fp32 for tflite INT8"):
        quantized(proven_folder, model=PORTRAIT.with_name("danet72.tflite"), formats=("tflite",))


def test_a_model_that_finds_nobody_cannot_be_gated(quantized: Quantize, proven_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="that a drop of 1 cannot be told"):
        quantized(proven_folder, max_drop=1.0)


@pytest.mark.usefixtures("one_quantization")
def test_file_that_differs_from_the_measured_one_is_not_kept(
    quantized: Quantize, proven_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([np.zeros(3), np.ones(3)])
    monkeypatch.setattr(gate_module, "_answer", lambda *_: next(answers))
    with pytest.raises(WrittenFileError, match="differ from those of the measured file"):
        quantized(proven_folder, max_drop=ANY)
    assert models(tmp_path) == []


@pytest.mark.usefixtures("one_quantization")
def test_spec_that_does_not_come_back(
    quantized: Quantize, proven_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = gate_module._answer

    def expecting_another(path: Path, spec: ModelSpec, crops: Any, final: bool) -> Any:
        return answer(path, replace(spec, licence="another"), crops, final)

    monkeypatch.setattr(gate_module, "_answer", expecting_another)
    with pytest.raises(WrittenFileError, match="spec read back differs"):
        quantized(proven_folder, max_drop=ANY)
    assert models(tmp_path) == []


def test_workspace_holds_no_model(proven_run: Report) -> None:
    kept = {path.suffix for path in (proven_run.request.out / FOLDER).rglob("*") if path.is_file()}
    assert kept == {".json", ".npz"}


@pytest.mark.long
def test_a_checkpoint_that_is_replaced_meanwhile(
    quantized: Quantize, proven_folder: Path, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a training that goes on: what is measured of one would be kept for the other."""
    model = Path(shutil.copy(tiny_checkpoint, tmp_path / "last.safetensors"))

    def slowly(*arguments: Any) -> Any:
        done = export(*arguments)
        shutil.copy(tiny_checkpoint, tmp_path / "new")
        (tmp_path / "new").replace(model)
        return done

    monkeypatch.setattr(float_model_module, "export", slowly)
    with pytest.raises(ModelFileError, match=r"last\.safetensors was changed while it was read.*Quantize a copy"):
        quantized(proven_folder, model=model)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.long
def test_a_file_whose_input_has_another_name(
    quantized: Quantize, proven_folder: Path, tiny_ir: Path, tmp_path: Path
) -> None:
    model = ov.Core().read_model(tiny_ir)
    model.input(0).get_tensor().set_names({"pixels"})
    ov.save_model(model, tmp_path / "theirs.xml", compress_to_fp16=False)
    report = quantized(proven_folder, model=tmp_path / "theirs.xml", max_drop=0.9)
    assert report.passed


@pytest.mark.long
def test_nodes_without_names_have_their_roles(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """ONNX asks for no names; scopes are lists of them."""
    path = export(tiny_checkpoint, choose_targets(["onnx"], ["fp32"])[0], tmp_path).path
    named = onnx.load(path)
    nameless = copy.deepcopy(named)
    for node in nameless.graph.node[::2]:
        node.name = ""
    onnx.save(nameless, tmp_path / "nameless.onnx")
    graphs = [FORMATS["onnx"].read(one) for one in (path, tmp_path / "nameless.onnx")]
    names = [[node.name for node in graph.graph.node] for graph in graphs]
    assert all(names[1])
    assert len(set(names[1])) == len(names[1])
    roles = [[one.role for one in place(FORMATS["onnx"].operations(graph), 256)] for graph in graphs]
    assert roles[0] == roles[1]
    assert len(set(roles[0])) > 3
