"""A board without OpenVINO: the embedded model's TFLite file is taken by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.absent import without

from danet.backends.base import BackendOptions
from danet.backends.registry import BACKENDS, is_installed, load_model
from danet.embedded import embedded_model
from danet.errors import MissingExtraError


def run(tmp_path: Path, blocked: tuple[str, ...], *arguments: object) -> subprocess.CompletedProcess[str]:
    """A program of this installation, in a Python that lacks some packages."""
    site = tmp_path / "site"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(without(*blocked))
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )


@pytest.mark.needs("ai_edge_litert")
def test_estimator_and_command_take_the_tflite_file(portrait: Path, tmp_path: Path) -> None:
    program = """
import sys
import numpy as np
from danet import PoseEstimator
with PoseEstimator("danet72", threads=1) as estimator:
    print(len(estimator.infer(np.zeros((90, 80, 3), np.uint8), [[1, 2, 50, 80]])), "openvino" in sys.modules)
"""
    done = run(tmp_path, ("openvino",), "-c", program)
    assert (done.returncode, done.stdout) == (0, "1 False\n"), done.stderr
    told = run(tmp_path, ("openvino",), "-m", "danet", "info", "danet72", "--json", "-")
    assert told.returncode == 0, told.stderr
    assert Path(json.loads(told.stdout)["file"]).name == "danet72.tflite"
    poses = tmp_path / "poses.json"
    inferred = run(tmp_path, ("openvino",), "-m", "danet", "infer", "danet72", portrait, "--json", poses)
    assert inferred.returncode == 0, inferred.stderr
    assert len(json.loads(poses.read_text())["images"][0]["persons"]) == 1


def test_without_both_it_says_which_is_usual(tmp_path: Path) -> None:
    blocked = ("openvino", "ai_edge_litert", "tflite_runtime")
    done = run(tmp_path, blocked, "-m", "danet", "info", "danet72")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("needs openvino, which is not installed; run: pip install openvino")


def absent(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)


@pytest.mark.parametrize("library", ["ai_edge_litert", "tflite_runtime"])
def test_which_file_is_taken(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def suffix(backend: str | None) -> str:
        path = embedded_model("danet72", backend)
        assert path is not None
        return path.suffix

    absent(monkeypatch, "ai_edge_litert", "tflite_runtime")
    assert suffix(None) == ".xml"
    absent(monkeypatch, "openvino")
    assert suffix(None) == ".xml"
    monkeypatch.setattr("danet.errors.find_spec", lambda name: name if name == library else None)
    assert suffix(None) == ".tflite"
    assert [suffix(name) for name in ("openvino", "tflite", "null")] == [".xml", ".tflite", ".xml"]
    assert embedded_model("danet88") is None


def test_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_installed("null")
    assert is_installed("openvino")
    absent(monkeypatch, "openvino")
    assert not is_installed("openvino")


def test_another_backend_for_an_onnx_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    monkeypatch.delitem(sys.modules, BACKENDS["onnxruntime"], raising=False)
    absent(monkeypatch, "onnxruntime")
    hint = (
        r"model\.onnx in the onnxruntime backend \(or name backend='openvino'.*\) needs onnxruntime, .*onnxruntime\]'$"
    )
    with pytest.raises(MissingExtraError, match=hint) as caught:
        load_model(tmp_path / "model.onnx", None, BackendOptions())
    assert (caught.value.extra, caught.value.library) == ("onnxruntime", "onnxruntime")
    # nothing to add where that one was named, or the other is not there either
    with pytest.raises(MissingExtraError, match=r"^the onnxruntime backend needs"):
        load_model(tmp_path / "model.onnx", "onnxruntime", BackendOptions())
    absent(monkeypatch, "openvino")
    with pytest.raises(MissingExtraError, match=r"^the onnxruntime backend needs"):
        load_model(tmp_path / "model.onnx", None, BackendOptions())
