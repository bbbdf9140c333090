"""From a checkpoint or a network to files that are proven to compute the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from danet.backends.base import BackendOptions
from danet.backends.registry import load_model
from danet.commands.outputs import refuse_over
from danet.errors import DanetError, InputError
from danet.files import move_together, refuse_folder, scratch_beside
from danet.model_spec import ModelSpec, Precision, Refinement, is_file_name
from danet_converters.deployed import DeployedNetwork
from danet_converters.parity import TOLERANCES, Parity, Tolerance, compare, sample_crops
from danet_converters.simplify import Rewrites, simplify
from danet_converters.to_onnx import write_onnx
from danet_converters.to_openvino import write_ir
from danet_converters.to_tflite import write_tflite
from danet_network.checkpoint import load_checkpoint
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
    weights: str | None = None
    """Its name among the precisions where that is not the precision's own, as for int8 weights alone."""

    @property
    def label(self) -> str:
        """What `danet convert --precision` and file names call it."""
        return self.weights or self.precision


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how close it is to its checkpoint."""

    path: Path
    parity: Parity


TARGETS = (
    Target("onnx", "fp32", (".onnx",), Rewrites(), write_onnx),
    Target("openvino", "fp32", (".xml", ".bin"), Rewrites(), write_ir),
    Target("openvino", "fp16", (".xml", ".bin"), Rewrites(), write_ir),
    Target("tflite", "fp32", (".tflite",), Rewrites(), write_tflite),
    Target("tflite", "fp16", (".tflite",), Rewrites(), write_tflite),
    Target("tflite", "int8", (".tflite",), Rewrites(), write_tflite, "dynamic-int8"),
)
"""Every format and precision that can be exported. The rewrites were chosen by measurement:
docs/conversion.md.
"""


def choose_targets(formats: list[str], precisions: list[str], *, quantized: bool = False) -> list[Target]:
    """The targets for the formats and precisions (labels) asked for, before any work is done.

    Args:
        formats: names such as "onnx".
        precisions: labels of targets.
        quantized: whether the formats are asked for in calibrated INT8 too, so that one may have none of these.

    Raises:
        InputError: a format that has none of the precisions, or a precision that none of the formats has.
    """
    for name in () if quantized else formats:
        offered = [target.label for target in TARGETS if target.format == name]
        if not set(offered) & set(precisions):
            raise InputError(f"{name} in {'/'.join(precisions)}: expected {'/'.join(offered) or 'another format'}")
    labels = dict.fromkeys(target.label for target in TARGETS if target.format in formats)
    if missing := [precision for precision in precisions if precision not in labels]:
        raise InputError(f"{'/'.join(missing)} in {'/'.join(formats)}: expected {'/'.join(labels)}, or another format")
    return [target for target in TARGETS if target.format in formats and target.label in precisions]


def export(
    checkpoint: Path,
    target: Target,
    folder: Path,
    name: str | None = None,
    decoder: Refinement | None = None,
    box_padding: float | None = None,
) -> Exported:
    """Write one file of a checkpoint to `folder`, if it passes the parity check.

    Args:
        checkpoint: to read.
        target: format and precision.
        folder: made if need be.
        name: of the file, without suffix; the model's if not given.
        decoder: how the file's spec refines locations; as the checkpoint's if not given.
        box_padding: of the file's spec; the checkpoint's if not given.

    Raises:
        ModelFileError: the checkpoint cannot be read.
        ModelSpecError: a padding that no crop could have.
        InputError: no name of a file, or the checkpoint itself would be written over.
        ParityError: the file differs from the checkpoint by more than its tolerance; nothing is written.
    """
    (done,) = export_all(checkpoint, [target], folder, name, decoder, box_padding)
    return done


def export_all(
    checkpoint: Path,
    targets: Sequence[Target],
    folder: Path,
    name: str | None = None,
    decoder: Refinement | None = None,
    box_padding: float | None = None,
    given: Path | None = None,
) -> Iterator[Exported]:
    """`export` for several targets, one after the other; files of one graph are made from one tracing of the network.

    Args:
        checkpoint: as `export`'s.
        targets: formats and precisions.
        folder: as `export`'s.
        name: the same.
        decoder: the same.
        box_padding: the same.
        given: what the checkpoint was made from, which is not written over either.

    Raises:
        ModelFileError, ModelSpecError, InputError, ParityError: as `export`; the files of the targets before stay.
    """
    network, spec = load_checkpoint(checkpoint)
    for target in targets:  # before any of them is written: a checkpoint may be a .bin, as an IR's weights are
        path = _path(spec, target, folder, name)
        for suffix in target.suffixes:
            refuse_over(path.with_suffix(suffix), [checkpoint, given])
    spec = _as_asked(spec, decoder, box_padding)
    forms: dict[Rewrites, DeployedNetwork] = {}
    for target in targets:
        if target.rewrites not in forms:
            forms[target.rewrites] = DeployedNetwork(simplify(network, target.rewrites), spec).eval()
        yield _export(network, forms[target.rewrites], spec, target, folder, name)


def _as_asked(spec: ModelSpec, decoder: Refinement | None, box_padding: float | None) -> ModelSpec:
    """The spec with another refinement and padding, its metrics with a note of those that they were measured with."""
    asked = spec.decoded_by(decoder).padded_by(box_padding)
    note = ""
    if asked.decoder != spec.decoder:
        note += f", decoder {spec.decoder.refinement}"
    if asked.box_padding != spec.box_padding:
        note += f", box padding {spec.box_padding:g}"
    return replace(asked, metrics=tuple(replace(one, method=one.method + note) for one in spec.metrics))


def export_network(
    network: nn.Module,
    deployed: nn.Module,
    spec: ModelSpec,
    target: Target,
    folder: Path,
    name: str | None = None,
    allowed: Tolerance | None = None,
) -> Exported:
    """Write one file of any network to `folder`, if it passes the parity check.

    Args:
        network: normalised images (N, 3, H, W) -> heatmaps (N, K, H / stride, W / stride); in eval mode.
        deployed: what is written: the same function, in the form that runs best.
        spec: of the file, but for its precision, which is the target's.
        target: format and precision.
        folder: made if need be.
        name: of the file, without suffix; the spec's if not given.
        allowed: that the file may differ; by its precision if not given.

    Raises:
        InputError: no name of a file.
        ParityError: the file differs from `network` by more than its tolerance; nothing is written.
    """
    return _export(network, DeployedNetwork(deployed, spec).eval(), spec, target, folder, name, allowed)


def _export(
    network: nn.Module,
    deployed: DeployedNetwork,
    spec: ModelSpec,
    target: Target,
    folder: Path,
    name: str | None,
    allowed: Tolerance | None = None,
) -> Exported:
    path = _path(spec, target, folder, name)
    spec = _rounded(spec, target)
    with written_whole(path, target.suffixes) as written:
        with torch.no_grad():
            target.write(deployed, spec, written)
        parity = _checked(written, network, spec, allowed or TOLERANCES[spec.precision])
    return Exported(path, parity)


def _path(spec: ModelSpec, target: Target, folder: Path, name: str | None) -> Path:
    """The file to open of those that will be written."""
    if name is not None:
        refuse_other_names(name)
    return folder / f"{name or spec.name}{'' if target.label == 'fp32' else '-' + target.label}{target.suffixes[0]}"


def _rounded(spec: ModelSpec, target: Target) -> ModelSpec:
    """The spec with the target's precision, and its metrics with a note where another was measured."""
    if target.precision == spec.precision:
        return spec
    metrics = tuple(replace(one, method=f"{one.method}; of the {spec.precision} checkpoint") for one in spec.metrics)
    return replace(spec, precision=target.precision, metrics=metrics)


