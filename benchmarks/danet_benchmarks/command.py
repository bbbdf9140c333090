"""`danet benchmark`: speed and accuracy of model files on this machine, and a report of them."""

from __future__ import annotations

import argparse
from pathlib import Path

from danet.commands.command import Command
from danet.commands.console import wrong_use
from danet.commands.option_types import positive

PRECISIONS = ("fp32", "bf16", "fp16")
BACKENDS = ("openvino", "onnxruntime", "tflite", "torch", "null")
PARTS = ("speed", "accuracy")
OF_ANOTHER_PART = {
    "speed": ("data", "detections", "limit", "flip_test"),
    "accuracy": ("persons", "streams", "batch", "rivals"),
}
"""Options that would be ignored with --only."""
EXPORTED = Path("benchmarks/results/exported")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    _add_models(parser)
    _add_grid(parser)
    _add_data(parser)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="about a minute")
    size.add_argument("--full", action="store_true", help="the paper's protocol: 1,000 persons to a figure")
    parser.add_argument("--only", choices=PARTS, help="leave the other part out")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="folder of the report (benchmarks/results/CPU-DATE, a new one)"
    )
    parser.add_argument(
        "--baseline",
        metavar="FILE",
        type=Path,
        help="report.json of an earlier run: exit status 1 if this one is worse",
    )


def _add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models",
        metavar="MODEL",
        nargs="*",
        help="model files or names of embedded models; the embedded danet72 in every backend if nothing is given",
    )
    parser.add_argument(
        "--rivals",
        metavar="NAME",
        nargs="*",
        help="networks of the paper's Table II with random weights; all if no NAME",
    )
    parser.add_argument(
        "--foreign", metavar="FILE", nargs="+", type=Path, default=[], help="pose networks without a model spec"
    )
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        nargs="+",
        type=Path,
        default=[],
        help="what model files were made from: reference of their accuracy, and exported for other backends "
        "(those in training/checkpoints are found)",
    )
    parser.add_argument(
        "--exported", metavar="DIR", type=Path, default=EXPORTED, help=f"exported files stay here ({EXPORTED})"
    )


def _add_grid(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backend", nargs="+", choices=BACKENDS, help="by the file's suffix if not given")
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, help="arithmetic for float parts (fp32)")
    parser.add_argument("--batch", metavar="N", nargs="+", type=positive, help="persons to a network call (8)")
    parser.add_argument("--threads", metavar="N", nargs="+", type=positive, help="cores to use (all)")
    parser.add_argument("--streams", metavar="N", nargs="+", type=positive, help="network calls in flight (1)")
    parser.add_argument("--persons", metavar="N", nargs="+", type=positive, help="persons to a frame (1 3 10)")


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", metavar="DIR", type=Path, help="folder in COCO's format; rendered persons if not given"
    )
    parser.add_argument("--split", help="part of the data (val)")
    parser.add_argument("--detections", metavar="FILE", type=Path, help="person boxes as COCO results, for --data")
    parser.add_argument("--limit", metavar="N", type=positive, help="the first whole pictures with N persons")
    parser.add_argument("--flip-test", action="store_true", help="also run mirrored crops and average, for accuracy")


def _wrong_use(options: argparse.Namespace) -> str | None:
    if options.split and not options.data:
        return "--split goes with the --data that it is a part of"
    if options.detections and not options.data:
        return "--detections goes with the --data that they were made on"
    for part, names in OF_ANOTHER_PART.items():
        given = [name for name in names if getattr(options, name) not in (None, False)]
        if options.only == part and given:
            return f"--{given[0].replace('_', '-')} says nothing of what --only {part} measures; leave one of them out"
    return None


def _run(options: argparse.Namespace) -> int:
    if wrong := _wrong_use(options):
        return wrong_use("benchmark", wrong)
    from danet_benchmarks.session import benchmark

    return benchmark(options)


COMMAND = Command("benchmark", "Measure speed and accuracy of model files on this machine.", _add_arguments, _run)
