"""Checkpoints as other programs write them: which tensors are taken, what is said of it, and what is refused."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.optim.swa_utils import AveragedModel

from danet.errors import DanetError, InputError, ModelFileError, ModelSpecError
from danet.model_spec import ModelSpec
from danet_network import checkpoint as checkpoint_module
from danet_network import state_dicts
from danet_network.checkpoint import CheckpointInfo, describe_checkpoint, load_checkpoint, save_checkpoint
from danet_network.config import DANetConfig
from danet_network.facts import SUFFIXES, checkpoint_facts
from danet_network.model import DANet
from danet_network.weights import KNOWN, expected_shapes

DOCS = Path(__file__).parents[2] / "docs" / "conversion.md"
OPEN = "no config: spatial attention taken as suppress; no spec: that of preset paper taken"
State = dict[str, Any]
Saved = Callable[..., Path]


@pytest.fixture(autouse=True)
def family(tiny_config: DANetConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny network, as if it were of the family: what a file without a config may hold."""
    monkeypatch.setattr(checkpoint_module, "KNOWN", (tiny_config,))


@pytest.fixture
def raw(tiny_config: DANetConfig, make_network: Any) -> State:
    return counted(make_network(tiny_config, seed=1))


@pytest.fixture
def good(tiny: DANet) -> State:
    return counted(tiny)


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    def save(value: Any, name: str = "model.pt") -> Path:
        torch.save(value, tmp_path / name)
        return tmp_path / name

    return save


def counted(network: DANet) -> State:
    """Its state dict as after some batches."""
    state: State = network.state_dict()
    return {name: tensor + 9 if name.endswith("num_batches_tracked") else tensor for name, tensor in state.items()}


def before(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def holds(path: Path, state: State, weights: str | None = None) -> CheckpointInfo:
    """Fails unless the file's network has these weights; gives what is said of it."""
    found = load_checkpoint(path, weights=weights)[0].state_dict()
    assert found.keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in found.items())
    return describe_checkpoint(path, weights=weights)


def assert_refused(
    path: Path, *parts: str, error: type[DanetError] = ModelFileError, weights: str | None = None
) -> None:
    with pytest.raises(error) as caught:
        load_checkpoint(path, weights=weights)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert text.isprintable()
    assert len(text) < 4000
    for part in parts:
        assert part in text


# Several sets of weights


@pytest.mark.parametrize(
    "key", ["ema", "model_ema", "ema_model", "state_dict_ema", "ema_state_dict", "params_ema", "swa"]
)
def test_averaged_weights_go_before_the_last(saved: Saved, raw: State, good: State, key: str) -> None:
    path = saved({"model": raw, key: good, "epoch": 3})
    assert f"weights: {key} taken, not model (danet convert --weights KEY takes others)" in holds(path, good).kind
    assert "weights: model taken, not" in holds(path, raw, weights="model").kind
    holds(path, good, weights=key)


def test_danet_info_says_which_were_taken(saved: Saved, raw: State, good: State) -> None:
    facts = checkpoint_facts(saved({"state_dict": raw, "ema": good}))
    assert facts["checkpoint"].startswith("PyTorch state dict; weights: ema taken, not state_dict")


def test_averages_of_averaged_model_inside_a_wrapped_network(saved: Saved, raw: State, good: State) -> None:
    path = saved(
        {"model": before("module.", raw), "ema": before("module._orig_mod.", good) | {"n_averaged": torch.ones(())}}
    )
    assert "weights: ema taken, not model" in holds(path, good).kind


def test_of_two_networks_side_by_side(saved: Saved, raw: State, good: State) -> None:
    flat = before("net.", raw) | before("ema.module.", good) | {"ema.n_averaged": torch.ones(())}
    assert "weights: state_dict.ema taken, not state_dict.net" in holds(saved({"state_dict": flat}), good).kind
    holds(saved({"state_dict": flat}), raw, weights="state_dict.net")
    holds(saved(flat), raw, weights="net")


