"""`danet convert`: a checkpoint becomes model files."""

from __future__ import annotations

import argparse
from pathlib import Path

from danet.commands.command import Command
from danet.commands.console import human, progress_bar
from danet.errors import MissingExtraError


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", type=Path, help=".safetensors, .pt, .pth, or the zoo's .pkl"
    )
    parser.add_argument("--to", nargs="+", choices=("onnx", "openvino"), default=["openvino"])
    parser.add_argument("--precision", nargs="+", choices=("fp32", "fp16"), default=["fp32"])
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path())
    parser.add_argument("--name", help="file name without suffix; the model's name if not given")


def _run(options: argparse.Namespace) -> int:
    try:
        from danet_converters.export import choose_targets, export

        chosen = choose_targets(options.to, options.precision)
    except ModuleNotFoundError as error:
        raise MissingExtraError("danet convert", "convert", error.name or "torch") from error
    console = human()
    with progress_bar() as bar:
        for target in bar.track(chosen, description="files"):
            done = export(options.checkpoint, target, options.out, options.name)
            parity = done.parity
            console.print(
                f"{done.path}: heatmaps differ by {parity.heatmaps:.1e} of their range, "
                f"{parity.moved} of {parity.compared} keypoints moved, by {parity.keypoints:.2g} px at most",
                markup=False,
                soft_wrap=True,
            )
    return 0


COMMAND = Command("convert", "Export a checkpoint, each file checked against it.", _add_arguments, _run)
