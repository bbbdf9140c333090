"""Checkpoint files: the native safetensors format, PyTorch files, and pickles of the MegEngine zoo."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from danet.bounded_file import read_at_most
from danet.errors import ModelFileError, ModelSpecError
from danet.files import write_beside
from danet.model_spec import MAX_SPEC_BYTES, SPEC_KEY, ModelSpec
from danet_network import restricted_pickle, torch_file
from danet_network.config import DANetConfig
from danet_network.count import count
from danet_network.model import STRIDE, DANet
from danet_network.weights import KNOWN, build, compare, expected_shapes, recognise, refuse_foreign
from danet_network.zoo import convert_zoo, preset_spec, zoo_spec

CONFIG_KEY = "danet.config"
"""Key of the network config's JSON in safetensors metadata."""
MAX_HEADER_BYTES = 16 << 20
MAX_FILE_BYTES = 1 << 30
_COARSEST_STRIDE = 32
_WRAPPERS = ("module.", "_orig_mod.")
"""Prefixes that AveragedModel, DistributedDataParallel and torch.compile put before every name."""
_COUNTER = "n_averaged"
"""What AveragedModel has beside the network."""
_STATE_KEYS = ("model", "state_dict", "model_state_dict")
"""Under which programs keep the state dict in a checkpoint."""
_LOOKS_LIKE = {
    b"PK\x03\x04": "a zip archive (PyTorch files are: .pt)",
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


def load_checkpoint(path: Path) -> tuple[DANet, ModelSpec]:
    """A network in eval mode, float32, on the CPU, and its spec.

    Files: `.safetensors` (native), `.pt`/`.pth` (a dict of "config", "spec" and "model"; a training
    state, of which the averaged weights are taken; or a bare state dict, whose config is recognised
    from its tensors), `.pkl` (model zoo). A PyTorch file without a spec gets that of its preset, which
    is said in `training_data`. The spec's `source_sha256` is that of the file, unless the file names
    an earlier source.

    Raises:
        ModelFileError: the file is missing, damaged, refused or of another kind, or its tensors do
            not fit the network.
        ModelSpecError: its spec is absent, malformed or contradicts the network.
    """
    network, content = _load(path)
    return network, content.spec


def describe_checkpoint(path: Path) -> CheckpointInfo:
    """Kind, config, spec and cost of a checkpoint, which is read and checked in full.

    Raises:
        ModelFileError, ModelSpecError: as `load_checkpoint`.
    """
    _, content = _load(path)
    cost = count(content.config, content.spec.input_size)
    return CheckpointInfo(content.kind, content.config, content.spec, cost.parameters, cost.gflops)


def _load(path: Path) -> tuple[DANet, _Content]:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ModelFileError(f"{path}: no checkpoint suffix; expected one of {', '.join(_READERS)}")
    data = _read_bytes(path)
    try:
        content = reader(data)
        _refuse_contradiction(content.config, content.spec)
        network = build(content.tensors, content.config)
    except (ModelFileError, ModelSpecError) as error:
        text = f"{path}: {error}"
        raise type(error)(text if text.isprintable() else ascii(text)) from error
    source = content.spec.source_sha256 or hashlib.sha256(data).hexdigest()
    return network, replace(content, spec=replace(content.spec, source_sha256=source))


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


def _read_native(data: bytes) -> _Content:
    header_size = int.from_bytes(data[:8], "little")
    if header_size > MAX_HEADER_BYTES:
        _not_a("safetensors", data, f"a header of {header_size} bytes, expected at most {MAX_HEADER_BYTES}")
    try:
        tensors = load_safetensors(data)
        metadata = json.loads(data[8 : 8 + header_size]).get("__metadata__") or {}
    except Exception as error:  # SafetensorError, and what PyTorch says to an odd dtype
        _not_a("safetensors", data, _line(error))
    if CONFIG_KEY not in metadata or SPEC_KEY not in metadata:
        raise ModelFileError(
            f"safetensors without {CONFIG_KEY} and {SPEC_KEY} in its metadata; write it with save_checkpoint"
        )
    return _Content(
        "native checkpoint", tensors, _config_from_json(metadata[CONFIG_KEY]), _spec_from_json(metadata[SPEC_KEY])
    )


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
        raise ModelSpecError(f"model spec: a {type(text).__name__}, expected JSON text")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_SPEC_BYTES:
        raise ModelSpecError(f"model spec: more than {MAX_SPEC_BYTES} bytes")
    return ModelSpec.from_json(text)


def _read_torch(data: bytes) -> _Content:
    values = _torch_values(data)
    training = {"average", "samples_seen"} <= values.keys()
    key = "average" if training else next((key for key in _STATE_KEYS if key in values), None)
    tensors = _unwrapped(values if key is None else values[key])
    config = _config_from(values["config"]) if "config" in values else _recognised(tensors)
    spec = _spec_from_json(values["spec"]) if "spec" in values else _assumed_spec(config)
    kind = "training state" if training else "PyTorch checkpoint" if "config" in values else "PyTorch state dict"
    return _Content("; ".join((kind, *_assumed(values, config))), tensors, config, spec)


def _assumed(values: dict[Any, Any], config: DANetConfig) -> Iterator[str]:
    """What a file leaves open, and how it was taken."""
    if "config" not in values:  # "gate" and "amplify" have the same tensors
        yield f"no config: spatial attention taken as {config.spatial_attention}"
    if "spec" not in values:
        yield f"no spec: that of preset {config.preset} taken"


def _assumed_spec(config: DANetConfig) -> ModelSpec:
    """The preset's spec, which says of itself that the file did not: it is written into each file made from it."""
    words = f"unknown; the checkpoint held no ModelSpec, that of preset {config.preset} was taken"
    return replace(preset_spec(config), training_data=words)


def _torch_values(data: bytes) -> dict[Any, Any]:
    if not data.startswith(b"PK\x03\x04"):
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


def _unwrapped(values: object) -> dict[str, Tensor]:
    """A state dict without the prefixes and counters of the modules that wrapped the network."""
    if not isinstance(values, dict) or not values or not all(isinstance(name, str) for name in values):
        raise ModelFileError(f"holds a {type(values).__name__}, expected a dict of tensors by name")
    tensors = {name: value for name, value in values.items() if name != _COUNTER}
    while prefix := next((p for p in _WRAPPERS if tensors and all(name.startswith(p) for name in tensors)), ""):
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items() if name != prefix + _COUNTER}
    refuse_foreign(tensors)
    return tensors


def _recognised(tensors: dict[str, Tensor]) -> DANetConfig:
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    return recognise({config: compare(shapes, expected_shapes(config)) for config in KNOWN}, len(tensors))


def _read_zoo(data: bytes) -> _Content:
    tensors, config = convert_zoo(restricted_pickle.load(data))
    return _Content("zoo checkpoint", tensors, config, zoo_spec(config))


_READERS: dict[str, Callable[[bytes], _Content]] = {
    ".safetensors": _read_native,
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".pkl": _read_zoo,
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
