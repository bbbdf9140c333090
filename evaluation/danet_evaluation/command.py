"""`danet evaluate`: accuracy of a model on a data set, or on rendered persons."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from danet.commands.command import Command
from danet.commands.console import human, progress_bar, write_json, wrong_use
from danet.commands.model_options import add_model_options, open_estimator
from danet.commands.option_types import number, positive
from danet.commands.outputs import output, refuse_over
from danet.embedded import embedded_model
from danet.errors import InputError, MissingExtraError
from danet.keypoints import MPII_KEYPOINTS
from danet.utf8_name import utf8_name

if TYPE_CHECKING:
    from danet.estimator import PoseEstimator
    from danet.model_spec import ModelSpec
    from danet_evaluation.coco import KeypointDataset
    from danet_evaluation.detections import Detections
    from danet_evaluation.evaluate import Run
    from danet_evaluation.mpii import PckhRun

RENDERED_PERSONS = 500
SHEET_PERSONS = 24


def _score(text: str) -> float:
    value = number(text)
    if not isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number such as 0.2")
    return value


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model file, or the name of an embedded model: danet72")
    on = parser.add_mutually_exclusive_group()
    on.add_argument("--data", metavar="DIR", type=Path, help="folder laid out as COCO 2017 or as people17")
    on.add_argument(
        "--rendered", metavar="N", type=positive, help=f"N rendered persons ({RENDERED_PERSONS} if no --data)"
    )
    parser.add_argument("--split", help="part of the data: val, val2017, ... (val)")
    parser.add_argument(
        "--boxes-file",
        metavar="FILE",
        type=Path,
        help="a detector's persons as COCO results, not annotated boxes",
    )
    parser.add_argument("--min-box-score", metavar="X", type=_score, help="leave out boxes that score less (none)")
    parser.add_argument("--limit", metavar="N", type=positive, help="the first whole pictures with N persons")
    parser.add_argument("--per-joint", action="store_true", help="PCK by group of joints as well")
    parser.add_argument("--by-visibility", action="store_true", help="AP by keypoints in sight, and over those alone")
    parser.add_argument("--json", metavar="OUT", type=output, help="write the figures as JSON; - for stdout")
    parser.add_argument("--sheet", metavar="OUT", type=output, help="draw persons from worst to best: a .jpg or .png")
    parser.add_argument("--sheet-persons", metavar="N", type=positive, help=f"how many ({SHEET_PERSONS})")
    parser.add_argument(
        "--sheet-truth", action=argparse.BooleanOptionalAction, help="dots at annotated keypoints (yes)"
    )
    add_model_options(parser)


def _wrong_use(options: argparse.Namespace) -> str | None:
    if options.boxes_file and not options.data:
        return "--boxes-file goes with the --data that the boxes were found on"
    if options.min_box_score is not None and not options.boxes_file:
        return "--min-box-score goes with --boxes-file: annotated boxes have no score"
    if options.split and not options.data:
        return "--split goes with the --data that it is a part of"
    if not options.sheet and (options.sheet_persons or options.sheet_truth is not None):
        return f"{'--sheet-persons' if options.sheet_persons else '--sheet-truth'} goes with --sheet"
    for given, name in ((options.per_joint, "--per-joint"), (options.by_visibility, "--by-visibility")):
        if given and options.boxes_file:
            return f"{name} is measured with annotated boxes; leave it or --boxes-file out"
    targets = [Path(target).resolve() for target in (options.json, options.sheet) if target]
    if len({*targets}) < len(targets):
        return f"--json and --sheet are both {options.sheet}; write to two files"
    return None


def _run(options: argparse.Namespace) -> int:
    if wrong := _wrong_use(options):
        return wrong_use("evaluate", wrong)
    from danet.tuning.settings import Settings

    _require_extra()
    _require_writable(options.sheet)
    _refuse_over(options, _read(options))
    detections = _detections(options)
    # neither the gate nor the benchmark takes what danet tune kept: figures would not compare
    with open_estimator(options, settings=Settings()) as estimator, progress_bar() as bar:
        dataset = _dataset(options, bar)
        _require_coco_keypoints(options.by_visibility, dataset)
        if detections is None and dataset.keypoints != MPII_KEYPOINTS and (unboxed := dataset.without_box):
            human().print(
                f"{dataset.name}: {unboxed} labelled persons have boxes without an area, which nobody can "
                "crop: each counts as one that was not found",
                markup=False,
                soft_wrap=True,
            )
        task = bar.add_task("persons", total=detections.count(dataset.pictures) if detections else len(dataset.persons))
        done = _measure(estimator, dataset, detections, lambda persons: bar.advance(task, persons))
    about = {
        "model": estimator.spec.name,
        "file": str(options.model),
        "precision": estimator.precision,
        "decoder": estimator.spec.decoder.refinement,
        "box_padding": estimator.spec.box_padding,
    }
    title = f"{about['model']} ({about['precision']}, decoder {about['decoder']}, padding {about['box_padding']:g})"
    figures = _report(done, estimator.spec, _recorded_ap(done, estimator), title, options.per_joint)
    if options.by_visibility:
        figures["visibility"] = _visibility(done, dataset)
    if options.json:
        write_json({**about, **figures}, options.json)
    if options.sheet:
        _draw_sheet(options, dataset, done, estimator.spec)
    return 0


def _require_extra() -> None:
    try:
        import danet_evaluation.evaluate  # noqa: F401
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("pycocotools"):
            raise
        raise MissingExtraError("danet evaluate", "evaluate", "pycocotools") from error


def _require_coco_keypoints(by_visibility: bool, dataset: KeypointDataset) -> None:
    if by_visibility and dataset.keypoints == MPII_KEYPOINTS:
        raise InputError(f"{dataset.name}: --by-visibility is of AP, which MPII's keypoints have none of; leave it out")


def _require_writable(sheet: str | None) -> None:
    """Refuse a sheet's name before minutes of work, not after."""
    from danet.commands.pictures import is_writable

    if sheet and not is_writable(Path(utf8_name(sheet, InputError))):
        raise InputError(f"--sheet {sheet}: OpenCV cannot write pictures of that name; use .jpg or .png")


