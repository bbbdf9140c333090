"""`danet convert`: a checkpoint becomes model files."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from danet.commands.command import Command
from danet.commands.console import human, progress_bar, wrong_use
from danet.commands.model_options import add_spec_options
from danet.errors import InputError, MissingExtraError, ModelFileError
from danet.files import scratch_beside
from danet.model_files import files_state
from danet_network.facts import SUFFIXES, checkpoint_suffix

if TYPE_CHECKING:
    from danet.model_spec import ModelSpec, Refinement
    from danet_converters.export import Target
    from danet_network.checkpoint import CheckpointInfo

GATED = "int8"
"""The precision whose files are written only if their accuracy passes a gate."""
Quantizer = Callable[[Path, list[str], Path, str | None, Path | None], int]
QUANTIZERS = "danet.quantizers"
"""Entry-point group of a function (checkpoint, formats, folder, name, data) -> exit status."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", type=Path, help=f"{', '.join(SUFFIXES)}; .pkl: of the MegEngine zoo"
    )
    parser.add_argument(
        "--to", nargs="+", choices=("onnx", "openvino", "tflite"), default=["openvino"], help="formats (openvino)"
    )
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=("fp32", "fp16", "dynamic-int8", "int8"),
        default=["fp32"],
        help="of the weights (fp32); ONNX: fp32 and int8; dynamic-int8: TFLite, without data; int8 is calibrated and "
        "gated as by danet quantize",
    )
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path(), help="folder of the files (here)")
    parser.add_argument("--name", help="file name without suffix; the model's name if not given")
    parser.add_argument("--data", metavar="DIR", type=Path, help="for int8: what to calibrate and to measure on")
    parser.add_argument(
        "--weights",
        metavar="KEY",
        help="which state dict of a file that holds several, such as model or ema (averaged weights go first)",
    )
    add_spec_options(parser)


def _wrong_use(options: argparse.Namespace) -> str | None:
    for option, value in (("--decoder", options.decoder), ("--box-padding", options.box_padding)):
        if value is not None and GATED in options.precision:
            return (
                f"{option} {value} with --precision {GATED}: quantized files keep the decoder and the padding of the "
                f"file that they are made from; convert to fp32 with {option}, then run danet quantize on that file"
            )
    if options.weights is not None and GATED in options.precision:
        return (
            f"--weights {options.weights} with --precision {GATED}: quantized files are made from the weights that are "
            "taken by themselves; convert to fp32 with --weights, then run danet quantize on that file"
        )
    if options.data is not None and GATED not in options.precision:
        return f"--data {options.data} is for --precision {GATED}, which alone is calibrated; leave it out"
    return None


def _run(options: argparse.Namespace) -> int:
    if wrong := _wrong_use(options):
        return wrong_use("convert", wrong)
    labels = [label for label in options.precision if label != GATED]
    targets = _targets(options, labels) if labels else []
    quantize = _quantizer(options) if GATED in options.precision else None
    tell_assumptions(options.checkpoint, options.weights, options.decoder, options.box_padding)
    state = files_state(options.checkpoint)
    if targets:
        with _chosen_weights(options) as checkpoint:
            _export(options, checkpoint, targets)
    if quantize is None:
        return 0
    if files_state(options.checkpoint) != state:
        raise ModelFileError(
            f"{options.checkpoint} was changed after its float files were written, so that INT8 would be of other "
            "weights; does a training go on? Convert a copy"
        )
    return quantize(options.checkpoint, options.to, options.out, options.name, options.data)


def _targets(options: argparse.Namespace, labels: list[str]) -> list[Target]:
    try:
        from danet_converters.export import choose_targets
    except ModuleNotFoundError as error:
        raise MissingExtraError("danet convert", "convert", error.name or "torch") from error
    return choose_targets(options.to, labels, quantized=GATED in options.precision)


