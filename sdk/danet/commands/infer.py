"""`danet infer`: poses on pictures."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from danet.commands.command import Command
from danet.commands.console import human, progress_bar, write_json, wrong_use
from danet.commands.detector_options import add_detector_options, open_chosen, wrong_detector_options
from danet.commands.model_options import add_model_options, open_estimator
from danet.commands.option_types import not_negative
from danet.commands.pictures import boxes_for, read_boxes, write_picture
from danet.errors import DetectorError, InputError
from danet.frame import BoxFormat, read_picture

BoxesOf = Callable[[Path, NDArray[np.uint8]], Any]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model file, or the name of an embedded model: danet72")
    parser.add_argument("images", metavar="IMAGE", nargs="+", type=Path)
    boxes = parser.add_mutually_exclusive_group()
    boxes.add_argument("--boxes", metavar="FILE", help="JSON: [[x1, y1, x2, y2], ...] or {picture: [...]}; - for stdin")
    boxes.add_argument("--detector", metavar="NAME", help="find the persons: hog, or a detector's file (.onnx, .xml)")
    parser.add_argument("--box-format", choices=get_args(BoxFormat), default="xyxy")
    parser.add_argument("--json", metavar="OUT", help="write poses as JSON; - for stdout")
    parser.add_argument("--draw", metavar="OUT", type=Path, help="annotated picture, or a folder for several")
    parser.add_argument("--threshold", type=not_negative, default=0.2, help="lowest keypoint score drawn (0.2)")
    add_detector_options(parser)
    add_model_options(parser)


def _wrong_use(options: argparse.Namespace) -> str | None:
    if options.detector is not None and options.box_format != "xyxy":
        return f"--box-format {options.box_format} with --detector; it is for --boxes"
    if options.boxes is None and options.box_format != "xyxy":
        return f"--box-format {options.box_format} without --boxes, whose boxes it is of"
    return wrong_detector_options(options)


def _run(options: argparse.Namespace) -> int:
    if wrong := _wrong_use(options):
        return wrong_use("infer", wrong)
    targets = _draw_targets(options.images, options.draw)
    _refuse_json_over(options, targets)
    boxes_of = _boxes_source(options)
    console = human()
    results: list[dict[str, Any]] = []
    failed = 0
    with (
        open_estimator(options, options.box_format) as estimator,
        progress_bar() as bar,
    ):
        for image in bar.track(options.images, description="pictures"):
            try:
                results.append(_infer_one(estimator, image, boxes_of, targets.get(image), options.threshold))
            except (DetectorError, InputError) as error:
                # one bad picture does not cost the others
                console.print(f"danet: error: {error}", markup=False, soft_wrap=True)
                failed += 1
    if options.json and results:
        write_json({"model": estimator.spec.name, "precision": estimator.precision, "images": results}, options.json)
    return 1 if failed else 0


def _draw_targets(images: list[Path], out: Path | None) -> dict[Path, Path]:
    """Where each picture is drawn to.

    Raises:
        InputError: two pictures would be drawn to one file, or one over any picture that is read.
    """
    if out is None:
        return {}
    if len(images) == 1 and out.suffix and not out.is_dir():
        targets = {images[0]: out}
    else:
        targets = {image: out / f"{image.stem}.png" for image in images}
    read = {_identity(image) for image in images} - {None}
    owners: dict[Path, Path] = {}
    for image, target in targets.items():
        if owners.setdefault(target, image) != image:
            raise InputError(f"{owners[target]} and {image} would both be drawn to {target}; draw them one by one")
        if _identity(target) in read:
            raise InputError(f"{image} would be drawn over {target}, which is read; draw to another file or folder")
    return targets


def _refuse_json_over(options: argparse.Namespace, targets: dict[Path, Path]) -> None:
    """Raises InputError where the JSON would be written over what is read, or where a picture is drawn."""
    if options.json in (None, "-"):
        return
    out = Path(options.json)
    given = [Path(one) for one in (options.model, options.boxes, options.detector) if one is not None]
    if _identity(out) in {_identity(path) for path in (*options.images, *given)} - {None}:
        raise InputError(f"{out} is read; write the JSON to another file")
    if out.resolve() in {target.resolve() for target in targets.values()}:
        raise InputError(f"{out} is drawn to; write the JSON to another file")


def _identity(path: Path) -> tuple[int, int] | None:
    """What all names of a file share; None where there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _boxes_source(options: argparse.Namespace) -> BoxesOf | None:
    """Picture's path and pixels -> boxes, or None: each whole picture is one person.

    Raises:
        InputError: the boxes file cannot be read.
        DetectorError, MissingExtraError: the detector cannot be opened.
    """
    if options.boxes is not None:
        content = read_boxes(options.boxes)
        return lambda image, frame: boxes_for(content, image)
    if options.detector is None:
        return None
    detector = open_chosen(options)
    return lambda image, frame: detector.detect(frame).boxes


def _infer_one(
    estimator: Any, image: Path, boxes_of: BoxesOf | None, target: Path | None, threshold: float
) -> dict[str, Any]:
    frame = read_picture(image)
    poses = estimator.infer(frame, None if boxes_of is None else boxes_of(image, frame))
    if target:
        write_picture(poses.draw(frame, threshold=threshold, boxes=boxes_of is not None), target)
    scores = ", ".join(f"{score:.2f}" for score in poses.person_scores)
    human().print(f"{image}: {len(poses)} persons, scores {scores or '-'}", markup=False, soft_wrap=True)
    return {"file": str(image), "width": frame.shape[1], "height": frame.shape[0], **poses.to_dict()}


COMMAND = Command("infer", "Find poses on pictures.", _add_arguments, _run)
