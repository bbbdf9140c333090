"""From a checkpoint to files that are proven to compute the same."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from danet.backends.base import BackendOptions
from danet.backends.registry import load_model
from danet.errors import DanetError, InputError
from danet.model_spec import ModelSpec, Precision
from danet_converters.deployed import DeployedNetwork
from danet_converters.parity import TOLERANCES, Parity, compare, sample_crops
from danet_converters.simplify import Rewrites
from danet_converters.to_onnx import write_onnx
from danet_converters.to_openvino import write_ir
from danet_network.checkpoint import load_checkpoint
from danet_network.model import DANet
from danet_network.runner import TorchRunner


class ParityError(DanetError):
    """An exported file does not compute what its checkpoint computes; it was not kept."""


@dataclass(frozen=True)
class Target:
    """One kind of file."""

    format: str
    precision: Precision
    suffixes: tuple[str, ...]
    """Of the files written; the first is the one to open."""
    rewrites: Rewrites
    write: Callable[[DeployedNetwork, ModelSpec, Path], None]


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how close it is to its checkpoint."""

    path: Path
    parity: Parity


TARGETS = (
    Target("onnx", "fp32", (".onnx",), Rewrites(), write_onnx),
    Target("openvino", "fp32", (".xml", ".bin"), Rewrites(), write_ir),
    Target("openvino", "fp16", (".xml", ".bin"), Rewrites(), write_ir),
)
"""Every format and precision that can be exported. The rewrites were chosen by measurement:
docs/conversion.md.
"""


def choose_targets(formats: list[str], precisions: list[Precision]) -> list[Target]:
    """The targets for the formats and precisions asked for, before any work is done.

    Raises:
        InputError: a format that has none of the precisions.
    """
    for name in formats:
        offered = [target.precision for target in TARGETS if target.format == name]
        if not set(offered) & set(precisions):
            raise InputError(f"{name} in {'/'.join(precisions)}: expected {'/'.join(offered) or 'another format'}")
    return [target for target in TARGETS if target.format in formats and target.precision in precisions]


def export(checkpoint: Path, target: Target, folder: Path, name: str | None = None) -> Exported:
    """Write one file of a checkpoint to `folder`, if it passes the parity check.

    Raises:
        ModelFileError: the checkpoint cannot be read.
        ParityError: the file differs from the checkpoint by more than its tolerance; nothing is written.
    """
    network, spec = load_checkpoint(checkpoint)
    spec = replace(spec, precision=target.precision)
    stem = f"{name or spec.name}{'' if target.precision == 'fp32' else '-' + target.precision}"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{stem}.") as scratch:
        written = Path(scratch) / f"{stem}{target.suffixes[0]}"
        with torch.no_grad():
            target.write(DeployedNetwork(network, spec, target.rewrites).eval(), spec, written)
        parity = _checked(written, network, spec)
        # the file that opens the model goes first and comes last, so that a kill in between leaves
        # neither half a model nor old topology with new weights
        if len(target.suffixes) > 1:
            (folder / written.name).unlink(missing_ok=True)
        for suffix in reversed(target.suffixes):
            written.with_suffix(suffix).replace(folder / f"{stem}{suffix}")
    return Exported(folder / f"{stem}{target.suffixes[0]}", parity)


def _checked(path: Path, network: DANet, spec: ModelSpec) -> Parity:
    candidate = load_model(path, None, BackendOptions())
    if candidate.spec != spec:
        raise ParityError(f"{path.name}: the spec read back differs from the one written; not kept")
    try:
        parity = compare(TorchRunner(network, spec), candidate.backend, spec, sample_crops(spec))
    finally:
        candidate.backend.close()
    allowed = TOLERANCES[spec.precision]
    if not parity.within(allowed):
        raise ParityError(
            f"{path.name} differs from its checkpoint by {parity.heatmaps:.2g} of the heatmaps' range and "
            f"moves {parity.moved} of {parity.compared} keypoints, by up to {parity.keypoints:.3g} px; allowed are "
            f"{allowed.heatmaps:.2g} and {allowed.moved:.0%} of the keypoints; not kept"
        )
    return parity
