from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from danet.model_spec import DecoderSpec, ModelSpec
from danet_network import checkpoint as checkpoint_module
from danet_network.checkpoint import describe_checkpoint, load_checkpoint, save_checkpoint
from danet_network.config import FAMILY, danet_config
from danet_network.model import DANet
from danet_network.weights import expected_shapes

SPEC = ModelSpec("tiny", box_padding=1.3, decoder=DecoderSpec(heatmap_peak=2.0), licence="Apache-2.0")

Write = Callable[..., Path]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def assert_same_weights(found: DANet, expected: DANet) -> None:
    assert found.config == expected.config
    assert not found.training
    states = found.state_dict(), expected.state_dict()
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(found(images), expected(images))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".SafeTensors"])
def test_round_trip(tmp_path: Path, tiny: DANet, suffix: str) -> None:
    path = tmp_path / "new" / f"tiny{suffix}"
    if suffix.lower() == ".safetensors":
        save_checkpoint(path, tiny, SPEC)
    else:
        path.parent.mkdir()
        torch.save({"config": tiny.config.to_dict(), "spec": SPEC.to_json(), "model": tiny.state_dict()}, path)
    network, spec = load_checkpoint(path)
    assert_same_weights(network, tiny)
    assert spec == replace(SPEC, source_sha256=sha256(path))
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_native_files_of_the_same_weights_are_the_same_bytes(tmp_path: Path, tiny: DANet) -> None:
    paths = [tmp_path / f"{index}.safetensors" for index in range(6)]
    for path in paths:
        save_checkpoint(path, tiny, SPEC)
    assert len({sha256(path) for path in paths}) == 1


def test_an_earlier_source_is_kept(tmp_path: Path, tiny: DANet) -> None:
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, tiny, replace(SPEC, source_sha256="ab" * 32))
    assert load_checkpoint(path)[1].source_sha256 == "ab" * 32


def test_half_precision_is_read_as_float32(write: Write, tiny: DANet) -> None:
    path = write(**{name.replace(".", "__"): t.half() for name, t in tiny.state_dict().items() if t.ndim})
    network, _ = load_checkpoint(path)
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())
    torch.testing.assert_close(network.stem[0].weight, tiny.stem[0].weight, rtol=1e-3, atol=1e-3)


def test_batch_counters_may_be_half_as_well(write: Write, tiny: DANet) -> None:
    path = write(**{name.replace(".", "__"): t.half() for name, t in tiny.state_dict().items()})
    counters = [tensor for name, tensor in load_checkpoint(path)[0].state_dict().items() if "num_batches" in name]
    assert {counter.dtype for counter in counters} == {torch.int64}


def test_batch_counters_may_be_absent(write: Write, tiny: DANet) -> None:
    names = [name for name in tiny.state_dict() if name.endswith("num_batches_tracked")]
    network, _ = load_checkpoint(write(**dict.fromkeys((name.replace(".", "__") for name in names), None)))
    assert_same_weights(network, tiny)


@pytest.mark.parametrize("preset", ["paper", "zoo"])
@pytest.mark.parametrize(
    "name", [name if name == "danet72" else pytest.param(name, marks=pytest.mark.long) for name in FAMILY]
)
def test_a_bare_state_dict_is_recognised(tmp_path: Path, name: str, preset: Any) -> None:
    config = danet_config(name, preset)
    state = {key: torch.zeros(shape) for key, shape in expected_shapes(config).items() if "num_batches" not in key}
    torch.save(state, path := tmp_path / "any.pth")
    network, spec = load_checkpoint(path)
    assert network.config == config
    assert (spec.name, spec.preset, spec.licence) == (name, preset, "unknown")
    assert (spec.box_padding, spec.decoder.heatmap_peak) == ((1.25, 1.0) if preset == "paper" else (1.1, 255.0))
    assert spec.training_data == f"unknown; the checkpoint held no ModelSpec, that of preset {preset} was taken"


WRAPS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model": lambda state: {"model": state},
    "model_state_dict": lambda state: {"model_state_dict": state, "optimizer_state_dict": {}, "epoch": 3},
    "data parallel": lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    "and compiled": lambda state: {
        "state_dict": {f"module._orig_mod.{name}": tensor for name, tensor in state.items()}
    },
    "of averages": lambda state: (
        {f"module.module.{name}": tensor for name, tensor in state.items()} | {"module.n_averaged": torch.tensor(3)}
    ),
}


@pytest.mark.parametrize("wrap", WRAPS)
def test_wrapped_state_dicts(tmp_path: Path, tiny: DANet, wrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_module, "KNOWN", (tiny.config,))  # as if it were of the family
    torch.save(WRAPS[wrap](tiny.state_dict()), path := tmp_path / "wrapped.pt")
    assert_same_weights(load_checkpoint(path)[0], tiny)


def test_a_wrapped_state_dict_of_the_family(tmp_path: Path, danet72: DANet) -> None:
    torch.save(WRAPS["and compiled"](danet72.state_dict()), path := tmp_path / "wrapped.pt")
    assert_same_weights(load_checkpoint(path)[0], danet72)


@pytest.mark.long
def test_of_a_training_state_the_average_is_taken(tmp_path: Path, danet72: DANet) -> None:
    average = AveragedModel(danet72)
    trained = DANet(danet72.config)
    state = {
        "model": trained.state_dict(),
        "average": average.state_dict(),
        "optimizer": torch.optim.Adam(trained.parameters()).state_dict(),
        "samples_seen": 12,
    }
    torch.save(state, path := tmp_path / "last.pt")
    assert_same_weights(load_checkpoint(path)[0], danet72)
    info = describe_checkpoint(path)
    assert (info.config, info.parameters) == (danet72.config, 3_357_092)
    assert info.kind == (
        "training state; no config: spatial attention taken as suppress; no spec: that of preset paper taken"
    )
    assert info.gflops == pytest.approx(1.06, rel=0.01)


def test_a_training_state_may_name_its_config(tmp_path: Path, tiny: DANet) -> None:
    average = AveragedModel(tiny).state_dict()
    state = {"model": tiny.state_dict(), "average": average, "optimizer": {}, "samples_seen": 1}
    torch.save({**state, "config": tiny.config.to_dict(), "spec": SPEC.to_json()}, path := tmp_path / "last.pt")
    network, spec = load_checkpoint(path)
    assert_same_weights(network, tiny)
    assert spec.box_padding == 1.3


@pytest.mark.parametrize(("suffix", "kind"), [(".safetensors", "native checkpoint"), (".pt", "PyTorch checkpoint")])
def test_describe(write: Write, tiny: DANet, suffix: str, kind: str) -> None:
    info = describe_checkpoint(path := write(suffix))
    assert (info.kind, info.config) == (kind, tiny.config)
    assert info.spec == replace(SPEC, source_sha256=sha256(path))
    assert info.parameters == sum(parameter.numel() for parameter in tiny.parameters())
