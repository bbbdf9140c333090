from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from danet.backends import null_backend
from danet.errors import InputError, MissingExtraError
from danet.keypoints import MPII_FLIP_PAIRS, MPII_KEYPOINTS, MPII_SKELETON
from danet.model_spec import Metric, ModelSpec
from danet_evaluation.command import COMMAND
from danet_evaluation.pck import GROUPS

from .conftest import FixedBackend

POINTS = np.column_stack((np.linspace(12, 68, 17), np.linspace(22, 98, 17)))


def _run(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    COMMAND.add_arguments(parser)
    return COMMAND.run(parser.parse_args([str(argument) for argument in arguments]))


def test_json_on_stdout_and_a_table_on_stderr(
    write_folder: Any, annotate: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder([1, 2], [annotate(1, 1, POINTS), annotate(2, 2, POINTS)], source=["lsp", "street"])
    status = _run("nobody", "--backend", "null", "--data", folder, "--flip-test", "--limit", "1", "--json", "-")
    output = capsys.readouterr()
    content = json.loads(output.out)
    assert status == 0
    assert content["model"] == "nobody"
    assert content["protocol"]["flip_test"] is True
    assert content["persons"] == 1
    assert content["figures"]["ap"] == 0
    assert content["recorded_ap"] is None
    assert content["published"] is None
    assert "AP50" in output.err
    assert "PCK@0.2" in output.err
    assert "Shoulder" not in output.err


@pytest.mark.parametrize("decoder", ["offset", "dark"])
@pytest.mark.parametrize("padding", [1.25, 1.4])
def test_a_decoder_and_a_padding_of_one_s_own(
    write_folder: Any, annotate: Any, decoder: str, padding: float, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder([1], [annotate(1, 1, POINTS)])
    options = ("--decoder", decoder, "--box-padding", padding)
    assert _run("nobody", "--backend", "null", "--data", folder, *options, "--json", "-") == 0
    output = capsys.readouterr()
    content = json.loads(output.out)
    assert (content["decoder"], content["box_padding"]) == (decoder, padding)
    assert f"decoder {decoder}, padding {padding}" in output.err


@pytest.mark.parametrize("padding", ["0", "-1", "nan", "wide", "11"])
def test_a_padding_that_is_none_is_wrong_use(padding: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        _run("nobody", "--backend", "null", f"--box-padding={padding}")
    assert f"'{padding}', expected a number in 0.1..10" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("chosen", "recorded"),
    [
        ((), 0.25),
        (("--decoder", "dark"), 0.25),
        (("--decoder", "offset"), 0.5),
        (("--box-padding", 1.25), 0.25),
        (("--box-padding", 1.1), 0.75),
        (("--box-padding", 1.2), None),
    ],
)
def test_recorded_is_what_the_same_decoder_and_padding_had(
    write_folder: Any,
    annotate: Any,
    chosen: tuple[Any, ...],
    recorded: float | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    metrics = (
        Metric("AP", 0.25, "set val", "annotated boxes"),
        Metric("AP", 0.5, "set val", "annotated boxes, decoder offset"),
        Metric("AP", 0.75, "set val", "annotated boxes, box padding 1.1"),
    )
    spec = ModelSpec(name="nobody", metrics=metrics).decoded_by("dark")
    monkeypatch.setattr(null_backend, "ModelSpec", lambda **_: spec)
    folder = write_folder([1], [annotate(1, 1, POINTS)])
    assert _run("nobody", "--backend", "null", "--data", folder, *chosen, "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["recorded_ap"] == recorded


def test_what_danet_tune_kept_is_not_used(
    write_folder: Any, annotate: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find(*_: Any) -> None:
        raise AssertionError("looked for")

    monkeypatch.setattr("danet.estimator._find_tuning", find)
    folder = write_folder([1], [annotate(1, 1, POINTS)])
    assert _run("nobody", "--backend", "null", "--data", folder) == 0
    assert "AP50" in capsys.readouterr().err


def test_json_to_a_file(write_folder: Any, annotate: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder([1], [annotate(1, 1, POINTS)])
    target = tmp_path / "out" / "figures.json"
    assert _run("nobody", "--backend", "null", "--data", folder, "--json", target) == 0
    assert json.loads(target.read_text())["protocol"]["boxes"] == "ground truth"
    assert list(target.parent.iterdir()) == [target]
    assert capsys.readouterr().out == ""


def test_a_detector_s_boxes_on_coco_s_layout(
    write_folder: Any, annotate: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder([1], [annotate(1, 1, POINTS)], "annotations/person_keypoints_val2017.json", "val2017")
    boxes = tmp_path / "boxes.json"
    items = [{"image_id": 1, "category_id": 1, "bbox": [10, 20, 60, 80], "score": score} for score in (0.5, 0.1)]
    boxes.write_text(json.dumps(items))
    status = _run(
        "nobody", "--backend", "null", "--data", folder, "--split", "val2017", "--boxes-file", boxes,
        "--min-box-score", "0.2", "--flip-test", "--json", "-",
    )  # fmt: skip
    output = capsys.readouterr()
    content = json.loads(output.out)
    assert status == 0
    assert content["data"] == "set/person_keypoints_val2017"
    assert content["protocol"] == {"boxes": "boxes.json", "min_box_score": 0.2, "flip_test": True}
    assert content["pck"] is None
    assert "boxes: boxes.json of 0.2 and more, OKS NMS; flip test" in output.err


def test_joints_and_a_sheet(
    write_folder: Any, annotate: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder([1, 2], [annotate(1, 1, POINTS), annotate(2, 2, POINTS)], source=["lsp", "street"])
    sheet = tmp_path / "out" / "sheet.jpg"
    arguments = ("--per-joint", "--sheet", sheet, "--sheet-persons", "1", "--no-sheet-truth")
    assert _run("nobody", "--backend", "null", "--data", folder, *arguments) == 0
    picture = cv2.imread(str(sheet))
    assert picture is not None
    assert picture.shape[0] > 250
    assert list(sheet.parent.iterdir()) == [sheet]
    errors = capsys.readouterr().err
    assert "Shoulder" in errors
    assert "of the torso" in errors


def test_by_visibility(write_folder: Any, annotate: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "figures.json"
    folder = write_folder([1], [annotate(1, 1, POINTS)])
    assert _run("nobody", "--backend", "null", "--data", folder, "--by-visibility", "--json", target) == 0
    visibility = json.loads(target.read_text())["visibility"]
    assert (visibility["labelled"], visibility["hidden"]) == (17, 0)
    assert [(group["least"], group["persons"]) for group in visibility["groups"]] == [(13, 1)]
    assert "13 to 17 in sight" in capsys.readouterr().err


def test_a_sheet_that_cannot_be_written_is_refused_first(write_folder: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--sheet .*sheet\.txt: OpenCV cannot write"):
        _run("nobody", "--backend", "null", "--data", tmp_path / "absent", "--sheet", tmp_path / "sheet.txt")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_not_utf8(write_folder: Any, annotate: Any, danet_process: Any, tmp_path: Path) -> None:
    """In a process of its own, which OpenCV 4.14 would end by SIGSEGV."""
    folder = write_folder([1], [annotate(1, 1, POINTS)]).rename(tmp_path / os.fsdecode(b"caf\xe9"))
    arguments = ("evaluate", "nobody", "--backend", "null", "--data", folder, "--sheet")
    refused = danet_process(*arguments, tmp_path / os.fsdecode(b"caf\xe9.png")).error()
    assert r"caf\udce9.png: the name is not UTF-8" in refused
    done = danet_process(*arguments, tmp_path / "sheet.png")  # the folder's name is in its title
    assert done.status == 0, done.err
    assert (tmp_path / "sheet.png").is_file()


def test_mpii(
    write_folder: Any, annotate: Any, tmp_path: Path, open_fixed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ModelSpec(name="mpii", keypoints=MPII_KEYPOINTS, flip_pairs=MPII_FLIP_PAIRS, skeleton=MPII_SKELETON)
    monkeypatch.setattr(
        "danet_evaluation.command.open_estimator", lambda options, **_: open_fixed(FixedBackend(keypoints=16), spec)
    )
    categories = [{"id": 1, "keypoints": MPII_KEYPOINTS}]
    annotation = annotate(1, 1, POINTS[:16], head_size=20)
    folder = write_folder([1], [annotation], categories=categories)
    target, sheet = tmp_path / "figures.json", tmp_path / "sheet.png"
    assert _run("mpii", "--data", folder, "--json", target, "--sheet", sheet) == 0
    assert set(json.loads(target.read_text())["pckh"]["groups"]) == set(GROUPS)
    assert sheet.is_file()
    boxes = tmp_path / "boxes.json"
    boxes.write_text("[]")
    with pytest.raises(InputError, match="leave --boxes-file out"):
        _run("mpii", "--data", folder, "--boxes-file", boxes)
    with pytest.raises(InputError, match="--by-visibility is of AP"):
        _run("mpii", "--data", folder, "--by-visibility")


def test_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("nobody", "--backend", "null", "--boxes-file", tmp_path / "boxes.json") == 2
    assert "--data" in capsys.readouterr().err
    assert _run("nobody", "--backend", "null", "--data", tmp_path, "--min-box-score", "0.5") == 2
    assert "--boxes-file" in capsys.readouterr().err
    for ignored, without in (
        (["--split", "val"], "--split goes with the --data"),
        (["--sheet-persons", "3"], "--sheet-persons goes with --sheet"),
        (["--no-sheet-truth"], "--sheet-truth goes with --sheet"),
        (["--data", tmp_path, "--boxes-file", "boxes.json", "--per-joint"], "--per-joint is measured with annotated"),
        (["--data", tmp_path, "--boxes-file", "b.json", "--by-visibility"], "--by-visibility is measured with annot"),
    ):
        assert _run("nobody", "--backend", "null", *ignored) == 2
        assert without in capsys.readouterr().err
    for arguments in (
        ["--data", tmp_path, "--rendered", "3"],
        ["--limit", "0"],
        ["--rendered", "many"],
        ["--min-box-score", "nan"],
        ["--sheet-persons", "0"],
        ["--decoder", "sharp"],
    ):
        with pytest.raises(SystemExit) as stop:
            _run("nobody", *arguments)
        assert stop.value.code == 2


def test_missing_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("pycocotools", "pycocotools.coco", "pycocotools.cocoeval"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("danet_evaluation.evaluate", "danet_evaluation.keypoint_ap"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(MissingExtraError, match=r"danet-edge\[evaluate\]"):
        _run("nobody", "--backend", "null", "--data", tmp_path)


def test_loads_without_the_extra() -> None:
    heavy = ("pycocotools", "openvino", "torch")
    code = f"import sys, danet_evaluation.command; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_rendered_without_data(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("danet.scenes.scene")
    assert _run("nobody", "--backend", "null", "--rendered", "3", "--json", "-") == 0
    content = json.loads(capsys.readouterr().out)
    assert content["persons"] == 3
    assert content["data"] == "rendered/3"
