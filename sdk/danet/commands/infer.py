"""`danet infer`: poses on pictures."""

from __future__ import annotations

import argparse
import glob
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from danet.commands.command import Command
from danet.commands.console import human, in_words, progress_bar, write_json, wrong_use
from danet.commands.detector_options import add_detector_options, open_chosen, wrong_detector_options
from danet.commands.model_options import add_model_options, open_estimator
from danet.commands.option_types import DRAWN_SCORE, part
from danet.commands.outputs import identity, output, refuse_over
from danet.commands.pictures import boxes_for, read_boxes, refuse_suffix, write_picture
from danet.errors import DetectorError, InputError, SourceError
from danet.frame import BoxFormat, read_picture

if TYPE_CHECKING:
    from danet.estimator import PoseEstimator
    from danet.poses import Poses

BoxesOf = Callable[[Path, NDArray[np.uint8]], Any]
VIDEOS = frozenset([".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"])
"""By whose suffix a file that is no picture is taken for a video in what is said of it."""
WHOLE_PICTURES = "no --boxes or --detector: each whole picture is taken as one person"
NOT_SHOWN = "keypoints are not shown: --json - prints them, --draw FILE draws them"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model file, or the name of an embedded model: danet72")
    parser.add_argument(
        "images", metavar="IMAGE", nargs="+", type=Path, help="taken as one person without --boxes or --detector"
    )
    boxes = parser.add_mutually_exclusive_group()
    boxes.add_argument("--boxes", metavar="FILE", help="JSON: [[x1, y1, x2, y2], ...] or {picture: [...]}; - for stdin")
    boxes.add_argument("--detector", metavar="NAME", help="find the persons: hog, or a detector's file (.onnx, .xml)")
    parser.add_argument("--box-format", choices=get_args(BoxFormat), default="xyxy")
    parser.add_argument("--json", metavar="OUT", type=output, help="write poses as JSON; - for stdout")
    parser.add_argument("--draw", metavar="OUT", type=output, help="annotated picture, or a folder for several")
    parser.add_argument("--threshold", type=part, help=f"lowest keypoint score drawn ({DRAWN_SCORE})")
    add_detector_options(parser)
    add_model_options(parser)


def _wrong_use(options: argparse.Namespace) -> str | None:
    if options.detector is not None and options.box_format != "xyxy":
        return f"--box-format {options.box_format} with --detector; it is for --boxes"
    if options.boxes is None and options.box_format != "xyxy":
        return f"--box-format {options.box_format} without --boxes, whose boxes it is of"
    if options.threshold is not None and options.draw is None:
        return "--threshold without --draw, whose keypoints it is of"
    return wrong_detector_options(options)


def _run(options: argparse.Namespace) -> int:
    if wrong := _wrong_use(options):
        return wrong_use("infer", wrong)
    options.images = list(_expanded(options.images))
    targets = _draw_targets(options.images, None if options.draw is None else Path(options.draw))
    refuse_over(options.json, (*options.images, options.model, options.boxes, options.detector))
    _refuse_drawn_over(options.json, targets)
    boxes_of = _boxes_source(options)
    threshold = DRAWN_SCORE if options.threshold is None else options.threshold
    console = human()
    results: list[dict[str, Any]] = []
    failed = 0
    with open_estimator(options, options.box_format) as estimator:
        try:
            with progress_bar() as bar:
                for image in bar.track(options.images, description="pictures"):
                    try:
                        frame, poses = _infer_one(estimator, image, boxes_of)
                        if boxes_of is None and not results:  # once, and not where nothing was found at all
                            console.print(WHOLE_PICTURES, soft_wrap=True)
                        size = {"width": frame.shape[1], "height": frame.shape[0]}
                        results.append({"file": str(image), **size, **poses.to_dict()})
                        if target := targets.get(image):
                            drawn = poses.draw(frame, threshold=threshold, boxes=boxes_of is not None)
                            write_picture(drawn, target)
                    except (DetectorError, InputError, OSError) as error:
                        # one bad picture, or one that cannot be drawn, does not cost the others
                        console.print(f"danet: error: {in_words(error)}", markup=False, soft_wrap=True)
                        failed += 1
            if results and options.json is None and options.draw is None:
                console.print(NOT_SHOWN, soft_wrap=True)
        finally:  # what was found is kept, whatever ended the loop
            if options.json is not None and results:
                about = {"model": estimator.spec.name, "precision": estimator.precision}
                write_json({**about, "images": results}, options.json)
    return 1 if failed else 0


def _expanded(images: Iterable[Path]) -> Iterator[Path]:
    """The pictures, also by patterns that the shell has left: that of Windows expands none.

    A name that is no file's and fits none stays, so that it is told in its turn and costs no other.
    """
    for image in images:
        if glob.has_magic(str(image)) and not os.path.lexists(image):
            from danet.video.opening import globbed  # not at each command's start

            with suppress(SourceError):
                yield from globbed(str(image))
                continue
        yield image


def _draw_targets(images: list[Path], out: Path | None) -> dict[Path, Path]:
    """Where each picture is drawn to.

    Raises:
        InputError: a name of no picture's format; two pictures would be drawn to one file, or one over any picture
            that is read.
    """
    if out is None:
        return {}
    if len(images) == 1 and out.suffix and not out.is_dir():
        refuse_suffix(out)
        targets = {images[0]: out}
    else:
        targets = {image: out / f"{image.stem}.png" for image in images}
    read = {identity(image) for image in images} - {None}
    owners: dict[Path, Path] = {}
    for image, target in targets.items():
        if owners.setdefault(target, image) != image:
            raise InputError(f"{owners[target]} and {image} would both be drawn to {target}; draw them one by one")
        if identity(target) in read:
            raise InputError(f"{image} would be drawn over {target}, which is read; draw to another file or folder")
    return targets


def _refuse_drawn_over(json: str | None, targets: dict[Path, Path]) -> None:
    """Raises InputError where the JSON would be written to where a picture is drawn."""
    if json not in (None, "-") and Path(json).resolve() in {target.resolve() for target in targets.values()}:
        raise InputError(f"{json} is drawn to; write the JSON to another file")


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


def _infer_one(estimator: PoseEstimator, image: Path, boxes_of: BoxesOf | None) -> tuple[NDArray[np.uint8], Poses]:
    frame = _picture(image)
    poses = estimator.infer(frame, None if boxes_of is None else boxes_of(image, frame))
    scores = ", ".join(f"{score:.2f}" for score in poses.person_scores)
    persons = f"{len(poses)} person{'s' * (len(poses) != 1)}"
    human().print(f"{image}: {persons}, scores {scores or '-'}", markup=False, soft_wrap=True)
    return frame, poses


def _picture(image: Path) -> NDArray[np.uint8]:
    """A picture; of what is none the error says which command takes it."""
    try:
        return read_picture(image)
    except InputError as error:
        if image.is_dir():
            raise InputError(
                f"{image}: a folder, expected a picture; name those in it ({image / '*'}), or run danet video MODEL "
                f"{image}, which takes them as frames of one video"
            ) from error
        if image.suffix.lower() in VIDEOS and image.is_file():
            raise InputError(f"{error}; for a video run danet video MODEL {image}") from error
        raise


COMMAND = Command("infer", "Find poses on pictures.", _add_arguments, _run)
