"""`danet convert`: a checkpoint becomes model files."""

from __future__ import annotations

import argparse
from importlib.metadata import entry_points
from pathlib import Path

from danet.commands.command import Command
from danet.commands.console import human, progress_bar, wrong_use
from danet.commands.model_options import add_spec_options
from danet.errors import InputError, MissingExtraError

GATED = "int8"
"""The precision whose files are written only if their accuracy passes a gate."""
QUANTIZERS = "danet.quantizers"
"""Entry-point group of a function (checkpoint, formats, folder, name, data) -> exit status."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", type=Path, help=".safetensors, .pt, .pth, or the zoo's .pkl"
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
    add_spec_options(parser)


def _wrong_use(options: argparse.Namespace) -> str | None:
    for option, value in (("--decoder", options.decoder), ("--box-padding", options.box_padding)):
        if value is not None and GATED in options.precision:
            return (
                f"{option} {value} with --precision {GATED}: quantized files keep the decoder and the padding of the "
                f"file that they are made from; convert to fp32 with {option}, then run danet quantize on that file"
            )
    if options.data is not None and GATED not in options.precision:
        return f"--data {options.data} is for --precision {GATED}, which alone is calibrated; leave it out"
    return None


def _run(options: argparse.Namespace) -> int:
    if wrong := _wrong_use(options):
        return wrong_use("convert", wrong)
    labels = [label for label in options.precision if label != GATED]
    if labels:
        _export(options, labels)
    return _quantize(options) if GATED in options.precision else 0


def _export(options: argparse.Namespace, labels: list[str]) -> None:
    try:
        from danet_converters.export import choose_targets, export_all

        chosen = choose_targets(options.to, labels, quantized=GATED in options.precision)
    except ModuleNotFoundError as error:
        raise MissingExtraError("danet convert", "convert", error.name or "torch") from error
    console = human()
    with progress_bar() as bar:
        files = export_all(options.checkpoint, chosen, options.out, options.name, options.decoder, options.box_padding)
        for done in bar.track(files, total=len(chosen), description="files"):
            parity = done.parity
            console.print(
                f"{done.path}: heatmaps differ by {parity.heatmaps:.1e} of their range, "
                f"{parity.moved} of {parity.compared} keypoints moved, by {parity.keypoints:.2g} px at most",
                markup=False,
                soft_wrap=True,
            )


def _quantize(options: argparse.Namespace) -> int:
    """INT8 by the package that gates it, which stands above this one and announces itself."""
    announced = entry_points(group=QUANTIZERS)
    try:
        quantize = next(iter(announced)).load() if announced else None
    except ModuleNotFoundError as error:
        raise MissingExtraError("converting to int8", "calibrate", error.name or "nncf") from error
    if quantize is None:
        raise InputError(f"no package announces {QUANTIZERS}, expected danet_calibration; install danet-edge anew")
    status: int = quantize(options.checkpoint, options.to, options.out, options.name, options.data)
    return status


COMMAND = Command("convert", "Export a checkpoint, each file checked against it.", _add_arguments, _run)
