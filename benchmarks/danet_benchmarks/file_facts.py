"""What a model file is, told without running it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from danet.backends.base import BackendOptions
from danet.backends.registry import load_model
from danet.errors import MissingExtraError, ModelFileError
from danet.model_spec import ModelSpec
from danet_benchmarks.graph_cost import graph_cost
from danet_network.config import FAMILY, Preset, danet_config
from danet_network.facts import SUFFIXES as CHECKPOINT_SUFFIXES
from danet_network.facts import checkpoint_suffix

if TYPE_CHECKING:
    from danet_network.count import Cost


@dataclass(frozen=True)
class FileFacts:
    """Of one model file."""

    spec: ModelSpec
    file_mib: float
    """With the weights file where that is another."""
    parameters_m: float | None = None
    """10^6 parameters of the network as trained, where that is known, else of the file."""
    gmacs: float | None = None
    """10^9 multiply-adds to a person, as the paper counts; of the file where its network is not known."""
    executed_gmacs: float | None = None
    """10^9 multiply-adds that the file does for a person: without what serves training alone."""


def read_facts(path: Path) -> FileFacts:
    """Read a model file of any kind that a backend opens.

    Raises:
        ModelFileError: it cannot be read, or carries no spec.
        ModelSpecError: its spec cannot be read.
        MissingExtraError: a checkpoint, and torch is not installed.
    """
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file")
    if checkpoint_suffix(path) in CHECKPOINT_SUFFIXES:
        return _of_checkpoint(path)
    # OpenVINO reads ONNX as well, and compiles nothing before the first inference
    reader = "openvino" if path.suffix.lower() in (".xml", ".onnx") else None
    loaded = load_model(path, reader, BackendOptions())
    loaded.backend.close()
    if loaded.spec is None:
        raise ModelFileError(f"{path}: carries no model spec; give it as --foreign if it is a pose network")
    cost = graph_cost(path)
    executed = cost.multiply_adds / 1e9
    of_file = FileFacts(loaded.spec, _mib(path), cost.parameters / 1e6, executed, executed)
    return _with_trained_cost(of_file)


def file_sha256(path: Path) -> str:
    """Of the file's bytes, as `ModelSpec.source_sha256` holds it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _of_checkpoint(path: Path) -> FileFacts:
    try:
        from danet_network.checkpoint import describe_checkpoint
        from danet_network.count import count
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading a checkpoint", "torch", error.name or "torch") from error
    info = describe_checkpoint(path)
    spec = replace(info.spec, source_sha256=file_sha256(path))
    executed = count(info.config, spec.input_size, deployed=True).gflops
    return FileFacts(spec, _mib(path), info.parameters / 1e6, info.gflops, executed)


def _with_trained_cost(facts: FileFacts) -> FileFacts:
    """Parameters and multiply-adds as the paper counts them, with the regressors that only training uses."""
    try:
        cost = _trained_cost(facts.spec)
    except ModuleNotFoundError:
        return facts  # without torch the file's own figures stand, some 2 % lower
    if cost is None:
        return facts
    return replace(facts, parameters_m=cost.parameters / 1e6, gmacs=cost.gflops)


def _trained_cost(spec: ModelSpec) -> Cost | None:
    """Of a member of DANet's family or a rival; None for others, for which torch is not even imported."""
    if spec.preset == "rival" and spec.name not in FAMILY:
        import torch

        from danet_benchmarks.rivals.registry import RIVALS
        from danet_network.count import count_network

        with torch.device("meta"):
            return count_network(RIVALS[spec.name].build(), spec.input_size) if spec.name in RIVALS else None
    preset = "paper" if spec.preset == "rival" else spec.preset
    if spec.name not in FAMILY or preset not in get_args(Preset):
        return None
    from danet_network.count import count

    return count(danet_config(spec.name, cast(Preset, preset)), spec.input_size)


def _mib(path: Path) -> float:
    parts = (path, path.with_suffix(".bin")) if path.suffix.lower() == ".xml" else (path,)
    return sum(part.stat().st_size for part in parts if part.is_file()) / (1 << 20)
