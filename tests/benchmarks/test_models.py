from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from danet.embedded import embedded_model
from danet.errors import InputError, MissingExtraError
from danet.model_spec import ModelSpec
from danet_benchmarks.cases import distinct, trials_of
from danet_benchmarks.file_facts import FileFacts
from danet_benchmarks.models import (
    Model,
    checkpoint_of,
    checkpoints_at_hand,
    embedded_default,
    foreign_model,
    given_model,
    opened_by,
    paper_figures,
    rival_model,
)
from danet_benchmarks.preparation import ModelFiles, Preparation, _code_version
from danet_benchmarks.request import Grid
from danet_benchmarks.results import Case
from danet_benchmarks.trial import PaperFigures, Trial
from danet_benchmarks.worker import WorkerError

GRID = Grid(None, None, (8,), (2,))
SPEC = ModelSpec(name="tiny")


@pytest.fixture(scope="module")
def preparation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Preparation]:
    with Preparation(tmp_path_factory.mktemp("exported")) as one:
        yield one


def _known(path: Path, preparation: Preparation, checkpoint: Path | None = None) -> Model:
    return replace(given_model(str(path)), facts=preparation.facts(path), checkpoint=checkpoint)


def test_embedded_default() -> None:
    model = embedded_default()
    assert (model.name, model.kind) == ("danet72", "danet")
    assert model.backends == ("openvino", "onnxruntime", "tflite", "torch")
    assert model.hints in (("fp32",), ("fp32", "bf16"))
    assert given_model("danet72").path == model.path
    assert given_model("danet72").backends == ("openvino",)
    assert given_model("x.onnx").backends == ("onnxruntime",)


def test_embedded_tflite_is_not_exported(preparation: Preparation) -> None:
    assert embedded_default().file_for("tflite", preparation) == embedded_model("danet72", "tflite")


def test_what_backends_open() -> None:
    assert opened_by("openvino") == (".onnx", ".xml")
    assert opened_by("onnxruntime") == (".onnx",)
    assert ".safetensors" in opened_by("torch")


def test_every_combination_is_a_trial(tiny_ir: Path, preparation: Preparation) -> None:
    grid = Grid(("openvino", "null"), ("fp32", "bf16"), (1, 8), (1, 2), (1, 3))
    trials = list(trials_of(_known(tiny_ir, preparation), grid, preparation))
    assert len(set(trials)) == len(trials) == 2 * 2 * 2 * 2 * 2
    assert [trial.case.label for trial in trials[:3]] == [
        "tiny openvino FP32 b1 t1",
        "tiny openvino FP32 b1 t1 s3",
        "tiny openvino FP32 b1 t2",
    ]
    bf16 = trials[8]
    assert (bf16.case.precision, bf16.hint, bf16.path) == ("FP32+BF16", "bf16", tiny_ir)
    row = bf16.row()
    assert row.file_mib == pytest.approx(
        sum(tiny_ir.with_suffix(end).stat().st_size for end in (".xml", ".bin")) / 2**20
    )
    assert row.gmacs is not None
    assert trials[-1].case.precision == "none+BF16"


def test_files_of_one_name_are_told_apart() -> None:
    one, other, third = (
        Trial(Case("m", "danet", path.name, "openvino", "FP32", 8, 2), path)
        for path in map(Path, ("old/m.xml", "new/m.xml", "m2.xml"))
    )
    told = distinct((one, other, one, third))
    assert [(trial.case.name, trial.case.file) for trial in told] == [
        ("m (old)", "old/m.xml"),
        ("m (new)", "new/m.xml"),
        ("m", "m2.xml"),
    ]
    assert told[0].path == one.path


def test_files_of_one_name_in_folders_of_one_name() -> None:
    paths = [Path(f"{run}/export/m.xml") for run in ("v1", "v2")] + [Path("v3/m.xml")]
    told = distinct([Trial(Case("m", "danet", "m.xml", "openvino", "FP32", 8, 2), path) for path in paths])
    assert [(trial.case.name, trial.case.file) for trial in told] == [
        ("m (v1/export)", "v1/export/m.xml"),
        ("m (v2/export)", "v2/export/m.xml"),
        ("m (v3)", "v3/m.xml"),
    ]
    # the same names where one of them cannot be read any more, so that a baseline fits
    unread = [
        Trial(Case("m", "danet", "m.xml", "openvino", "?" if n == 1 else "FP32", 8, 2), p) for n, p in enumerate(paths)
    ]
    assert [trial.case.file for trial in distinct(unread)] == [trial.case.file for trial in told]


