from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

from danet.frame import read_picture

Danet = Callable[..., Any]


@pytest.mark.long  # CI runs the program itself as well
def test_program_with_the_embedded_model(danet_process: Danet, portrait: Path, tmp_path: Path) -> None:
    outcome = danet_process("demo", cwd=tmp_path)
    assert (outcome.status, outcome.out) == (0, ""), outcome.err
    folder = tmp_path / "danet-demo"
    assert {path.name for path in folder.iterdir()} == {"portrait.png", "scene.png", "poses.json"}
    drawn, original = cv2.imread(str(folder / "portrait.png")), read_picture(portrait)
    assert drawn.shape == original.shape
    assert 0.005 < (drawn != original).any(2).mean() < 0.5
    assert cv2.imread(str(folder / "scene.png")).shape == (720, 1280, 3)
    content = json.loads((folder / "poses.json").read_text())
    assert content["model"] == "danet72"
    (person,) = content["portrait"]["persons"]
    assert person["score"] > 0.2  # a trained network knows a person
    assert len(content["scene"]["persons"]) >= 5


def test_other_model_and_folder(danet: Danet, tiny_ir: Path, tmp_path: Path) -> None:
    outcome = danet("demo", "--model", tiny_ir, "--out", tmp_path / "here", "--threads", "1")
    assert (outcome.status, outcome.out) == (0, "")
    assert json.loads((tmp_path / "here" / "poses.json").read_text())["model"] == "tiny"
    rate = re.search(r"(\d+) persons per second end to end \((\d+) persons .*fp32, 1 threads", outcome.err)
    assert rate is not None
    assert int(rate[1]) > 0
    assert int(rate[2]) == len(json.loads((tmp_path / "here" / "poses.json").read_text())["scene"]["persons"])


@pytest.mark.parametrize("place", ["file", "file/deeper"])
def test_folder_that_cannot_be_made(danet: Danet, tiny_ir: Path, place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    assert "file" in danet("demo", "--model", tiny_ir, "--out", tmp_path / place).error()
    assert (tmp_path / "file").read_text() == "precious"
