from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from danet.errors import DanetError, ModelFileError, ModelSpecError
from danet.model_spec import MAX_SPEC_BYTES, DecoderSpec, ModelSpec
from danet_network.checkpoint import load_checkpoint, save_checkpoint
from danet_network.config import DANetConfig
from danet_network.model import DANet

SPEC = ModelSpec("tiny", box_padding=1.3, decoder=DecoderSpec(heatmap_peak=2.0), licence="Apache-2.0")

Write = Callable[..., Path]


def assert_refused(path: Path, *parts: str, error: type[DanetError] = ModelFileError) -> str:
    with pytest.raises(error) as caught:
        load_checkpoint(path)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    for part in parts:
        assert part in text
    return text


# Tensors that do not fit


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_mismatches_are_listed(write: Write, suffix: str) -> None:
    path = write(
        suffix, stem__0__weight=None, stem__9__weight=torch.zeros(3), laterals__0__2__weight=torch.zeros(6, 15, 1, 1)
    )
    assert_refused(
        path,
        "1 missing: stem.0.weight",
        "1 unexpected: stem.9.weight",
        "1 of another shape: laterals.0.2.weight (found (6, 15, 1, 1), expected (6, 14, 1, 1))",
    )


def test_long_lists_are_cut(write: Write) -> None:
    text = assert_refused(
        write(**{f"extra_{index}": torch.zeros(1) for index in range(20)}), "20 unexpected", "and 12 more"
    )
    assert text.count("extra_") == 8


def test_missing_tensors_of_a_bare_state_dict(tmp_path: Path, danet72: DANet) -> None:
    state = {name: tensor for name, tensor in danet72.state_dict().items() if not name.startswith("regressors.3")}
    torch.save(state, path := tmp_path / "model.pt")
    assert_refused(path, "danet72 (paper)", "11 missing: regressors.3.mix.0.weight", "and 3 more")


def test_a_foreign_network(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(3, 4).state_dict(), path := tmp_path / "model.pt")
    assert_refused(path, "holds no DANet", "weight, bias")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_tensors_that_are_not_finite(write: Write, tiny: DANet, suffix: str, value: float) -> None:
    weight = tiny.stem[0].weight.detach().double().clone()
    weight[0, 0, 0, 0] = value
    assert_refused(write(suffix, stem__0__weight=weight), "1 tensors hold NaN or infinity: stem.0.weight")


def test_negative_variance(write: Write) -> None:
    assert_refused(write(stem__1__running_var=torch.full((64,), -1.0)), "1 variances are negative", "stem.1")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (torch.zeros(64, 3, 7, 7, dtype=torch.int64), "stem.0.weight is a torch.int64 tensor"),
        (torch.zeros(64, 3, 7, 7, dtype=torch.complex64), "stem.0.weight is a torch.complex64 tensor"),
        (torch.zeros(64, 3, 7, 7).to_sparse(), "holds torch._utils._rebuild_sparse_tensor"),
        (torch.zeros(64, 3, 7, 7, device="meta"), "holds torch._utils._rebuild_meta_tensor_no_storage"),
        ("text", "stem.0.weight is a str"),
    ],
    ids=["integers", "complex", "sparse", "meta", "text"],
)
def test_tensors_of_another_kind(write: Write, value: Any, told: str) -> None:
    assert_refused(write(stem__0__weight=value), told)


def test_expanded_tensors_own_their_memory(write: Write) -> None:
    network, _ = load_checkpoint(write(stem__0__weight=torch.zeros(1).expand(64, 3, 7, 7)))
    assert network.stem[0].weight.untyped_storage().nbytes() == 64 * 3 * 7 * 7 * 4


# Files


def test_a_missing_file(tmp_path: Path) -> None:
    assert_refused(tmp_path / "absent.pt", "No such file")


def test_a_folder(tmp_path: Path) -> None:
    (folder := tmp_path / "folder.pt").mkdir()
    assert_refused(folder, "Is a directory")


@pytest.mark.parametrize("suffix", [".onnx", ".tar", ""])
def test_a_wrong_suffix(tmp_path: Path, suffix: str) -> None:
    (path := tmp_path / f"model{suffix}").write_bytes(b"x")
    assert_refused(path, ".safetensors, .pt, .pth, .pkl")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pkl"])
