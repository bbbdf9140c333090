"""The embedded model through the gate; minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from danet_calibration.data import DataChoice
from danet_calibration.quantize import quantize
from danet_calibration.request import Request

pytestmark = pytest.mark.slow
PEOPLE17 = Path(__file__).parents[2].parent / "shared" / "data" / "people17"
CHECKPOINT = Path(__file__).parents[2] / "training" / "checkpoints" / "danet72.safetensors"
ASKED_BYTES = 4_500_000


@pytest.fixture(scope="module")
def people17() -> Path:
    if not (PEOPLE17 / "val.json").is_file():
        pytest.skip(f"the data set people17 is not at {PEOPLE17}")
    return PEOPLE17


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix in (".xml", ".bin", ".onnx")]


@pytest.mark.parametrize(("format", "max_drop"), [("openvino", 0.005), ("onnx", 0.005), ("tflite", 0.01)])
def test_passes_within_the_size_asked_for(
    format: str, max_drop: float, people17: Path, watch: Any, tmp_path: Path
) -> None:
    model = "danet72"
    if format == "tflite":
        pytest.importorskip("litert_torch")
        pytest.importorskip("ai_edge_quantizer")
    if format != "openvino":
        if not CHECKPOINT.is_file():
            pytest.skip(f"no checkpoint at {CHECKPOINT}")
        model = str(CHECKPOINT)
    request = Request(model, tmp_path, (format,), DataChoice(people17, samples=100, limit=300), max_drop)
    report = quantize(request, watch, lambda _: lambda _: None)
    assert report.passed, report.outcomes
    if format != "onnx":  # QDQ pairs are spelt out in an .onnx
        assert sum(path.stat().st_size for path in tmp_path.glob("danet72-int8.*")) <= ASKED_BYTES


def test_constant_pictures_are_refused(watch: Any, tmp_path: Path) -> None:
    folder = tmp_path / "grey"
    folder.mkdir()
    for number in range(20):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((256, 192, 3), 128, np.uint8))
    request = Request("danet72", tmp_path / "out", data=DataChoice(folder, samples=20, rendered=100))
    report = quantize(request, watch, lambda _: lambda _: None)
    assert not report.passed
    assert files(tmp_path / "out") == []


def test_rendered_persons_alone_calibrate_and_prove_it(watch: Any, tmp_path: Path) -> None:
    # 100 persons do not tell a drop of 0.005 from none
    request = Request("danet72", tmp_path, data=DataChoice(samples=150, rendered=500))
    report = quantize(request, watch, lambda _: lambda _: None)
    assert report.passed, report.outcomes