def test_mmengine_swaps_the_two(saved: Saved, raw: State, good: State) -> None:
    averager = before("module.", raw) | {"steps": torch.tensor(7)}
    path = saved({"state_dict": good, "ema_state_dict": averager, "meta": {"epoch": 1}})
    assert "weights: state_dict taken, not ema_state_dict" in holds(path, good).kind


def test_lightning_swaps_them_too(saved: Saved, raw: State, good: State) -> None:
    path = saved({"current_model_state": before("net.", raw), "state_dict": before("net.", good)}, "epoch=3.ckpt")
    assert "weights: state_dict.net taken, not current_model_state.net" in holds(path, good).kind


def test_without_averages_the_usual_key_goes_first(saved: Saved, raw: State, good: State) -> None:
    assert "weights: model taken, not best" in holds(saved({"best": raw, "model": good}), good).kind
    assert "weights: first taken, not second" in holds(saved({"first": good, "second": raw}), good).kind


def test_averages_of_parameters_alone_are_no_network(saved: Saved, raw: State, tiny: DANet) -> None:
    path = saved({"model": raw, "ema": {"decay": 0.99, "shadow": dict(tiny.named_parameters())}})
    assert "weights: model taken, since ema.shadow does not fit the network" in holds(path, raw).kind
    assert_refused(path, "missing: stem.1.running_mean", weights="ema.shadow")


def test_averages_whose_batch_norms_saw_no_batch(saved: Saved, good: State, tiny: DANet) -> None:
    average = AveragedModel(tiny)  # whose buffers stay as they were at first, if nobody calls update_bn
    for module in average.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
    path = saved({"model": good, "ema": average.state_dict()})
    kind = holds(path, good).kind
    assert "weights: model taken, not ema" in kind
    assert "the batch norms of ema saw no batch" in kind


def test_averages_that_count_no_batches_are_averages_all_the_same(saved: Saved, raw: State, good: State) -> None:
    """Ultralytics' averager leaves whole numbers alone, timm's rounds its counters down to 0 for 10,000 steps."""
    average = {
        name: torch.zeros_like(one) if name.endswith("num_batches_tracked") else one for name, one in good.items()
    }
    kind = holds(saved({"model": raw, "ema": average}), average).kind
    assert "weights: ema taken, not model" in kind


def test_averages_of_an_optimizer_are_no_weights(saved: Saved, raw: State, good: State) -> None:
    assert holds(saved({"model": good, "optimizer": {"exp_avg": raw}, "optim_state": raw}), good).kind.endswith(
        f"dict; {OPEN}"
    )


def test_one_dict_by_two_names_is_one(saved: Saved, good: State) -> None:
    assert holds(saved({"model": good, "ema": good}), good).kind == f"PyTorch state dict; {OPEN}"


def test_a_training_state_may_give_its_last_weights(saved: Saved, raw: State, good: State) -> None:
    path = saved({"model": raw, "average": before("module.", good), "optimizers": {}, "samples_seen": 3})
    assert holds(path, good).kind == f"training state; {OPEN}"
    assert holds(path, raw, weights="model").kind.startswith("training state; weights: model taken, not average")


@pytest.mark.parametrize(("weights", "part"), [("student", "none has"), ("net", "several have"), ("", "none has")])
def test_weights_that_the_file_does_not_hold(saved: Saved, raw: State, good: State, weights: str, part: str) -> None:
    path = saved({"net": before("a.", raw) | before("b.", good)})
    assert_refused(path, f"{part} that key, expected one of: net.a, net.b", error=InputError, weights=weights)


def test_weights_of_a_file_of_none(saved: Saved) -> None:
    assert_refused(saved({"a": torch.ones(1)}), "expected one of: none", error=InputError, weights="a")


