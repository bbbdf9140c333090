"""What `danet convert` says of a checkpoint before it writes, and whose weights it converts."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the network itself: pip install 'danet-edge[convert]'")

from danet.model_spec import ModelSpec
from danet_converters import command
from danet_converters import export as export_module
from danet_network.checkpoint import load_checkpoint
from danet_network.config import DANetConfig
from danet_network.model import DANet

Danet = Callable[..., Any]
Loaded = list[tuple[Path, DANet, ModelSpec]]


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Loaded:
    """What would have been exported: the checkpoint handed on, and what it holds."""
    loaded: Loaded = []

    def export_all(checkpoint: Path, *_: object) -> Iterator[Any]:
        loaded.append((checkpoint, *load_checkpoint(checkpoint)))
        return iter(())

    monkeypatch.setattr(export_module, "export_all", export_all)
    return loaded


@pytest.fixture
def saved(tmp_path: Path, tiny_config: DANetConfig) -> Callable[..., Path]:
    def save(**content: Any) -> Path:
        torch.save({"config": tiny_config.to_dict(), **content}, path := tmp_path / "theirs.pt")
        return path

    return save


@pytest.fixture
def raw(tiny_network: DANet) -> dict[str, Any]:
    return {name: tensor + 1 for name, tensor in tiny_network.state_dict().items()}


def test_what_is_assumed_is_said(
    danet: Danet, saved: Callable[..., Path], tiny_network: DANet, exported: Loaded
) -> None:
    path = saved(model=tiny_network.state_dict())
    done = danet("convert", path, "--box-padding", 1.5)
    assert (done.status, done.out) == (0, "")
    first, second = done.err.strip().splitlines()
    assert first == f"{path}: no spec: that of preset paper taken"
    assert second.startswith(f"{path}: so it gets BGR crops, 256 x 192, mean (103.53, 116.28, 123.675), ")
    assert "box padding 1.5, decoder offset (0.25,), heatmap peak 1, flip shift 0; " in second
    assert second.endswith("give it its own ModelSpec (docs/conversion.md, Your own checkpoint)")
    assert [checkpoint for checkpoint, *_ in exported] == [path]


def test_what_is_assumed_is_said_of_int8_as_well(
    danet: Danet, saved: Callable[..., Path], tiny_network: DANet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_quantizer", lambda _: lambda *_: 0)
    done = danet("convert", saved(model=tiny_network.state_dict()), "--precision", "int8")
    assert (done.status, len(done.err.strip().splitlines())) == (0, 2)


def test_of_a_whole_checkpoint_there_is_nothing_to_say(
    danet: Danet, saved: Callable[..., Path], tiny_network: DANet, tiny_checkpoint: Path, exported: Loaded
) -> None:
    whole = saved(model=tiny_network.state_dict(), spec=ModelSpec("tiny").to_json())
    for path in (whole, tiny_checkpoint):
        done = danet("convert", path)
        assert (done.status, done.out, done.err) == (0, "", "")
    assert len(exported) == 2


def test_which_weights_are_taken_is_said(
    danet: Danet, saved: Callable[..., Path], tiny_network: DANet, raw: dict[str, Any], exported: Loaded
) -> None:
    path = saved(model=raw, ema=tiny_network.state_dict(), spec=ModelSpec("tiny").to_json())
    done = danet("convert", path)
    assert done.err.strip() == f"{path}: weights: ema taken, not model (danet convert --weights KEY takes others)"
    ((_, network, _),) = exported
    assert torch.equal(network.stem[0].weight, tiny_network.stem[0].weight)


def test_other_weights_are_taken_if_asked_for(
    danet: Danet, saved: Callable[..., Path], tiny_network: DANet, raw: dict[str, Any], exported: Loaded
) -> None:
    path = saved(model=raw, ema=tiny_network.state_dict(), spec=ModelSpec("tiny").to_json())
    done = danet("convert", path, "--weights", "model")
    assert (done.status, done.err.strip().splitlines()[0].split(" (")[0]) == (
        0,
        f"{path}: weights: model taken, not ema",
    )
    ((checkpoint, network, spec),) = exported
    assert torch.equal(network.stem[0].weight, raw["stem.0.weight"])
    whole = hashlib.sha256(path.read_bytes()).hexdigest()
    assert spec.name == "tiny"
    assert spec.source_sha256 != whole  # which stands for the weights that are taken by themselves
    assert spec.training_data.endswith(f"; weights model of the checkpoint with sha256 {whole}")
    assert not checkpoint.exists()  # a copy that ended with the command


def test_the_checkpoint_is_not_written_over_by_chosen_weights(
    danet: Danet, tiny_network: DANet, tiny_config: DANetConfig, tmp_path: Path
) -> None:
    """Which are converted from a copy of them."""
    path = tmp_path / "tiny.bin"
    content = {"config": tiny_config.to_dict(), "spec": ModelSpec("tiny").to_json()}
    torch.save({**content, "model": tiny_network.state_dict(), "ema": tiny_network.state_dict()}, path)
    before = path.read_bytes()
    done = danet("convert", path, "--weights", "model", "--out", tmp_path)
    assert done.status == 1
    assert "tiny.bin is read; write to another file" in done.err
    assert path.read_bytes() == before


def test_weights_that_are_not_there(
    danet: Danet, saved: Callable[..., Path], tiny_network: DANet, exported: Loaded
) -> None:
    error = danet("convert", saved(model=tiny_network.state_dict()), "--weights", "student").error()
    assert "weights 'student': none has that key, expected one of: model" in error
    assert not exported


def test_weights_of_an_int8_file_are_refused_before_any_work(danet: Danet, tmp_path: Path) -> None:
    done = danet("convert", tmp_path / "none.pt", "--weights", "ema", "--precision", "int8", "--out", tmp_path / "out")
    assert done.status == 2
    assert "convert to fp32 with --weights, then run danet quantize" in done.err


def test_the_wrong_combination_is_told_before_the_checkpoint_is_read(danet: Danet, saved: Callable[..., Path]) -> None:
    assert "onnx in fp16" in danet("convert", saved(model=3), "--to", "onnx", "--precision", "fp16").error()


def test_a_missing_checkpoint_is_told_once(danet: Danet, tmp_path: Path) -> None:
    assert "No such file" in danet("convert", tmp_path / "none.pt").error()


@pytest.mark.parametrize("data", ["none", None])
def test_what_int8_asks_for_is_told_before_any_file_is_written(
    data: str | None,
    danet: Danet,
    tiny_checkpoint: Path,
    exported: Loaded,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if data is None:
        monkeypatch.setattr(command, "entry_points", lambda **_: [])
    chosen = () if data is None else ("--data", tmp_path / data)
    error = danet("convert", tiny_checkpoint, "--precision", "fp32", "int8", *chosen).error()
    assert ("none: no such file or folder" if data else "expected danet_calibration") in error
    assert not exported


def test_int8_of_other_weights_than_the_float_files(
    danet: Danet, tiny_checkpoint: Path, exported: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a training that goes on: each would be proven, and the two would not belong together."""
    path = Path(shutil.copy(tiny_checkpoint, tmp_path / "last.safetensors"))
    monkeypatch.setattr(command, "_quantizer", lambda _: lambda *_: pytest.fail("quantized"))
    export = command._export

    def slowly(*arguments: Any) -> None:
        export(*arguments)
        shutil.copy(tiny_checkpoint, tmp_path / "new")
        (tmp_path / "new").replace(path)

    monkeypatch.setattr(command, "_export", slowly)
    error = danet("convert", path, "--precision", "fp32", "int8").error()
    assert "was changed after its float files were written" in error
    assert len(exported) == 1
