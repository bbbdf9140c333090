from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from danet.cpu import read_cpu

Danet = Callable[..., Any]


@pytest.fixture(scope="module")
def danet72(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DANet-72 with the weights that it begins with."""
    torch = pytest.importorskip("torch", reason="needs the network itself: pip install 'danet-edge[torch]'")
    from danet_network.checkpoint import save_checkpoint
    from danet_network.config import danet_config
    from danet_network.model import DANet
    from danet_network.zoo import preset_spec

    config = danet_config("danet72")
    path = tmp_path_factory.mktemp("full") / "danet72.safetensors"
    torch.manual_seed(0)
    save_checkpoint(path, DANet(config), preset_spec(config))
    return path


def facts(outcome: Any) -> dict[str, Any]:
    assert (outcome.status, outcome.err) == (0, "")
    found: dict[str, Any] = json.loads(outcome.out)
    return found


@pytest.mark.parametrize("file", ["tiny_ir", pytest.param("tiny_onnx", marks=pytest.mark.needs("onnxruntime"))])
def test_exported_file(danet: Danet, file: str, tiny_checkpoint: Path, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(file)
    found = facts(danet("info", path, "--json", "-"))
    files = [path] if file == "tiny_onnx" else [path, path.with_suffix(".bin")]
    assert found["file"] == str(path)
    assert found["bytes"] == sum(part.stat().st_size for part in files)
    assert found["input"] == ["N", 128, 96, 3]
    assert found["output"] == ["N", 17, 32, 24]
    assert found["runs_in"] == "fp32"
    assert found["cpu"]["name"] == read_cpu().name
    spec = found["spec"]
    assert spec["source_sha256"] == hashlib.sha256(tiny_checkpoint.read_bytes()).hexdigest()
    assert (spec["name"], spec["licence"], spec["precision"], spec["box_padding"]) == ("tiny", "CC0", "fp32", 1.2)
    decoder = {"blur_kernel": 9, "offsets": [0.25], "heatmap_peak": 2.0, "flip_shift": 0, "refinement": "offset"}
    assert (spec["decoder"], spec["format_version"]) == (decoder, 1)
    assert "parameters" not in found


def test_for_people(danet: Danet, tiny_ir: Path) -> None:
    outcome = danet("info", tiny_ir)
    assert (outcome.status, outcome.out) == (0, "")
    for words in ("uint8 BGR N x 128 x 96 x 3", "float32 N x 17 x 32 x 24", "0.250 on nowhere/val", "CC0", "17: nose"):
        assert words in outcome.err


def test_checkpoint_with_parameters_and_gflops(danet: Danet, danet72: Path) -> None:
    found = facts(danet("info", danet72, "--json", "-"))
    # the paper: 3.4 M parameters and 1.06 GFLOPs within 9 and 7 %
    parameters, gflops = float(found["parameters"].split()[0]), float(found["GFLOPs"].split()[0])
    assert parameters == pytest.approx(3.4, rel=0.09)
    assert gflops == pytest.approx(1.06, rel=0.07)
    from danet_network.config import danet_config
    from danet_network.model import DANet

    counted = sum(tensor.numel() for tensor in DANet(danet_config("danet72")).parameters())
    assert parameters == pytest.approx(counted / 1e6, abs=0.01)
    assert found["checkpoint"] == "native checkpoint"
    assert "preset paper" in found["network"]
    assert "layers 3-6-12-12" in found["network"]
    assert found["input"] == ["N", 256, 192, 3]


def test_json_file_and_people(danet: Danet, tiny_ir: Path, tmp_path: Path) -> None:
    outcome = danet("info", tiny_ir, "--json", tmp_path / "info.json")
    assert outcome.status == 0
    assert json.loads((tmp_path / "info.json").read_text())["spec"]["name"] == "tiny"
    assert "tiny" in outcome.err


@pytest.mark.parametrize("suffix", [".xml", ".bin"])
@pytest.mark.parametrize("command", ["info", "tune"])
def test_the_model_is_not_written_over(danet: Danet, command: str, suffix: str, tiny_ir: Path) -> None:
    target = tiny_ir.with_suffix(suffix)
    before = target.read_bytes()
    assert f"{target} is read; write to another file" in danet(command, tiny_ir, "--json", target).error()
    assert target.read_bytes() == before


def test_embedded_model(danet: Danet) -> None:
    found = facts(danet("info", "danet72", "--json", "-"))
    assert found["spec"]["name"] == "danet72"
    assert found["file"].endswith("danet72.xml")
    assert found["bytes"] > 1e6
    assert found["output"][1] == 17
    assert found["spec"]["licence"] != "unknown"
    assert found["spec"]["training_data"] != "unknown"
    assert found["spec"]["metrics"]


@pytest.mark.needs("ai_edge_litert")
def test_embedded_model_of_another_backend(danet: Danet) -> None:
    tflite = facts(danet("info", "danet72", "--backend", "tflite", "--json", "-"))
    assert tflite["file"].endswith("danet72.tflite")
    assert tflite["output"] == ["N", 64, 48, 17]  # as the interpreter states it
    assert facts(danet("info", "danet72", "--json", "-"))["output"] == ["N", 17, 64, 48]


@pytest.mark.parametrize("part", [".xml", ".bin"])
def test_cut_model(danet: Danet, cut: Any, tiny_ir: Path, part: str) -> None:
    assert "tiny.xml" in danet("info", cut(tiny_ir, part)).error()


@pytest.mark.needs("torch")
@pytest.mark.parametrize("suffix", [".pkl", ".pt"])
def test_payload_is_not_run(danet: Danet, payload: Any, suffix: str) -> None:
    model, mark = payload(suffix)
    assert model.name in danet("info", model).error()
    assert not mark.exists()


@pytest.mark.parametrize("name", ["nothing", "nothing.xml", "nothing.onnx", "nothing.safetensors", "nothing.txt"])
def test_missing_model(danet: Danet, name: str) -> None:
    assert "nothing" in danet("info", name).error()