@pytest.mark.parametrize("suffix", [".safetensors", ".pkl"])
def test_weights_of_a_file_of_one(tmp_path: Path, tiny: DANet, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    save_checkpoint(path, tiny, ModelSpec("tiny"))
    assert_refused(path, "weights 'ema' of a", "leave it out", error=InputError, weights="ema")


def test_what_fits_no_network_is_named_with_its_place(saved: Saved, raw: State, good: State) -> None:
    del raw["stem.0.weight"], good["stem.0.weight"]
    assert_refused(saved({"model": raw, "ema": good}), "ema: does not fit tiny (paper): 1 missing: stem.0.weight")


# Names before the network's, and what lies beside it


@pytest.mark.parametrize("prefix", ["model.", "net.", "module.model.", "pose_net.student.", "model._orig_mod."])
@pytest.mark.parametrize("key", [None, "state_dict", "params"])
def test_modules_around_the_network(saved: Saved, good: State, prefix: str, key: str | None) -> None:
    state = before(prefix, good)
    assert holds(saved(state if key is None else {key: state}), good).kind == f"PyTorch state dict; {OPEN}"


@pytest.mark.parametrize("key", ["net", "network", "params_ema", "ema", "weights", "generator"])
def test_any_key_of_a_state_dict(saved: Saved, good: State, key: str) -> None:
    holds(saved({"epoch": 3, key: good}), good)
    holds(saved({"checkpoint": {key: good}}), good)


def test_what_lies_beside_the_network_is_told(saved: Saved, good: State) -> None:
    beside = {"criterion.weight": torch.ones(17), "criterion.bias": torch.ones(17)}
    kind = holds(saved({"state_dict": before("model.", good) | beside}), good).kind
    assert "2 tensors beside the network left out: criterion.weight and others" in kind


def test_what_lies_within_the_network_is_not_left_out(saved: Saved, good: State) -> None:
    assert_refused(saved(before("model.", good | {"stem.9.weight": torch.ones(1)})), "1 unexpected: stem.9.weight")
    assert_refused(saved(before("model.", good | {"head.weight": torch.ones(1)})), "1 unexpected: head.weight")


def test_counts_of_thop_are_no_weights(saved: Saved, good: State) -> None:
    modules = {name.rpartition(".")[0] for name in good} | {"stem", "pool"}
    counts = {f"{module}.{kind}": torch.ones(1) for module in modules for kind in ("total_ops", "total_params")}
    counts |= {"total_ops": torch.ones(1), "total_params": torch.ones(1)}
    assert holds(saved(good | counts), good).kind == f"PyTorch state dict; {OPEN}"
    holds(saved({"state_dict": before("model.", good | counts)}), good)


def test_numbers_beside_the_tensors(saved: Saved, good: State) -> None:
    holds(saved(good | {"epoch": 3, "config": "a.yaml", "optimizer": {"lr": 0.1}}), good)


def test_the_network_has_no_module_that_looks_like_one_around_it() -> None:
    names = [name.split(".") for config in KNOWN for name in expected_shapes(config)]
    assert {first for first, *_ in names} == {*state_dicts._MODULES}
    assert {*state_dicts._MODULES}.isdisjoint(part for _, *inner in names for part in inner)
    assert max(len(".".join(name)) for name in names) < state_dicts.MAX_NAME // 2


# Config and spec of other programs


@pytest.mark.parametrize(
    "config",
    [
        {"lr": 1e-3, "epochs": 210, "name": "exp1", "layers": 72, "keypoints": 17},
        {"model": {"type": "TopdownPoseEstimator"}},
        "configs/danet72.py",
        ["--lr", "1e-3"],
        {},
        None,
        {f"parameter{number}": number for number in range(3000)},
    ],
)
def test_a_config_of_another_program(saved: Saved, good: State, config: Any) -> None:
    told = "config of another program: spatial attention taken as suppress"
    assert told in holds(saved({"model": good, "config": config}), good).kind
    del good["stem.0.weight"]
    assert_refused(saved({"model": good, "config": config}), "network config", "1 missing: stem.0.weight")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"colour": 1}, "unknown fields colour"),
        ({"spatial_attention": "gates"}, "spatial_attention is 'gates'"),
        ({"preset": "x" * 10_000}, "preset is 'xxx"),
        ({"fusion": {"sfu": 1}}, "fusion is a dict"),
        ({"decoder_width": 0}, "counts lie in 1..4096"),
        ({"growth": (2,) * 9999}, "counts lie in 1..4096"),
        ({f"parameter{number}": number for number in range(3000)}, "unknown fields parameter0"),
    ],
)
def test_a_broken_config_of_danet_is_refused(
    saved: Saved, good: State, tiny_config: DANetConfig, change: Any, part: str
) -> None:
    assert_refused(saved({"model": good, "config": tiny_config.to_dict() | change}), part)
    assert_refused(saved({"model": good, "config": {"spatial_attention": "gate", "lr": 1}}), "unknown fields lr")


