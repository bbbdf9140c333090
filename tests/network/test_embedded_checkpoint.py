from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from danet.backends.base import BackendOptions
from danet.backends.registry import load_model
from danet.embedded import embedded_model
from danet_network.checkpoint import load_checkpoint

CHECKPOINT = Path(__file__).parents[2] / "training/checkpoints/danet72.safetensors"


@pytest.mark.parametrize("suffix", [".xml", ".tflite"])
def test_embedded_files_are_of_the_checkpoint_in_the_repository(suffix: str) -> None:
    """Who looks for what a file was made from finds it by its hash; the figures in it are the checkpoint's."""
    embedded = embedded_model("danet72")
    assert embedded is not None
    if suffix == ".tflite":
        pytest.importorskip("ai_edge_litert", reason="danet-edge[tflite] is not installed")
    loaded = load_model(embedded.with_suffix(suffix), None, BackendOptions())
    loaded.backend.close()
    _, spec = load_checkpoint(CHECKPOINT)
    assert loaded.spec is not None
    assert loaded.spec.source_sha256 == hashlib.sha256(CHECKPOINT.read_bytes()).hexdigest()
    assert loaded.spec.decoder == spec.decoder
    for found, measured in zip(loaded.spec.metrics, spec.metrics, strict=True):
        assert replace(found, method=measured.method) == measured
        assert found.method in (measured.method, f"{measured.method}; of the fp32 checkpoint")
