"""The options of every command that runs a model, and the estimator that they ask for."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from danet.commands.option_types import BACKENDS_HELP, backend, padding, threads

if TYPE_CHECKING:
    from danet.estimator import PoseEstimator
    from danet.frame import BoxFormat
    from danet.tuning.settings import Settings


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Backend, precision, threads, flip test, decoder and box padding."""
    parser.add_argument("--backend", type=backend, help=BACKENDS_HELP)
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), help="arithmetic for float parts (fp32)")
    parser.add_argument("--threads", metavar="N", type=threads, help="cores to use (all)")
    parser.add_argument("--flip-test", action="store_true", help="also run mirrored crops and average")
    add_spec_options(parser)


def add_spec_options(parser: argparse.ArgumentParser) -> None:
    """How locations are refined and boxes padded, where the model's own way is not wanted."""
    parser.add_argument(
        "--decoder",
        choices=("offset", "dark"),
        help="refine heatmaps' peaks by an offset to the next cell, or by DARK (as the model file says)",
    )
    parser.add_argument(
        "--box-padding",
        metavar="X",
        type=padding,
        help="the crop's sides as multiples of the box's (as the model file says)",
    )


def open_estimator(
    options: argparse.Namespace, box_format: BoxFormat = "xyxy", settings: Settings | None = None
) -> PoseEstimator:
    """The estimator of `options.model` with the options above; they go before `settings`. Raises as `PoseEstimator`."""
    from danet.estimator import PoseEstimator

    return PoseEstimator(
        options.model,
        decoder=options.decoder,
        box_padding=options.box_padding,
        backend=options.backend,
        precision=options.precision,
        threads=options.threads,
        flip_test=options.flip_test,
        box_format=box_format,
        settings=settings,
    )