@pytest.mark.parametrize("spec", [{"name": "exp1", "seed": 3}, "exp1", "", None, 3, ["a"]])
def test_a_spec_of_another_program(saved: Saved, good: State, spec: Any) -> None:
    info = holds(saved({"model": good, "spec": spec}), good)
    assert info.kind.endswith("; spec of another program: that of preset paper taken")
    assert info.assumed_spec
    assert info.spec.training_data.startswith("unknown; the checkpoint held no ModelSpec")


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(
    ("spec", "part"),
    [
        (asdict(ModelSpec("tiny")), "a dict, expected JSON text; save spec.to_json()"),
        ('{"name": "tiny", "colour": 1}', "unknown fields colour"),
        ('{"name": "tiny"', "not JSON"),
    ],
)
def test_a_broken_spec_of_danet_is_refused(
    saved: Saved, good: State, tiny_config: DANetConfig, spec: Any, part: str, own: bool
) -> None:
    config = {"config": tiny_config.to_dict()} if own else {}
    assert_refused(saved({"model": good, "spec": spec, **config}), part, error=ModelSpecError)


@pytest.mark.parametrize("spec", [{"seed": 3}, "exp1", None])
def test_beside_a_config_of_danet_stands_a_spec_of_danet(
    saved: Saved, good: State, tiny_config: DANetConfig, spec: Any
) -> None:
    assert_refused(saved({"model": good, "spec": spec, "config": tiny_config.to_dict()}), error=ModelSpecError)


def test_what_is_open_is_told_apart(saved: Saved, good: State, tiny_config: DANetConfig) -> None:
    info = holds(saved({"model": good, "config": tiny_config.to_dict()}), good)
    assert (info.kind, info.assumed_spec) == ("PyTorch checkpoint; no spec: that of preset paper taken", True)
    whole = {"model": good, "config": tiny_config.to_dict(), "spec": ModelSpec("tiny").to_json()}
    info = holds(saved(whole), good)
    assert (info.kind, info.notes, info.assumed_spec) == ("PyTorch checkpoint", (), False)


# Files


@pytest.mark.parametrize("name", ["last.ckpt", "pytorch_model.bin", "model_best.pth.tar", "A.PTH.TAR", "a.CKPT"])
def test_other_suffixes_of_torch_save(saved: Saved, good: State, name: str) -> None:
    path = saved({"state_dict": good}, name)
    assert checkpoint_facts(path)["checkpoint"].startswith("PyTorch state dict")
    holds(path, good)


def test_suffixes_are_those_of_the_readers() -> None:
    assert tuple(checkpoint_module._READERS) == SUFFIXES


def test_weights_of_an_ir_are_no_checkpoint(tmp_path: Path) -> None:
    (path := tmp_path / "danet72.bin").write_bytes(bytes(range(256)))
    assert_refused(path, "a .bin that torch.save did not write", "open the .xml beside them")


@pytest.mark.parametrize("name", ["last.ckpt", "model.bin", "model.pth.tar"])
def test_another_suffix_runs_no_code(tmp_path: Path, name: str) -> None:
    sentinel = tmp_path / "sentinel"

    class Gadget:
        def __reduce__(self) -> Any:
            return Path.touch, (sentinel,)

    torch.save({"model": Gadget()}, path := tmp_path / name)
    assert_refused(path, "refused: expected tensors")
    path.write_bytes(pickle.dumps(Gadget()))
    assert_refused(path)
    assert not sentinel.exists()


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_a_bare_safetensors_file(tmp_path: Path, good: State, metadata: Any) -> None:
    save_file(before("model.", good), path := tmp_path / "model.safetensors", metadata)
    info = holds(path, good)
    assert info.kind == f"safetensors state dict; {OPEN}"
    assert info.spec.training_data.startswith("unknown; the checkpoint held no ModelSpec")


