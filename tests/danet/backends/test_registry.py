from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from danet.backends.base import BackendOptions
from danet.backends.registry import BACKENDS, SUFFIXES, load_model
from danet.detectors.network import open_network
from danet.errors import BackendError, MissingExtraError, ModelFileError

OPTIONS = BackendOptions()
NEEDS = {
    "onnxruntime": pytest.mark.needs("onnxruntime"),
    "tflite": pytest.mark.needs("ai_edge_litert"),
    "torch": pytest.mark.needs("torch"),
}
"""By backend; what is not here runs on the default install."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=NEEDS.get(name, ())) for name in BACKENDS])
def test_every_backend_can_be_imported_and_loads(name: str) -> None:
    assert callable(importlib.import_module(BACKENDS[name]).load)


def test_every_suffix_has_a_backend() -> None:
    assert set(SUFFIXES.values()) <= set(BACKENDS)
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES)


def test_formats_that_users_have() -> None:
    assert (SUFFIXES[".xml"], SUFFIXES[".onnx"], SUFFIXES[".pkl"]) == ("openvino", "onnxruntime", "torch")


@pytest.mark.parametrize("name", ["model.doc", "model", "model.onnx.bak", ".onnx"])
def test_an_unknown_suffix_lists_the_known_ones(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ModelFileError, match=r"suffix .*\.xml, \.onnx.*name a backend"):
        load_model(tmp_path / name, None, OPTIONS)


def test_an_unknown_backend_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"no backend named 'caffe'.*openvino, onnxruntime, torch"):
        load_model(tmp_path / "model.onnx", "caffe", OPTIONS)


@pytest.mark.parametrize("name", [f"model{suffix}" for suffix in SUFFIXES])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=f"{name}: no such file"):
        load_model(tmp_path / name, None, OPTIONS)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").mkdir()
    with pytest.raises(ModelFileError, match=r"model\.onnx: no such file"):
        load_model(tmp_path / "model.onnx", None, OPTIONS)


@pytest.mark.parametrize(
    "name",
    [
        "model.xml",
        "MODEL.XML",
        *(pytest.param(name, marks=NEEDS["onnxruntime"]) for name in ("model.onnx", "model.Onnx")),
    ],
)
@pytest.mark.parametrize("content", [b"", b"not a model", b"\0" * 1000, b"<net></net>"])
def test_damaged_files_are_model_file_errors(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelFileError, match=f"{name}: (OpenVINO|ONNX Runtime) cannot read it"):
        load_model(tmp_path / name, None, OPTIONS)


@pytest.mark.parametrize(
    ("name", "backend", "reader"),
    [("danet72.xml", "onnxruntime", "openvino"), ("a.onnx", "torch", "onnxruntime and openvino")],
)
def test_a_file_of_another_backend_is_not_called_damaged(name: str, backend: str, reader: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ModelFileError, match=rf"files are read by the {reader} backend, not by {backend}; leave"):
        load_model(tmp_path / name, backend, OPTIONS)


@pytest.mark.parametrize("part", ["backend", "detector"])
def test_a_board_without_openvino(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # importing it raises ModuleNotFoundError
    for module in ("danet.backends.openvino_backend", "danet.detectors.openvino_network", "danet.openvino_core"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    (tmp_path / "a.xml").write_bytes(b"x")
    with pytest.raises(MissingExtraError, match=r"needs openvino, which is not installed; run: pip install openvino$"):
        load_model(tmp_path / "a.xml", None, OPTIONS) if part == "backend" else open_network(
            tmp_path / "a.xml", None, 1
        )


@NEEDS["onnxruntime"]
def test_a_named_backend_goes_before_the_suffix(tmp_path: Path) -> None:
    (tmp_path / "model.doc").write_bytes(b"not a model")
    with pytest.raises(ModelFileError, match="ONNX Runtime"):
        load_model(tmp_path / "model.doc", "onnxruntime", OPTIONS)


@pytest.mark.parametrize("backend", [pytest.param(name, marks=NEEDS[name]) for name in ("onnxruntime", "torch")])
@pytest.mark.parametrize("options", [BackendOptions(device="GPU"), BackendOptions(precision="bf16")])
def test_options_that_a_backend_cannot_honour(backend: str, options: BackendOptions, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"x")
    with pytest.raises(BackendError, match=f"{backend}: .*expected '(CPU|fp32)'"):
        load_model(tmp_path / "model.bin", backend, options)


def test_a_missing_library_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    monkeypatch.delitem(sys.modules, BACKENDS["onnxruntime"], raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as Python records a failed import
    with pytest.raises(MissingExtraError, match=r"pip install 'danet-edge\[onnxruntime\]'"):
        load_model(tmp_path / "model.onnx", None, OPTIONS)
