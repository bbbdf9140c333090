"""`danet evaluate`: accuracy of a model on a data set, or on rendered persons."""

from __future__ import annotations

import argparse
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from danet.commands.command import Command
from danet.commands.console import human, progress_bar, write_json
from danet.commands.model_options import add_model_options, open_estimator
from danet.errors import MissingExtraError

if TYPE_CHECKING:
    from rich.table import Table

    from danet_evaluation.coco import KeypointDataset
    from danet_evaluation.evaluate import Evaluation
    from danet_evaluation.keypoint_ap import KeypointAP

RENDERED_PERSONS = 500
WRONG_USE = 2


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a whole number above 0")
    return int(text)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model file, or the name of an embedded model: danet72")
    on = parser.add_mutually_exclusive_group()
    on.add_argument("--data", metavar="DIR", type=Path, help="folder laid out as COCO 2017 or as people17")
    on.add_argument(
        "--rendered", metavar="N", type=_positive, help=f"N rendered persons ({RENDERED_PERSONS} if no --data)"
    )
    parser.add_argument("--split", default="val", help="part of the data (val)")
    parser.add_argument("--detections", metavar="FILE", type=Path, help="person boxes as COCO results, for --data")
    parser.add_argument("--limit", metavar="N", type=_positive, help="the first whole pictures with N persons")
    parser.add_argument("--json", metavar="OUT", help="write the figures as JSON; - for stdout")
    add_model_options(parser)


def _run(options: argparse.Namespace) -> int:
    if options.detections and not options.data:
        human().print("danet evaluate: error: --detections goes with the --data that they were made on", markup=False)
        return WRONG_USE
    evaluation, about = _evaluate(options)
    console = human()
    console.print(_table(evaluation, about))
    if evaluation.lsp_pck is not None:
        console.print(f"PCK@{evaluation.lsp_pck.alpha} of the torso on lsp, limbs: {evaluation.lsp_pck.mean:.3f}")
    if options.json:
        write_json({**about, **evaluation.to_dict()}, options.json)
    return 0


def _evaluate(options: argparse.Namespace) -> tuple[Evaluation, dict[str, Any]]:
    """The figures, and what ran: model, file, precision, flip test."""
    try:
        from danet_evaluation.detections import load_detections
        from danet_evaluation.evaluate import evaluate
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("pycocotools"):
            raise
        raise MissingExtraError("danet evaluate", "evaluate", "pycocotools") from error
    detections = load_detections(options.detections) if options.detections else None
    with (
        open_estimator(options) as estimator,
        progress_bar() as bar,
    ):
        dataset = _dataset(options, bar)
        persons = detections.count(dataset.pictures) if detections else len(dataset.persons)
        task = bar.add_task("persons", total=persons)
        evaluation = evaluate(estimator, dataset, detections, lambda done: bar.advance(task, done))
    about = {
        "model": estimator.spec.name,
        "file": str(options.model),
        "precision": estimator.precision,
        "flip_test": options.flip_test,
    }
    return evaluation, about


def _dataset(options: argparse.Namespace, bar: Any) -> KeypointDataset:
    if options.data:
        from danet_evaluation.coco import load_split

        dataset = load_split(options.data, options.split)
        return dataset.first(options.limit) if options.limit else dataset
    from danet_evaluation.rendered import rendered_dataset

    wanted = options.rendered or RENDERED_PERSONS
    persons = min(wanted, options.limit or wanted)
    task = bar.add_task("scenes", total=persons)
    return rendered_dataset(persons, lambda done: bar.advance(task, done))


def _table(evaluation: Evaluation, about: dict[str, Any]) -> Table:
    from rich.table import Table

    test = "flip test" if about["flip_test"] else "no flip test"
    table = Table(
        title=f"{about['model']} ({about['precision']}) on {evaluation.data}",
        caption=f"boxes: {evaluation.boxes}; {test}",
    )
    table.add_column("pictures of")
    for heading in ("persons", "AP", "AP50", "AP75", "AP M", "AP L", "AR"):
        table.add_column(heading, justify="right")
    table.add_row("all", str(evaluation.persons), *_cells(evaluation.figures), end_section=True)
    for part in evaluation.sources:
        table.add_row(part.source, str(part.persons), *_cells(part.figures))
    return table


def _cells(figures: KeypointAP) -> list[str]:
    values = (figures.ap, figures.ap50, figures.ap75, figures.ap_medium, figures.ap_large, figures.ar)
    return ["-" if isnan(value) else f"{100 * value:.1f}" for value in values]


COMMAND = Command("evaluate", "Measure COCO keypoint AP on a data set, or on rendered persons.", _add_arguments, _run)