def test_two_networks_in_a_safetensors_file(tmp_path: Path, raw: State, good: State) -> None:
    save_file(before("model.", raw) | before("ema.", good), path := tmp_path / "model.safetensors")
    assert "weights: ema taken, not model" in holds(path, good).kind
    holds(path, raw, weights="model")


@pytest.mark.parametrize("key", ["danet.config", "danet.model_spec"])
def test_half_of_our_metadata_is_refused(tmp_path: Path, good: State, tiny_config: DANetConfig, key: str) -> None:
    save_file(good, path := tmp_path / "model.safetensors", {key: "{}"})
    assert_refused(path, "safetensors without danet.config and danet.model_spec", "has one of them")


@pytest.mark.parametrize("value", [np.float64(0.7), argparse.Namespace(lr=1), Path("a"), {1}])
def test_what_is_refused_for_safety_says_how_to_take_the_weights_out(saved: Saved, good: State, value: Any) -> None:
    heading = "Files that are refused"
    assert_refused(saved({"model": good, "more": value}), f"docs/conversion.md, {heading}")
    assert f"**{heading}.**" in DOCS.read_text()


def test_the_recipe_for_such_a_file(saved: Saved, good: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved({"state_dict": good, "best": np.float64(0.7)}, "theirs.pth")
    text = DOCS.read_text().partition("**Files that are refused.**")[2]
    recipe = text[text.index("    import torch") :].split("\n\n")[0]
    assert len(recipe.splitlines()) == 3
    monkeypatch.chdir(tmp_path)
    exec("\n".join(line.removeprefix("    ") for line in recipe.splitlines()), {})
    holds(tmp_path / "weights.pt", good)


def test_the_recipe_for_a_network_trained_on_rgb(tiny: DANet, tiny_config: DANetConfig) -> None:
    (line,) = (line.strip() for line in DOCS.read_text().splitlines() if ".flip(1)" in line)
    state = dict(tiny.state_dict())
    exec(line.partition("#")[0], {"state": state})
    swapped = DANet(tiny_config).eval()
    swapped.load_state_dict(state)
    rgb = torch.rand(1, 3, 64, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(swapped.double()(rgb.double().flip(1)), tiny.double()(rgb.double()))


# Files that would take long


def test_names_and_places_without_end(saved: Saved, good: State) -> None:
    long = "x" * 5000
    deep: State = {"e": good}
    for _ in range(5):
        deep = {"d": deep}
    many = {f"a{number}": {"stem.0.weight": torch.ones(1)} for number in range(state_dicts.MAX_DICTS * 2)}
    path = saved({"model": good, long: good | {}, "deep": deep, **many})
    assert len(holds(path, good).kind) < 2000
    assert_refused(saved({f"{long}.{name}": tensor for name, tensor in good.items()}), "holds no DANet")


def test_a_prefix_for_each_tensor(saved: Saved) -> None:
    state = {f"m{number}.stem.0.weight": torch.ones(1) for number in range(300)}
    assert len(state_dicts.find(state)) == state_dicts.MAX_PREFIXES
    assert_refused(saved(state), "holds no DANet")


def test_useless_averages_name_the_other_weights(saved: Saved, good: State) -> None:
    broken = {name: one * torch.nan if one.is_floating_point() else one for name, one in good.items()}
    path = saved({"model": good, "ema": broken})
    with pytest.raises(ModelFileError, match=r"hold NaN or infinity.*weights: ema taken, not model .*--weights KEY"):
        load_checkpoint(path)
    holds(path, good, weights="model")


def test_few_of_many_state_dicts_are_compared(saved: Saved, good: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands that fit nothing would take as many comparisons with each network."""
    asked: list[str] = []
    fitting = state_dicts._fitting

    def counted_fitting(one: Any, *rest: Any) -> Any:
        asked.append(one.key)
        return fitting(one, *rest)

    monkeypatch.setattr(state_dicts, "_fitting", counted_fitting)
    many = {f"other{number}": {"stem.0.weight": good["stem.0.weight"]} for number in range(100)}
    load_checkpoint(saved({**many, "model": good}))  # which goes first
    assert len(asked) == state_dicts.MAX_COMPARED