@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "the file is empty"),
        (b"x", ""),
        (b"\x00" * 64, ""),
        (b"\xff" * 64, ""),
        (b"PK\x03\x04" + b"\x00" * 60, ""),
        (b"<!DOCTYPE html><html></html>", ""),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", ""),
        (bytes(range(256)) * 40, ""),
    ],
)
def test_wrong_content(tmp_path: Path, suffix: str, data: bytes, part: str) -> None:
    (path := tmp_path / f"model{suffix}").write_bytes(data)
    assert_refused(path, part)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_file_cut_short(write: Write, suffix: str) -> None:
    data = (path := write(suffix)).read_bytes()
    for length in (1, 7, 8, 9, 100, len(data) // 10, len(data) // 2, len(data) * 9 // 10, len(data) - 1):
        path.write_bytes(data[:length])
        assert_refused(path, "copy or download it again")


def test_a_flipped_bit_in_a_torch_file(write: Write, tiny: DANet) -> None:
    data = bytearray((path := write(".pt")).read_bytes())
    data[data.index(tiny.stem[0].weight.detach().numpy().tobytes()) + 100] ^= 1
    path.write_bytes(data)
    assert_refused(path, "Bad CRC-32", "copy or download it again")


@pytest.mark.parametrize(
    ("written", "named"),
    [(".safetensors", ".pt"), (".safetensors", ".pkl"), (".pt", ".safetensors"), (".pt", ".pkl")],
)
def test_a_renamed_file(write: Write, written: str, named: str) -> None:
    path = write(written)
    load_checkpoint(path)  # the name is all that is wrong with it
    assert_refused(path.rename(path.with_suffix(named)))


def test_what_it_looks_like_is_said(write: Write) -> None:
    path = write(".pt")
    assert_refused(path.rename(path.with_suffix(".safetensors")), "looks like a zip archive")
    (pointer := path.with_suffix(".pt")).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert_refused(pointer, "git lfs pull")


@pytest.mark.parametrize("value", [[1, 2], torch.zeros(3), {}, {"model": 3}, {3: torch.zeros(1)}, {"state_dict": []}])
def test_torch_files_of_other_things(tmp_path: Path, value: Any) -> None:
    torch.save(value, path := tmp_path / "model.pt")
    assert_refused(path)


def test_a_torch_file_does_not_run_code(tmp_path: Path) -> None:
    sentinel = tmp_path / "sentinel"

    class Gadget:
        def __reduce__(self) -> Any:
            return Path.touch, (sentinel,)

    torch.save({"model": Gadget()}, path := tmp_path / "model.pt")
    assert_refused(path)
    assert not sentinel.exists()
    torch.load(path, weights_only=False)
    assert sentinel.exists()  # the gadget works where it is let


def test_a_zip_bomb(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/data/0", bytes(1 << 22))
    assert_refused(path, "unpacks to")


def test_a_huge_header(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(((16 << 20) + 8).to_bytes(8, "little") + b"{" + b" " * (17 << 20))
    assert_refused(path, "a header of 16777224 bytes, expected at most 16777216")


# Config and spec


def test_safetensors_of_another_program(tmp_path: Path, tiny: DANet) -> None:
    (path := tmp_path / "model.safetensors").write_bytes(save(tiny.state_dict()))
    assert_refused(path, "safetensors without danet.config")


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("", "not JSON"),
        ("[]", "expected an object"),
        ('{"name":"x","colour":1}', "unknown fields colour"),
        ('{"name":"x","format_version":99}', "update danet-edge"),
        ('{"name":"' + "x" * MAX_SPEC_BYTES + '"}', "1048576"),
        ('{"name":"x","keypoints":["nose"],"flip_pairs":[],"skeleton":[]}', "17 keypoints"),
        ('{"name":"x","input_size":[200,200]}', "multiples of 32"),
        ('{"name":"x","stride":8}', "stride 4"),
    ],
)
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_specs_that_do_not_fit(write: Write, suffix: str, spec: str, part: str) -> None:
    assert_refused(write(suffix, spec=spec), part, error=ModelSpecError)


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ("{", "network config"),
        ([], "expected a dict"),
        ({}, "network config"),
        ({"name": 3}, "name is a int"),
        ({"name": "x", "preset": "new"}, "network config"),
        ({"name": "x", "colour": 1}, "unknown fields colour"),
    ],
)
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_configs_that_do_not_fit(write: Write, suffix: str, config: Any, part: str) -> None:
    assert_refused(write(suffix, config=config), part if suffix == ".safetensors" or config != "{" else "dict")


@pytest.mark.parametrize("field", ["layers", "transitions"])
def test_a_dict_in_the_place_of_numbers(write: Write, tiny_config: DANetConfig, field: str) -> None:
    config = {**tiny_config.to_dict(), field: {1: 1, 2: 1, 3: 1, 4: 1}}
    assert_refused(write(config=config), "layers and transitions are tuples of four numbers")


@pytest.mark.parametrize("layers", [(128,) * 4, (3, 1, 1, 1), (2, 1, 1, 2)])
def test_a_config_of_more_layers_than_the_file_holds(write: Write, tiny_config: DANetConfig, layers: Any) -> None:
    assert_refused(write(config=replace(tiny_config, layers=layers).to_dict()))


def test_saving_refuses_a_contradicting_spec(tmp_path: Path, tiny: DANet) -> None:
    with pytest.raises(ModelSpecError, match="multiples of 32"):
        save_checkpoint(tmp_path / "x.safetensors", tiny, replace(SPEC, input_size=(40, 40)))
    assert not list(tmp_path.iterdir())


def test_saving_into_a_file_for_a_folder(tmp_path: Path, tiny: DANet) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ModelFileError, match="cannot be written"):
        save_checkpoint(tmp_path / "file" / "x.safetensors", tiny, SPEC)