def tell_assumptions(
    path: Path, weights: str | None = None, decoder: Refinement | None = None, box_padding: float | None = None
) -> None:
    """Say on stderr what a checkpoint leaves open and how it is taken: no check of a file made from it notices that.

    Args:
        path: of a checkpoint; of another file or of none, nothing is said.
        weights: which state dict of several.
        decoder: the refinement that was asked for.
        box_padding: the same.

    Raises:
        ModelFileError: it cannot be read.
    """
    if checkpoint_suffix(path) not in SUFFIXES or not path.is_file():
        return  # it is for whoever reads it to say what it is
    try:
        from danet_network.checkpoint import describe_checkpoint
    except ModuleNotFoundError as error:
        raise MissingExtraError("danet convert", "convert", error.name or "torch") from error
    info = describe_checkpoint(path, weights=weights)
    for line in _assumptions(info, info.spec.decoded_by(decoder).padded_by(box_padding)):
        human().print(f"{path}: {line}", markup=False, soft_wrap=True)


def _assumptions(info: CheckpointInfo, spec: ModelSpec) -> Iterator[str]:
    if info.notes:
        yield "; ".join(info.notes)
    if info.assumed_spec:
        (height, width), decoder = spec.input_size, spec.decoder
        refined = f"{decoder.refinement} {decoder.offsets}" if decoder.offsets else decoder.refinement
        yield (
            f"so it gets {spec.color_order} crops, {height} x {width}, mean {spec.mean}, std {spec.std}, box padding "
            f"{spec.box_padding:g}, decoder {refined}, heatmap peak {decoder.heatmap_peak:g}, flip shift "
            f"{decoder.flip_shift}; if it was trained otherwise, poses are wrong and no check here notices: give it "
            "its own ModelSpec (docs/conversion.md, Your own checkpoint)"
        )


@contextmanager
def _chosen_weights(options: argparse.Namespace) -> Iterator[Path]:
    """The checkpoint, or a native one with those of its weights that were asked for, which ends with the block."""
    if options.weights is None:
        yield options.checkpoint
        return
    from danet_network.checkpoint import load_checkpoint, save_checkpoint

    with scratch_beside(options.out / "weights.safetensors") as folder:
        native = folder / "weights.safetensors"
        network, spec = load_checkpoint(options.checkpoint, weights=options.weights)
        # by the whole file's sha256 a benchmark would take them for those that are taken by themselves
        told = f"{spec.training_data}; weights {options.weights} of the checkpoint with sha256 {spec.source_sha256}"
        save_checkpoint(native, network, replace(spec, training_data=told, source_sha256=None))
        yield native


def _export(options: argparse.Namespace, checkpoint: Path, targets: list[Target]) -> None:
    from danet_converters.export import export_all

    console = human()
    with progress_bar() as bar:
        asked = options.name, options.decoder, options.box_padding
        files = export_all(checkpoint, targets, options.out, *asked, options.checkpoint)
        for done in bar.track(files, total=len(targets), description="files"):
            parity = done.parity
            console.print(
                f"{done.path}: heatmaps differ by {parity.heatmaps:.1e} of their range, "
                f"{parity.moved} of {parity.compared} keypoints moved, by {parity.keypoints:.2g} px at most",
                markup=False,
                soft_wrap=True,
            )


def _quantizer(options: argparse.Namespace) -> Quantizer:
    """INT8 by the package that gates it, which stands above this one and announces itself.

    Found, and its data looked for, before any file is written.
    """
    announced = entry_points(group=QUANTIZERS)
    try:
        quantize: Quantizer | None = next(iter(announced)).load() if announced else None
    except ModuleNotFoundError as error:
        raise MissingExtraError("converting to int8", "calibrate", error.name or "nncf") from error
    if quantize is None:
        raise InputError(f"no package announces {QUANTIZERS}, expected danet_calibration; install danet-edge anew")
    if options.data is not None and not options.data.exists():
        raise InputError(f"{options.data}: no such file or folder")
    return quantize


COMMAND = Command("convert", "Export a checkpoint, each file checked against it.", _add_arguments, _run)