def test_files_of_one_model_are_told_apart() -> None:
    """By their own names, where rows and plots would show the same."""
    files = ["a-int8.xml", "b-int8.xml", "fp32.xml"]
    trials = [
        Trial(Case("m", "danet", file, "openvino", precision, 8, 2), Path(file))
        for file, precision in zip(files, ("INT8", "INT8", "FP32"), strict=True)
    ]
    told = distinct(trials)
    assert [trial.case.name for trial in told] == ["m (a-int8.xml)", "m (b-int8.xml)", "m"]
    assert [trial.case.file for trial in told] == files


def test_only_openvino_gets_the_default_hints(tiny_onnx: Path, preparation: Preparation) -> None:
    model = replace(_known(tiny_onnx, preparation), backends=("onnxruntime", "openvino"), hints=("fp32", "bf16"))
    labels = [trial.case.label for trial in trials_of(model, GRID, preparation)]
    assert labels == [f"tiny {one} b8 t2" for one in ("onnxruntime FP32", "openvino FP32", "openvino FP32+BF16")]


def test_checkpoint_in_every_backend(
    tiny_checkpoint: Path, tiny_ir: Path, preparation: Preparation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backends that open the file get it, torch its checkpoint; the others get what is exported from that."""
    asked: list[tuple[Path, str, ModelSpec]] = []
    made = tiny_ir.parent / "tiny.onnx"
    monkeypatch.setattr(preparation, "export", lambda *question: asked.append(question) or made)
    model = _known(tiny_ir, preparation, tiny_checkpoint)
    files = [model.file_for(backend, preparation) for backend in ("openvino", "torch", "onnxruntime")]
    assert files == [tiny_ir, tiny_checkpoint, made]
    assert model.facts is not None
    assert asked == [(tiny_checkpoint, "onnxruntime", model.facts.spec)]


@pytest.mark.long
def test_checkpoint_is_found_by_its_sha(tiny_checkpoint: Path, tiny_ir: Path, preparation: Preparation) -> None:
    facts = preparation.facts(tiny_ir)
    other = tiny_ir.with_suffix(".bin")
    assert checkpoint_of(tiny_ir, facts, (other, tiny_checkpoint)) == tiny_checkpoint
    assert checkpoint_of(tiny_ir, facts, (other,)) is None
    assert checkpoint_of(tiny_checkpoint, preparation.facts(tiny_checkpoint), ()) == tiny_checkpoint
    nameless = replace(facts, spec=replace(facts.spec, source_sha256=None))
    assert checkpoint_of(tiny_ir, nameless, (tiny_checkpoint,)) is None
    at_hand = checkpoints_at_hand((tiny_checkpoint,))
    assert at_hand[0] == tiny_checkpoint
    assert "danet72.safetensors" in {path.name for path in at_hand}


def test_no_file_for_a_backend(tiny_ir: Path, preparation: Preparation) -> None:
    (trial,) = trials_of(_known(tiny_ir, preparation), replace(GRID, backends=("onnxruntime",)), preparation)
    assert trial.case.label == "tiny onnxruntime ? b8 t2"
    assert trial.error is not None
    assert trial.error.startswith("onnxruntime opens .onnx, not tiny.xml")
    assert "--checkpoint" in trial.error
    assert trial.row().error == trial.error
    with pytest.raises(InputError, match="no embedded model named 'danet7'; there is danet72"):
        given_model("danet7").file_for("openvino", preparation)
    with pytest.raises(InputError, match="rivals are exported for openvino, onnxruntime, tflite, not for torch"):
        rival_model("hrnet-w32").file_for("torch", preparation)


@pytest.mark.parametrize("name", ["missing.xml", "broken.xml", "missing.safetensors"])
def test_unreadable_file_is_a_row(name: str, preparation: Preparation, tmp_path: Path) -> None:
    (tmp_path / "broken.xml").write_text("<net")
    (trial,) = trials_of(given_model(str(tmp_path / name)), GRID, preparation)
    assert trial.case.name == Path(name).stem
    assert trial.error is not None
    assert name in trial.error
    assert "\n" not in trial.error


def test_file_without_spec(preparation: Preparation, tmp_path: Path, tiny_ir: Path) -> None:
    text = tiny_ir.read_text().replace("model_spec", "no_spec")
    (tmp_path / "bare.xml").write_text(text)
    shutil.copy(tiny_ir.with_suffix(".bin"), tmp_path / "bare.bin")
    with pytest.raises(WorkerError, match=r"bare\.xml: carries no model spec; give it as --foreign"):
        preparation.facts(tmp_path / "bare.xml")


def test_files_that_are_made_first(preparation: Preparation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "export_rival", lambda name, backend: Path(f"{name}.{backend}"))
    monkeypatch.setattr(preparation, "wrap_foreign", lambda path: path.with_suffix(".wrapped"))
    assert rival_model("hrnet-w32").file_for("onnxruntime", preparation) == Path("hrnet-w32.onnxruntime")
    foreign = foreign_model(Path("theirs.onnx"))
    assert foreign.file_for("openvino", preparation) == Path("theirs.wrapped")
    with pytest.raises(InputError, match=r"theirs\.onnx: foreign files are run by openvino, not by onnxruntime"):
        foreign.file_for("onnxruntime", preparation)


def test_unknown_rival(preparation: Preparation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no rival named 'resnet-1'; there are hourglass-8"):
        ModelFiles().export_rival("resnet-1", "openvino", tmp_path)
    assert "hrnet-w32" in ModelFiles().rival_names()

    def refuse(name: str, backend: str) -> Path:
        raise WorkerError("no such rival")

    monkeypatch.setattr(preparation, "export_rival", refuse)
    (trial,) = trials_of(rival_model("resnet-1"), GRID, preparation)
    assert (trial.case.name, trial.case.kind, trial.error) == ("resnet-1", "rival", "no such rival")


def _paper_ap(name: str, **changes: Any) -> float | None:
    return paper_figures(FileFacts(replace(SPEC, name=name, **changes), 1.0)).coco_ap


def test_paper_figures() -> None:
    for name in ("danet72", "danet72-int8"):
        assert paper_figures(FileFacts(replace(SPEC, name=name), 1.0)) == PaperFigures(58.0, 0.710)
    assert _paper_ap("hrnet-w32", preset="rival") == 0.744
    assert _paper_ap("simplebaseline-r50", preset="rival") == 0.704
    assert _paper_ap("hourglass-8", preset="rival") == 0.669


def test_the_papers_figures_are_of_its_networks_and_crops() -> None:
    assert [_paper_ap(name) for name in ("tiny", "danet720", "hrnet-w320")] == [None] * 3
    assert _paper_ap("danet72", input_size=(128, 96)) is None
    assert [_paper_ap("danet72", preset=preset) for preset in ("zoo", "foreign")] == [None] * 2
    assert _paper_ap("hrnet-w32-384x288", preset="rival", input_size=(384, 288)) is None
    assert paper_figures(None) == PaperFigures()


def test_export_is_kept_for_the_next_run(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from danet_converters import export as exporting

    made: list[Path] = []
    asked: list[tuple[str, float]] = []

    def export(
        checkpoint: Path, target: exporting.Target, folder: Path, name: None, decoder: str, padding: float
    ) -> exporting.Exported:
        asked.append((decoder, padding))
        folder.mkdir(parents=True)
        made.append(folder / f"tiny{target.suffixes[0]}")
        made[-1].touch()
        return exporting.Exported(made[-1], None)  # type: ignore[arg-type]

    monkeypatch.setattr(exporting, "export", export)
    specs = [SPEC, SPEC, SPEC.decoded_by("dark"), SPEC.padded_by(1.5)]
    files = [ModelFiles().export(tiny_checkpoint, "onnxruntime", spec, tmp_path) for spec in specs]
    assert files == [made[0], *made]
    assert asked == [("offset", 1.25), ("dark", 1.25), ("offset", 1.5)]


def test_rivals_are_made_anew_when_the_network_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    load = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", lambda name: hashed.append(name) or load(name))
    _code_version("danet_benchmarks.rivals")
    assert hashed == ["danet_benchmarks.rivals", "danet_network", "danet_converters"]


def test_export_without_torch(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:

    monkeypatch.delitem(sys.modules, "danet_converters.export", raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    for name in [name for name in sys.modules if name.startswith("danet_converters.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtraError, match=r"exporting tiny\.safetensors needs onnx.*danet-edge\[convert\]"):
        ModelFiles().export(tiny_checkpoint, "onnxruntime", SPEC, tmp_path)
