"""What a quantized file is made from."""

from __future__ import annotations

from pathlib import Path

import torch

from danet_calibration.float_model import open_float
from danet_calibration.formats import FORMATS
from danet_network.checkpoint import load_checkpoint
from danet_network.config import DANetConfig


def test_a_checkpoint_with_two_suffixes(tiny_checkpoint: Path, tiny_config: DANetConfig, tmp_path: Path) -> None:
    network, spec = load_checkpoint(tiny_checkpoint)
    path = tmp_path / "best.pth.tar"
    torch.save({"model": network.state_dict(), "config": tiny_config.to_dict(), "spec": spec.to_json()}, path)
    found = open_float(str(path), FORMATS["onnx"], tmp_path / "scratch")
    assert found.path.suffix == ".onnx"
    assert found.spec.name == spec.name
