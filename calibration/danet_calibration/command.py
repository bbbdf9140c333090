"""`danet quantize`: INT8 files that are proven before they are written."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from danet.commands.command import Command
from danet.commands.console import human, progress_bar, write_json, wrong_use
from danet.commands.option_types import not_negative, not_negative_whole, part, positive
from danet.commands.outputs import output, refuse_over
from danet.embedded import embedded_model
from danet.errors import InputError, MissingExtraError
from danet_converters.command import tell_assumptions

if TYPE_CHECKING:
    from danet_calibration.gate import Told
    from danet_calibration.quantize import Report
    from danet_calibration.request import Request

MAX_DROP = 0.005
SAMPLES = 300
RENDERED_PERSONS = 300
"""Without annotated data."""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="MODEL", help="a checkpoint, a float model file, or the name of an embedded model"
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=Path,
        help="annotated folder as COCO 2017 or people17, folder of pictures, or video (rendered persons)",
    )
    parser.add_argument("--boxes", metavar="FILE", type=Path, help="persons on a folder's pictures or a video's frames")
    parser.add_argument("--max-drop", metavar="AP", type=part, default=MAX_DROP, help=f"in 0..1 ({MAX_DROP})")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path(), help="folder of the files (here)")
    parser.add_argument(
        "--format",
        nargs="+",
        choices=("openvino", "onnx", "tflite"),
        default=["openvino"],
        help="of the INT8 file (openvino); each is made from a checkpoint or a float file of its own kind",
    )
    parser.add_argument("--name", help="file name without suffix; the model's name with -int8 if not given")
    parser.add_argument("--samples", metavar="N", type=positive, default=SAMPLES, help=f"crops ({SAMPLES})")
    parser.add_argument("--seed", type=not_negative_whole, default=0, help="of the choice of crops (0)")
    parser.add_argument("--minutes", type=not_negative, help="begin no step after so many; a rerun goes on (no limit)")
    parser.add_argument(
        "--rendered",
        metavar="N",
        type=positive,
        help="rendered persons to measure on; beside annotated data both must pass, and half of the crops are of "
        f"rendered persons ({RENDERED_PERSONS} without annotated data, none with)",
    )
    parser.add_argument("--limit", metavar="N", type=positive, help="measure on the first pictures with N persons")
    parser.add_argument("--sensitivity", metavar="DIR", type=Path, help="also report what each group of layers costs")
    parser.add_argument(
        "--report", metavar="FILE", type=output, help="write the report as JSON; also where nothing passes"
    )
    parser.add_argument("--json", metavar="OUT", type=output, help="the same; - for stdout")


def _wrong_use(options: argparse.Namespace) -> str | None:
    if options.boxes and not options.data:
        return "--boxes goes with the --data that the boxes were found on"
    if options.sensitivity and "tflite" in options.format:
        return "--sensitivity is for openvino and onnx: LiteRT's quantizer takes no group of layers alone"
    return None


def _run(options: argparse.Namespace) -> int:
    if wrong := _wrong_use(options):
        return wrong_use("quantize", wrong)
    try:
        from danet_calibration.quantize import quantize
        from danet_calibration.watch import Watch
    except ModuleNotFoundError as error:
        raise MissingExtraError("danet quantize", "calibrate", error.name or "nncf") from error
    for target in (options.report, options.json):
        refuse_over(target, _read(options))
    tell_assumptions(Path(options.model))
    with progress_bar() as bar:
        report = quantize(_request(options), Watch(bar, options.minutes), tell_attempts)
    print_report(report)
    for target in (options.report, options.json):
        if target:
            write_json(report.to_dict(), target)
    return 0 if report.passed and not report.unfinished else 1


def _read(options: argparse.Namespace) -> list[Any]:
    """Files that are read, for outputs that must not be written over them."""
    from danet_calibration.data import SPLITS
    from danet_evaluation.coco import annotation_file

    read = [embedded_model(options.model) or options.model, options.boxes]
    if options.data and not options.data.is_dir():
        return [*read, options.data]
    for split in SPLITS if options.data else ():
        with suppress(InputError):
            read.append(annotation_file(options.data, split))
    return read


def _request(options: argparse.Namespace) -> Request:
    from danet_calibration.data import DataChoice
    from danet_calibration.request import Request

    data = DataChoice(options.data, options.boxes, options.samples, options.seed, options.rendered, options.limit)
    return Request(
        model=options.model,
        out=options.out,
        formats=tuple(dict.fromkeys(options.format)),
        data=data,
        max_drop=options.max_drop,
        minutes=options.minutes,
        name=options.name,
        sensitivity=options.sensitivity,
    )


def tell_attempts(name: str) -> Told:
    """Prints each attempt of a format on stderr as it is measured."""

    def told(done: Any) -> None:
        verdict = "passes" if done.passed else "too much"
        again = ", measured before" if done.reused else f", {done.seconds:.0f} s"
        several = len(done.accuracies) > 1
        figures = "; ".join(
            f"AP {one.ap:.4f}, drop {one.drop:.4f} +- {one.drop_spread:.4f}{f' on {one.data}' if several else ''}"
            for one in done.accuracies
        )
        _say(f"{name}, {done.rung}: {figures}: {verdict} ({done.size / 1e6:.2f} MB{again})")

    return told


def print_report(report: Report) -> None:
    """What became of each format, in a line each, on stderr; and of data sets that are too small to tell."""
    from danet_calibration.results import spread

    for outcome in report.outcomes:
        what = (
            f"{outcome.written}" if outcome.written else f"danet: error: {outcome.format} INT8 refused, nothing written"
        )
        measured = zip(outcome.float_aps, report.validations, strict=False)  # none where the minutes were over before
        floats = ", ".join(f"{ap:.4f} on {data.name}" for ap, data in measured)
        _say(f"{what}: {outcome.reason}{f'; float AP {floats}' if floats else ''}")
    for data in report.validations:
        if (moved := spread(len(data.persons))) > report.request.max_drop:
            _say(
                f"{data.name}: {len(data.persons)} persons prove little: another choice of as many moves the drop by "
                f"{moved:.4f} (one standard deviation), and {report.request.max_drop:g} are allowed; measure on more"
            )
    if report.unfinished:
        _say("the minutes were over before the sensitivity report; run the same command again to go on")
    _say(
        f"calibrated on {report.calibration}; {report.seconds / 60:.1f} minutes, "
        f"{report.peak_memory / 1e9:.1f} GB of memory at most, {report.reused} results of earlier runs reused"
    )


def _say(line: str) -> None:
    human().print(line, markup=False, soft_wrap=True)


COMMAND = Command("quantize", "Make INT8 files, each written only if its keypoint AP is kept.", _add_arguments, _run)
