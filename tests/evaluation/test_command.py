from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danet.errors import MissingExtraError
from danet_evaluation.command import COMMAND

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
    assert content["flip_test"] is True
    assert content["persons"] == 1
    assert content["figures"]["ap"] == 0
    assert "AP50" in output.err
    assert "PCK@0.2" in output.err


def test_json_to_a_file(write_folder: Any, annotate: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder([1], [annotate(1, 1, POINTS)])
    detections = tmp_path / "boxes.json"
    detections.write_text(json.dumps([{"image_id": 1, "category_id": 1, "bbox": [10, 20, 60, 80], "score": 0.5}]))
    target = tmp_path / "out" / "figures.json"
    assert _run("nobody", "--backend", "null", "--data", folder, "--detections", detections, "--json", target) == 0
    assert json.loads(target.read_text())["boxes"] == "boxes.json"
    assert capsys.readouterr().out == ""


def test_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("nobody", "--backend", "null", "--detections", tmp_path / "boxes.json") == 2
    assert "--data" in capsys.readouterr().err
    for arguments in (["--data", tmp_path, "--rendered", "3"], ["--limit", "0"], ["--rendered", "many"]):
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
