from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.faults.cases import GOLDEN

NEEDS = {"openvino": "openvino", "onnxruntime": "onnxruntime", "tflite": "ai_edge_litert", "torch": "torch"}
FILES = {"openvino": "tiny_ir", "onnxruntime": "tiny_onnx", "tflite": "tiny_tflite", "torch": "tiny_checkpoint"}


@pytest.fixture(scope="session")
def tiny_tflite() -> Path:
    """A file of an earlier day: here it is compared with itself, and exporting one takes half a minute."""
    return GOLDEN / "tiny.tflite"


@pytest.fixture(params=["null", *NEEDS])
def model(request: pytest.FixtureRequest) -> tuple[str | Path, str]:
    """A model for each backend that is installed, and the backend's name."""
    backend = str(request.param)
    if backend == "null":
        return "null", backend
    if importlib.util.find_spec(NEEDS[backend]) is None:
        pytest.skip(f"{NEEDS[backend]} is not installed")
    return request.getfixturevalue(FILES[backend]), backend
