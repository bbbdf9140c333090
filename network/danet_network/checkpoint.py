"""Checkpoint files: the native safetensors format, PyTorch files, and pickles of the MegEngine zoo.

What other programs put into theirs is read as far as the tensors say which network they are of.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from danet.bounded_file import read_at_most
from danet.errors import InputError, ModelFileError, ModelSpecError
from danet.files import write_beside
from danet.model_spec import MAX_SPEC_BYTES, SPEC_KEY, ModelSpec
from danet_network import restricted_pickle, torch_file
from danet_network.config import DANetConfig
from danet_network.count import count
from danet_network.facts import SUFFIXES, checkpoint_suffix
from danet_network.model import STRIDE, DANet
from danet_network.state_dicts import choose
from danet_network.weights import KNOWN, build
from danet_network.zoo import convert_zoo, preset_spec, zoo_spec

CONFIG_KEY = "danet.config"
"""Key of the network config's JSON in safetensors metadata."""
MAX_HEADER_BYTES = 16 << 20
MAX_FILE_BYTES = 1 << 30
_COARSEST_STRIDE = 32
_OWN_CONFIG = frozenset({"transitions", "decoder_width", "channel_attention", "spatial_attention"})
"""Fields by one of which a config is danet's, and not the hyper-parameters of another program. The last are no part of
what tensors say, so that a config with one of them must not be left out."""
_OWN_SPEC = frozenset({"box_padding", "color_order", "flip_pairs", "decoder"})
"""The same of a spec that is a dict, where danet's own are JSON text."""
_ZIP = b"PK\x03\x04"
_LOOKS_LIKE = {
    _ZIP: "a zip archive (PyTorch files are: .pt)",
    b"\x80": "a Python pickle (zoo files are: .pkl)",
    b"version https://git-lfs": "a Git LFS pointer (run git lfs pull)",
    b"<": "a web page (the download failed)",
}


@dataclass(frozen=True)
class _Content:
    """What a file holds, before it is fitted to a network."""

    kind: str
    tensors: dict[str, Tensor]
    config: DANetConfig
    spec: ModelSpec
    notes: tuple[str, ...] = ()
    assumed_spec: bool = False


@dataclass(frozen=True)
class CheckpointInfo:
    """What `danet info` says about a checkpoint."""

    kind: str
    """And what the file leaves open, with how it was taken."""
    config: DANetConfig
    spec: ModelSpec
    parameters: int
    gflops: float
    """Multiply-adds for one crop of `spec.input_size`, in units of 1e9."""
    notes: tuple[str, ...]
    """What the file leaves open alone, a clause each."""
    assumed_spec: bool
    """Whether the file holds no ModelSpec, and `spec` is that of its preset."""


def save_checkpoint(path: Path, network: DANet, spec: ModelSpec) -> None:
    """Write the native format: float32 tensors, with the spec and the network's config in the metadata.

    The same network and spec give the same bytes.

    Raises:
        ModelFileError: the file cannot be written.
        ModelSpecError: the spec contradicts the network.
    """
    _refuse_contradiction(network.config, spec)
    tensors = {name: _to_save(tensor) for name, tensor in network.state_dict().items()}
    metadata = {SPEC_KEY: spec.to_json(), CONFIG_KEY: json.dumps(network.config.to_dict())}
    try:
        data = _with_sorted_header(save_safetensors(tensors, metadata))
        with write_beside(path) as temporary:
            temporary.write_bytes(data)
    except (OSError, SafetensorError) as error:
        raise ModelFileError(f"{path}: cannot be written ({_line(error)})") from error


def load_checkpoint(path: Path, *, weights: str | None = None) -> tuple[DANet, ModelSpec]:
    """A network in eval mode, float32, on the CPU, and its spec.

    Files: `.safetensors` (native, or a bare state dict); `.pt`, `.pth`, `.pth.tar`, `.ckpt` and PyTorch's
    `.bin` (a dict of "config", "spec" and "model"; a training state, of which the averaged weights are
    taken; or what other programs write, whose config is recognised from the tensors); `.pkl` (model zoo).
    A file without a spec gets that of its preset, which is said in `training_data`. The spec's
    `source_sha256` is that of the file, unless the file names an earlier source.

    Args:
        path: of the file.
        weights: key of the state dict to take, such as "model" or "state_dict.net", where the file holds
            several. If not given, averaged weights go before the last ones (`state_dicts.choose`);
            `describe_checkpoint` says which were taken and which were not.

    Raises:
        InputError: `weights` is no key of the file's.
        ModelFileError: the file is missing, damaged, refused or of another kind, or its tensors do
            not fit the network.
        ModelSpecError: its spec is malformed or contradicts the network.
    """
    network, content = _load(path, weights)
    return network, content.spec


def describe_checkpoint(path: Path, *, weights: str | None = None) -> CheckpointInfo:
    """Kind, config, spec and cost of a checkpoint, which is read and checked in full.

    Raises:
        InputError, ModelFileError, ModelSpecError: as `load_checkpoint`.
    """
    _, content = _load(path, weights)
    cost = count(content.config, content.spec.input_size)
    return CheckpointInfo(
        "; ".join((content.kind, *content.notes)),
        content.config,
        content.spec,
        cost.parameters,
        cost.gflops,
        content.notes,
        content.assumed_spec,
    )


