from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from danet.errors import ModelFileError
from danet.estimator import PoseEstimator
from danet.ir_file import check_seal, seal

GOLDEN = Path(__file__).parents[1] / "compatibility" / "golden" / "version-1" / "tiny.xml"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A sealed IR."""
    for suffix in (".xml", ".bin"):
        shutil.copy(GOLDEN.with_suffix(suffix), tmp_path / f"model{suffix}")
    seal(tmp_path / "model.xml")
    return tmp_path / "model.xml"


def opens(path: Path) -> bool:
    with PoseEstimator(path, threads=1) as estimator:
        return len(estimator.infer(np.zeros((64, 48, 3), np.uint8))) == 1


def test_files_that_belong_together_open(model: Path) -> None:
    assert opens(model)


def test_files_without_a_checksum_open() -> None:
    assert b"weights_sha256" not in GOLDEN.read_bytes()
    check_seal(GOLDEN)
    assert opens(GOLDEN)


def test_weights_of_another_model_are_refused(model: Path) -> None:
    weights = np.fromfile(model.with_suffix(".bin"), np.uint8)
    weights[1000] ^= 1
    weights.tofile(model.with_suffix(".bin"))
    with pytest.raises(ModelFileError, match=r"model\.bin is damaged, or of another model"):
        PoseEstimator(model)


def test_absent_weights_are_told_by_their_name(model: Path) -> None:
    model.with_suffix(".bin").unlink()
    with pytest.raises(ModelFileError, match=r"model\.bin: cannot be read"):
        check_seal(model)


def test_a_tool_that_writes_the_model_anew_drops_the_checksum(model: Path) -> None:
    again = model.with_name("again.xml")
    ov.save_model(ov.Core().read_model(model), again, compress_to_fp16=True)
    assert b"weights_sha256" not in again.read_bytes()
    assert opens(again)


@pytest.mark.needs("torch", "onnx")
def test_exported_files_are_sealed(tiny_ir: Path) -> None:
    assert tiny_ir.read_bytes()[-120:].count(b"<!--danet.weights_sha256 ") == 1
    check_seal(tiny_ir)