def refuse_other_names(name: str) -> None:
    """Refuse what is no plain name of a file, or leads out of its folder.

    Raises:
        InputError: such a name.
    """
    if not is_file_name(name):
        raise InputError(f"name {name!r:.80}, expected a file's name without folder; the folder is named by --out")


@contextmanager
def written_whole(path: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """A temporary path for a model of one or more files, which are moved to `path` when the block ends well.

    Raises:
        OSError: as `danet.files.scratch_beside` and `move_together`.
    """
    for suffix in suffixes:
        refuse_folder(path.with_suffix(suffix))
    with scratch_beside(path) as scratch:
        written = scratch / path.name
        yield written
        move_together([written.with_suffix(suffix) for suffix in suffixes], path.parent)


def _checked(path: Path, network: nn.Module, spec: ModelSpec, allowed: Tolerance) -> Parity:
    candidate = load_model(path, None, BackendOptions(keep_compiled=False))
    try:
        if candidate.spec != spec:
            raise ParityError(f"{path.name}: the spec read back differs from the one written; not kept")
        parity = compare(TorchRunner(network, spec), candidate.backend, spec, sample_crops(spec))
    finally:
        candidate.backend.close()
    if not parity.within(allowed):
        raise ParityError(
            f"{path.name} differs from its checkpoint by {parity.heatmaps:.2g} of the heatmaps' range and "
            f"moves {parity.moved} of {parity.compared} keypoints, by up to {parity.keypoints:.3g} px; allowed are "
            f"{allowed.heatmaps:.2g} and {allowed.moved:.0%} of the keypoints; not kept"
        )
    return parity