def _load(path: Path, weights: str | None) -> tuple[DANet, _Content]:
    reader = _READERS.get(checkpoint_suffix(path))
    if reader is None:
        raise ModelFileError(f"{path}: no checkpoint suffix; expected one of {', '.join(SUFFIXES)}")
    data = _read_bytes(path)
    try:
        content = reader(data, weights)
        _refuse_contradiction(content.config, content.spec)
        network = _built(content)
    except (InputError, ModelFileError, ModelSpecError) as error:
        text = f"{path}: {error}"
        raise type(error)(text if text.isprintable() else ascii(text)) from error
    source = content.spec.source_sha256 or hashlib.sha256(data).hexdigest()
    return network, replace(content, spec=replace(content.spec, source_sha256=source))


def _built(content: _Content) -> DANet:
    try:
        return build(content.tensors, content.config)
    except ModelFileError as error:  # the file may hold others, which are sound
        raise ModelFileError("; ".join((str(error), *content.notes))) from error


def _read_bytes(path: Path) -> bytes:
    try:
        data = read_at_most(path, MAX_FILE_BYTES)
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if len(data) > MAX_FILE_BYTES:
        raise ModelFileError(f"{path}: more than {MAX_FILE_BYTES} bytes, expected a checkpoint; check the path")
    if not data:
        raise ModelFileError(f"{path}: the file is empty; copy or download it again")
    return data


def _line(error: BaseException) -> str:
    """A foreign error's message, as part of a line."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _not_a(format_name: str, data: bytes, why: str) -> NoReturn:
    kinds = [kind for prefix, kind in _LOOKS_LIKE.items() if data.startswith(prefix) and format_name not in kind]
    looks = f"; it looks like {kinds[0]}" if kinds else ""
    raise ModelFileError(f"not a whole {format_name} file ({why}){looks}; copy or download it again")


def _read_safetensors(data: bytes, weights: str | None) -> _Content:
    header_size = int.from_bytes(data[:8], "little")
    if header_size > MAX_HEADER_BYTES:
        _not_a("safetensors", data, f"a header of {header_size} bytes, expected at most {MAX_HEADER_BYTES}")
    try:
        tensors = load_safetensors(data)
        metadata = json.loads(data[8 : 8 + header_size]).get("__metadata__") or {}
    except Exception as error:  # SafetensorError, and what PyTorch says to an odd dtype
        _not_a("safetensors", data, _line(error))
    if CONFIG_KEY in metadata and SPEC_KEY in metadata:
        _refuse_choice(weights, "a native checkpoint")
        config, spec = _config_from_json(metadata[CONFIG_KEY]), _spec_from_json(metadata[SPEC_KEY])
        return _Content("native checkpoint", tensors, config, spec)
    lacking = f"safetensors without {CONFIG_KEY} and {SPEC_KEY} in its metadata"
    if CONFIG_KEY in metadata or SPEC_KEY in metadata:
        raise ModelFileError(f"{lacking}, which has one of them; write it with save_checkpoint")
    try:
        return _of_another_program("safetensors state dict", tensors, {}, weights)
    except ModelFileError as error:
        raise ModelFileError(f"{lacking}, and by its tensors: {error}; write it with save_checkpoint") from error


def _refuse_choice(weights: str | None, what: str) -> None:
    if weights is not None:
        raise InputError(f"weights {weights[:80]!a} of {what}, which holds one state dict; leave it out")


def _config_from_json(text: str) -> DANetConfig:
    try:
        if len(text) > MAX_SPEC_BYTES:
            raise ValueError(f"{len(text)} characters, expected at most {MAX_SPEC_BYTES}")
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"network config: not JSON ({_line(error)})") from error
    return _config_from(values)


def _config_from(values: object) -> DANetConfig:
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ModelFileError(f"network config: a {type(values).__name__}, expected a dict by field name")
    if not isinstance(values.get("name", ""), str):
        raise ModelFileError(f"network config: name is a {type(values['name']).__name__}, expected text")
    return DANetConfig.from_dict(values)


def _spec_from_json(text: object) -> ModelSpec:
    if not isinstance(text, str):
        raise ModelSpecError(f"model spec: a {type(text).__name__}, expected JSON text; save spec.to_json()")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_SPEC_BYTES:
        raise ModelSpecError(f"model spec: more than {MAX_SPEC_BYTES} bytes")
    return ModelSpec.from_json(text)


def _read_torch(data: bytes, weights: str | None) -> _Content:
    values = _torch_values(data)
    training = {"average", "samples_seen"} <= values.keys()
    if training and weights is None:
        return _of_another_program("training state", values["average"], values, None)
    return _of_another_program("training state" if training else "PyTorch state dict", values, values, weights)


def _read_bin(data: bytes, weights: str | None) -> _Content:
    if not data.startswith(_ZIP):
        raise ModelFileError(
            "a .bin that torch.save did not write, expected a checkpoint; weights of an OpenVINO IR are no checkpoint: "
            "open the .xml beside them, or convert the checkpoint that they were made from"
        )
    return _read_torch(data, weights)


def _of_another_program(kind: str, held: object, values: Mapping[Any, Any], weights: str | None) -> _Content:
    """What a file holds that may lack a config or a spec, or have others' by the same names.

    Args:
        kind: what to call it.
        held: in what to look for tensors.
        values: in what to look for "config" and "spec".
        weights: as in `load_checkpoint`.
    """
    config, broken = _stated_config(values)
    try:
        choice = choose(held, config, KNOWN, weights)
    except ModelFileError as error:
        if broken is None:
            raise
        raise ModelFileError(f"{broken}; and without a config: {error}") from error
    spec = _stated_spec(values, trusted=config is not None)
    if config is not None and kind == "PyTorch state dict":
        kind = "PyTorch checkpoint"
    config, notes = choice.config, [*choice.notes]
    if broken is not None or "config" not in values:  # "gate" and "amplify" have the same tensors
        what = "no config" if broken is None else "config of another program"
        notes.append(f"{what}: spatial attention taken as {config.spatial_attention}")
    if spec is None:
        what = "spec of another program" if "spec" in values else "no spec"
        notes.append(f"{what}: that of preset {config.preset} taken")
    stated = _assumed_spec(config) if spec is None else spec
    return _Content(kind, choice.taken.tensors, config, stated, tuple(notes), spec is None)


def _stated_config(values: Mapping[Any, Any]) -> tuple[DANetConfig | None, ModelFileError | None]:
    """The file's config, if it has one of danet's; why it is none, where it may be another program's.

    Raises:
        ModelFileError: it is danet's, and wrong.
    """
    if "config" not in values:
        return None, None
    stated = values["config"]
    try:
        return _config_from(stated), None
    except ModelFileError as error:
        if isinstance(stated, dict) and not _OWN_CONFIG.isdisjoint(stated):
            raise
        return None, error


def _stated_spec(values: Mapping[Any, Any], *, trusted: bool) -> ModelSpec | None:
    """The file's spec; None if it has none, or another program's.

    Args:
        values: what the file holds.
        trusted: whether the config is danet's, so that the spec must be as well.

    Raises:
        ModelSpecError: it is danet's, and wrong.
    """
    if "spec" not in values:
        return None
    stated = values["spec"]
    if isinstance(stated, str):
        own = stated.lstrip()[:1] == "{"
    else:
        own = isinstance(stated, dict) and not _OWN_SPEC.isdisjoint(stated)
    return _spec_from_json(stated) if own or trusted else None


def _assumed_spec(config: DANetConfig) -> ModelSpec:
    """The preset's spec, which says of itself that the file did not: it is written into each file made from it."""
    words = f"unknown; the checkpoint held no ModelSpec, that of preset {config.preset} was taken"
    return replace(preset_spec(config), training_data=words)


