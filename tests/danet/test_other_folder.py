"""A model that was opened by a relative name is still found when the program has changed its folder."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danet.backends.base import BackendOptions, SideBySide
from danet.backends.registry import load_model
from danet.errors import ModelFileError
from danet.estimator import PoseEstimator
from danet.tuning.settings import Settings

GOLDEN = Path(__file__).parents[1] / "compatibility" / "golden" / "version-1"
FRAME = np.zeros((90, 80, 3), np.uint8)
BOXES = [[1, 2, 50, 80], [3, 4, 60, 70], [5, 6, 40, 60], [7, 8, 70, 80]]


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program is in a folder with model files."""
    for path in GOLDEN.glob("tiny.*"):
        shutil.copy(path, tmp_path)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "tiny.xml",
        pytest.param("tiny.onnx", marks=pytest.mark.needs("onnxruntime")),
        pytest.param("tiny.tflite", marks=pytest.mark.needs("ai_edge_litert")),
    ],
)
def test_persons_are_split_into_shares(name: str, names: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with PoseEstimator(name, settings=Settings(threads=2, shares=2)) as estimator:
        opened = estimator._still_open()
        monkeypatch.chdir("elsewhere")
        assert len(estimator.infer(FRAME, BOXES)) == 4
        assert opened.shares.count == 1 or opened.shares.opened_model() is not None


@pytest.fixture
def linked(names: Path) -> SideBySide:
    """A backend of an ONNX file that was opened by a link."""
    pytest.importorskip("onnxruntime")
    Path("link.onnx").symlink_to("tiny.onnx")
    backend = load_model(Path("link.onnx"), None, BackendOptions(threads=2)).backend
    assert isinstance(backend, SideBySide)
    return backend


def run_one(backend: Any) -> tuple[int, ...]:
    shape: tuple[int, ...] = backend.run(np.zeros((1, 128, 96, 3), np.uint8)).shape
    return shape


def test_a_link_is_followed_when_it_is_needed(linked: SideBySide, names: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("elsewhere")
    (names / "tiny.onnx").rename(names / "version-1.onnx")
    (names / "link.onnx").unlink()
    (names / "link.onnx").symlink_to("version-1.onnx")
    assert run_one(linked.side_by_side(2))[0] == 1
    shutil.copy(GOLDEN / "tiny.onnx", names / "version-2.onnx")
    (names / "link.onnx").unlink()
    (names / "link.onnx").symlink_to("version-2.onnx")
    with pytest.raises(ModelFileError, match="replaced since it was opened"):
        linked.side_by_side(2)


def test_another_file_of_that_name_is_not_taken(
    linked: SideBySide, names: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("elsewhere")
    Path("link.onnx").write_bytes(b"not a model")
    assert run_one(linked.side_by_side(2))[0] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_folder_that_is_not_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime takes no such name, and need not be given one where the program is still there."""
    pytest.importorskip("onnxruntime")
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    shutil.copy(GOLDEN / "tiny.onnx", folder)
    monkeypatch.chdir(folder)
    backend: Any = load_model(Path("tiny.onnx"), None, BackendOptions(threads=2)).backend
    assert run_one(backend.side_by_side(2))[0] == 1
