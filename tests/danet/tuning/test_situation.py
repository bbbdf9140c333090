from __future__ import annotations

import hashlib
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from danet.cpu import read_cpu
from danet.model_files import model_sha256
from danet.tuning.situation import Situation, backend_of, read_situation

HERE = Situation("A CPU", 4, ("AVX2",), "1.0", "openvino", "2026.1")


def test_of_this_process() -> None:
    cpu = read_cpu()
    assert read_situation("openvino") == Situation(
        cpu.name, cpu.cores, cpu.features, version("danet-edge"), "openvino", version("openvino")
    )
    assert read_situation("mine").backend_version == "unknown"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cpu": "Another"}, "measured with cpu A CPU, here it is Another"),
        ({"cores": 2}, "measured with cores 4, here it is 2"),
        ({"features": ()}, "measured with features AVX2, here it is none"),
        ({"danet": "1.1"}, "measured with danet 1.0, here it is 1.1"),
        ({"backend": "onnxruntime"}, "measured with backend openvino, here it is onnxruntime"),
        ({"backend_version": "2026.2"}, "measured with backend version 2026.1, here it is 2026.2"),
    ],
)
def test_each_difference_is_told(changes: dict[str, Any], words: str) -> None:
    assert HERE.difference(replace(HERE, **changes)) == words


def test_no_difference() -> None:
    assert HERE.difference(replace(HERE)) is None


@pytest.mark.parametrize(
    ("name", "backend", "expected"),
    [
        ("a.xml", None, "openvino"),
        ("a.ONNX", None, "onnxruntime"),
        ("a.onnx", "openvino", "openvino"),
        ("a", None, None),
    ],
)
def test_backend_of_a_file(name: str, backend: str | None, expected: str | None) -> None:
    assert backend_of(Path(name), backend) == expected


def test_the_hash_covers_the_weights_of_an_ir(tmp_path: Path) -> None:
    model = tmp_path / "m.xml"
    model.write_bytes(b"graph")
    model.with_suffix(".bin").write_bytes(b"weights")
    assert model_sha256(model) == hashlib.sha256(b"graphweights").hexdigest()
    (tmp_path / "m.onnx").write_bytes(b"one file")
    assert model_sha256(tmp_path / "m.onnx") == hashlib.sha256(b"one file").hexdigest()