def _torch_values(data: bytes) -> dict[Any, Any]:
    if not data.startswith(_ZIP):
        _not_a("PyTorch", data, "no zip archive, which torch.save has written since PyTorch 1.6")
    try:
        values = torch_file.load(data)
    except ModelFileError:
        raise
    except Exception as error:  # zipfile and torch.load raise many kinds on malformed input
        _not_a("PyTorch", data, _line(error))
    if not isinstance(values, dict):
        raise ModelFileError(f"a PyTorch file that holds a {type(values).__name__}, expected a dict of tensors")
    return values


def _read_zoo(data: bytes, weights: str | None) -> _Content:
    _refuse_choice(weights, "a zoo checkpoint")
    tensors, config = convert_zoo(restricted_pickle.load(data))
    return _Content("zoo checkpoint", tensors, config, zoo_spec(config))


_READERS: dict[str, Callable[[bytes, str | None], _Content]] = {
    ".safetensors": _read_safetensors,
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".pkl": _read_zoo,
    ".ckpt": _read_torch,
    ".bin": _read_bin,
    ".pth.tar": _read_torch,
}


def _refuse_contradiction(config: DANetConfig, spec: ModelSpec) -> None:
    sizes = all(side % _COARSEST_STRIDE == 0 for side in spec.input_size)
    if len(spec.keypoints) != config.keypoints or spec.stride != STRIDE or not sizes:
        raise ModelSpecError(
            f"model spec: {len(spec.keypoints)} keypoints, stride {spec.stride}, input size {spec.input_size}; "
            f"the network has {config.keypoints} keypoints, stride {STRIDE} and takes multiples of {_COARSEST_STRIDE}"
        )


def _to_save(tensor: Tensor) -> Tensor:
    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to("cpu", dtype, copy=True, memory_format=torch.contiguous_format)


def _with_sorted_header(data: bytes) -> bytes:
    """Safetensors data with its header's keys in order; the library writes metadata in random order."""
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # tensors start at multiples of 8 bytes
    return len(header).to_bytes(8, "little") + header + data[8 + size :]
