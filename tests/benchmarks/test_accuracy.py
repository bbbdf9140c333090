from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import openvino as ov
import pytest

from danet.errors import InputError, MissingExtraError
from danet_benchmarks.accuracy import AccuracyRun, DataError
from danet_benchmarks.evaluator import Candidate, Evaluator
from danet_benchmarks.ledger import Ledger
from danet_benchmarks.request import DataChoice
from danet_benchmarks.results import Report
from danet_benchmarks.trial import Trial
from danet_converters.to_openvino import save_ir
from danet_network.checkpoint import load_checkpoint

from .conftest import TINY, Watcher


def _ignore(_: int) -> None:
    pass


def test_beside_the_checkpoint(tiny_ir: Path, tiny_checkpoint: Path, coco_folder: Path) -> None:
    evaluator = Evaluator(DataChoice(coco_folder, limit=4, flip_test=True), 0)
    exported = Candidate(tiny_ir, "openvino", None, 1, tiny_checkpoint)
    persons = evaluator.persons_to_run(exported) // 2
    told: list[int] = []
    judged = evaluator.judge(told.append, exported)
    assert sum(told) == 2 * persons > 0  # the checkpoint ran as well
    accuracy = judged.accuracy
    assert (accuracy.dataset, accuracy.persons, accuracy.boxes) == (f"{coco_folder.name}/val", persons, "annotated")
    assert accuracy.flip_test
    assert accuracy.reference_ap == pytest.approx(accuracy.ap, abs=1e-6)
    assert accuracy.distance_px is not None
    assert 0 <= accuracy.distance_px < 0.01
    assert (accuracy.recorded_ap, accuracy.paper_ap, judged.without_reference) == (None, None, None)
    # the reference itself has run already
    reference = Candidate(tiny_checkpoint, "torch", None, 1, tiny_checkpoint)
    assert evaluator.persons_to_run(reference) == persons  # as far as is known before its file is read
    once = len(told)
    itself = evaluator.judge(told.append, reference).accuracy
    assert (itself.distance_px, itself.reference_ap) == (0.0, accuracy.reference_ap)
    assert told[once:] == [persons]  # at once: it ran as the reference
    assert evaluator.persons_to_run(reference) == 0


def test_the_reference_is_cropped_and_decoded_as_the_file(
    tiny_ir: Path, tiny_checkpoint: Path, coco_folder: Path, tmp_path: Path
) -> None:
    spec = load_checkpoint(tiny_checkpoint)[1].decoded_by("dark").padded_by(1.6)
    save_ir(ov.Core().read_model(tiny_ir), spec, tmp_path / "tiny.xml")
    evaluator = Evaluator(DataChoice(coco_folder, limit=4), 0)
    judged = evaluator.judge(_ignore, Candidate(tmp_path / "tiny.xml", "openvino", None, 1, tiny_checkpoint))
    plain = evaluator.judge(_ignore, Candidate(tiny_ir, "openvino", None, 1, tiny_checkpoint))
    for accuracy in (judged.accuracy, plain.accuracy):
        assert accuracy.distance_px is not None
        assert accuracy.distance_px < 0.01


def test_reference_that_cannot_run(tiny_ir: Path, tmp_path: Path, coco_folder: Path) -> None:
    candidate = Candidate(tiny_ir, "openvino", None, 1, tmp_path / "gone.safetensors")
    judged = Evaluator(DataChoice(coco_folder, limit=1), 0).judge(_ignore, candidate)
    assert judged.accuracy.distance_px is None
    assert judged.without_reference is not None
    assert "gone.safetensors" in judged.without_reference


def test_rendered_persons_and_detections(tmp_path: Path, coco_folder: Path) -> None:
    nobody = Candidate(Path("nobody"), "null", None, 1, None)
    accuracy = Evaluator(DataChoice(), 2).judge(_ignore, nobody).accuracy
    assert (accuracy.dataset, accuracy.ap, accuracy.reference_ap) == ("rendered/2", 0.0, None)
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps([{"image_id": 1, "category_id": 1, "bbox": [10, 20, 60, 80], "score": 0.5}]))
    evaluator = Evaluator(DataChoice(coco_folder, detections=boxes), 0)
    assert evaluator.persons_to_run(nobody) == 1
    assert evaluator.judge(_ignore, nobody).accuracy.boxes == "boxes.json"


def test_empty_data(tmp_path: Path) -> None:
    (tmp_path / "val.json").write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    with pytest.raises(InputError, match="no person with a box"):
        Evaluator(DataChoice(tmp_path), 0)


def test_without_pycocotools(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pycocotools", "pycocotools.coco", "pycocotools.cocoeval"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("danet_evaluation.evaluate", "danet_evaluation.keypoint_ap"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(MissingExtraError, match=r"measuring accuracy needs pycocotools.*danet-edge\[evaluate\]"):
        Evaluator(DataChoice(), 1)


def test_each_model_once_and_the_next_after_a_failure(
    null_trial: Callable[..., Trial], ledger: Ledger, saved: list[Report], watcher: Watcher, tmp_path: Path
) -> None:
    missing = null_trial("missing")
    missing = replace(missing, path=tmp_path / "missing.xml", case=replace(missing.case, backend="openvino"))
    trials = [missing, null_trial(threads=1), null_trial(threads=2), null_trial(batch=1)]
    ledger.enter(trials)
    with AccuracyRun(DataChoice(), TINY, ledger, watcher) as accuracy:
        accuracy.run(trials)
    rows = ledger.report(complete=True).rows
    assert rows[0].error == f"accuracy: {tmp_path / 'missing.xml'}: no such file"
    assert rows[0].accuracy is None
    assert rows[1].accuracy is not None
    assert rows[1].accuracy == rows[2].accuracy == rows[3].accuracy
    assert [name for name in watcher.stages if name.startswith("accuracy: nobody")] == [
        "accuracy: nobody openvino missing",
        "accuracy: nobody null none",
    ]
    assert watcher.steps == 2
    assert len(saved) == 2


def test_data_that_is_not_there(ledger: Ledger, watcher: Watcher, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no annotations of split 'val'"):
        AccuracyRun(DataChoice(tmp_path), TINY, ledger, watcher)