def _refuse_over(options: argparse.Namespace, read: list[Any]) -> None:
    """Refuse to write to a folder, or over files that are read, before minutes of work."""
    for target in (options.json, options.sheet):
        refuse_over(target, read)


def _read(options: argparse.Namespace) -> list[Any]:
    """The files that are read, without the pictures, which the annotations name."""
    from danet_evaluation.coco import annotation_file

    read = [embedded_model(options.model, options.backend) or options.model, options.boxes_file]
    return [*read, annotation_file(options.data, _split(options))] if options.data else read


def _split(options: argparse.Namespace) -> str:
    return options.split or "val"


def _detections(options: argparse.Namespace) -> Detections | None:
    from danet_evaluation.detections import load_detections

    if not options.boxes_file:
        return None
    found = load_detections(options.boxes_file)
    return found if options.min_box_score is None else found.at_least(options.min_box_score)


def _dataset(options: argparse.Namespace, bar: Any) -> KeypointDataset:
    if options.data:
        from danet_evaluation.coco import PictureFile, load_split

        dataset = load_split(options.data, _split(options))
        _refuse_over(options, [one.path for one in dataset.pictures.values() if isinstance(one, PictureFile)])
        return dataset.first(options.limit) if options.limit else dataset
    from danet_evaluation.rendered import rendered_dataset

    wanted = options.rendered or RENDERED_PERSONS
    persons = min(wanted, options.limit or wanted)
    task = bar.add_task("scenes", total=persons)
    return rendered_dataset(persons, lambda done: bar.advance(task, done))


def _measure(
    estimator: PoseEstimator, dataset: KeypointDataset, detections: Detections | None, progress: Any
) -> Run | PckhRun:
    from danet_evaluation.evaluate import run
    from danet_evaluation.mpii import run_pckh

    if dataset.keypoints != MPII_KEYPOINTS:
        return run(estimator, dataset, detections, progress)
    if detections is not None:
        raise InputError(f"{dataset.name}: PCKh is defined on annotated persons; leave --boxes-file out")
    return run_pckh(estimator, dataset, progress)


def _recorded_ap(done: Run | PckhRun, estimator: PoseEstimator) -> float | None:
    """What the model file records for this evaluation."""
    from danet_evaluation.compare import recorded_ap
    from danet_evaluation.evaluate import Run

    if not isinstance(done, Run) or estimator.file_spec is None:
        return None
    return recorded_ap(estimator.file_spec, done.evaluation, estimator.spec)


def _report(
    done: Run | PckhRun, spec: ModelSpec, recorded: float | None, title: str, per_joint: bool
) -> dict[str, Any]:
    """Print the tables, and give the figures for JSON."""
    from danet_evaluation.evaluate import Run
    from danet_evaluation.paper import comparable_row
    from danet_evaluation.report import ap_table, beside, joint_table, pckh_table

    console = human()
    if not isinstance(done, Run):
        console.print(pckh_table(done.evaluation, title))
        return done.evaluation.to_dict()
    evaluation = done.evaluation
    published = comparable_row(spec, evaluation)
    console.print(ap_table(evaluation, title))
    if per_joint and evaluation.pck:
        console.print(joint_table(evaluation))
    for line in beside(evaluation.figures.ap, recorded, published):
        console.print(line, markup=False)
    known = {"recorded_ap": recorded, "published": asdict(published) if published else None}
    return {**evaluation.to_dict(), **known}


def _visibility(done: Run | PckhRun, dataset: KeypointDataset) -> dict[str, Any]:
    """Print AP by keypoints in sight, and give it for JSON."""
    from danet_evaluation.report import visibility_table
    from danet_evaluation.visibility import by_visibility

    found = by_visibility(dataset, done.predictions)
    human().print(visibility_table(found))
    return found.to_dict()


def _draw_sheet(options: argparse.Namespace, dataset: KeypointDataset, done: Run | PckhRun, spec: ModelSpec) -> None:
    from danet.commands.pictures import write_picture
    from danet_evaluation.sheet import contact_sheet

    persons, with_truth = options.sheet_persons or SHEET_PERSONS, options.sheet_truth is not False
    sheet = contact_sheet(dataset, done.predictions, spec, persons, with_truth)
    write_picture(sheet, Path(options.sheet))


COMMAND = Command(
    "evaluate", "Measure COCO keypoint AP, PCK or PCKh on a data set, or on rendered persons.", _add_arguments, _run
)
