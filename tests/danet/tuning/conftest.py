from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from danet.model_files import model_sha256
from danet.tuning.record import LoadFigure, PrecisionFigure, Tuning
from danet.tuning.settings import Settings
from danet.tuning.situation import read_situation

TUNED = Settings(threads=1, batch_size=4, streams=2, stream_batch_size=1)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder for the user."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def tuning_of() -> Callable[..., Tuning]:
    """A tuning of a model file that holds here."""

    def make(model: Path, settings: Settings = TUNED, backend: str = "openvino") -> Tuning:
        return Tuning(
            situation=read_situation(backend),
            model_sha256=model_sha256(model),
            settings=settings,
            precision="fp32",
            precisions=(PrecisionFigure("fp32", 1.0, 0.0, True), PrecisionFigure("bf16", 1.7, 0.25, False)),
            loads=(LoadFigure("infer", 1, 20.5, 18.25), LoadFigure("stream", 1, 19.0, 12.0)),
            measured_at="2026-11-24T12:00:00+00:00",
        )

    return make


@pytest.fixture
def model(tiny_ir: Path, tmp_path: Path) -> Path:
    """A copy of the small IR in a folder of its own."""
    for part in (tiny_ir, tiny_ir.with_suffix(".bin")):
        (tmp_path / "models").mkdir(exist_ok=True)
        (tmp_path / "models" / part.name).write_bytes(part.read_bytes())
    return tmp_path / "models" / tiny_ir.name
