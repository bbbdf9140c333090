"""`danet video`: tracked poses of a video, camera or stream."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import TextColumn

from danet.commands.command import Command
from danet.commands.console import human, progress_bar, wrong_use
from danet.commands.detector_options import add_detector_options, open_chosen, wrong_detector_options
from danet.commands.model_options import add_model_options, open_estimator
from danet.commands.option_types import DRAWN_SCORE, height, part, positive
from danet.commands.outputs import identity, output, refuse_over
from danet.errors import InputError

if TYPE_CHECKING:
    from danet.commands.video_outputs import VideoOutputs
    from danet.estimator import PoseEstimator
    from danet.tracking.tracker import Tracker
    from danet.video.frame import Source
    from danet.video.pipeline import PosePipeline
    from danet.video.result import FramePoses


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model file, or the name of an embedded model: danet72")
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="video file, camera index, address, or folder of pictures, which are taken as frames of one video: "
        "separate photos are for danet infer, or --no-tracking",
    )
    parser.add_argument("--detector", metavar="NAME", default="hog", help="hog, a detector's file, or none (hog)")
    parser.add_argument("--smallest", metavar="X", type=height, help="hog: least height of a person in frames (0.2)")
    parser.add_argument("--detect-every", metavar="N", type=positive, help="frames between its runs (10)")
    parser.add_argument("--no-tracking", action="store_true", help="detect on each frame; no ids, no smoothing")
    parser.add_argument("--no-smoothing", action="store_true", help="keypoints as they are found")
    parser.add_argument("--out", metavar="FILE", type=output, help="annotated video: .mp4, .mkv, .avi")
    parser.add_argument("--jsonl", metavar="FILE", type=output, help="a line of JSON for each frame; - for stdout")
    parser.add_argument("--show", action="store_true", help="a window, where there is a display; q ends")
    parser.add_argument("--boxes", action="store_true", help="draw boxes as well")
    parser.add_argument("--threshold", type=part, help=f"lowest keypoint score drawn ({DRAWN_SCORE})")
    parser.add_argument("--frames", metavar="N", type=positive, help="stop after so many")
    add_detector_options(parser)
    add_model_options(parser)


def _run(options: argparse.Namespace) -> int:
    from danet.commands.video_outputs import VideoOutputs

    if wrong := _wrong_use(options):
        return wrong_use("video", wrong)
    _check(options)
    with ExitStack() as stack:
        estimator = stack.enter_context(open_estimator(options))
        pipeline = stack.enter_context(_pipeline(options, estimator))
        for target in _targets(options):  # under any name: an address with file://, a folder's picture
            refuse_over(target, getattr(pipeline.source, "paths", ()), beside=_is_video(target, options))
        # closed in any case, so that what was done is kept: at the end, at an error, at Ctrl-C and at SIGTERM
        outputs = stack.enter_context(VideoOutputs(options, pipeline.source.fps))
        _tell_of_pictures(pipeline)
        stack.callback(_print_summary, pipeline, outputs)
        for result in _watched(pipeline, options.frames):
            outputs.take(result)
            if outputs.closed_by_user:
                break
    return 0


def _wrong_use(options: argparse.Namespace) -> str | None:
    targets = _targets(options)
    if len(targets) == 2 and targets[0].resolve() == targets[1].resolve():
        return f"--out and --jsonl are both {targets[0]}; write to two files"
    if options.smallest is not None and options.detector != "hog":
        return f"--smallest is for the detector hog, not for {options.detector}"
    return _idle(options) or wrong_detector_options(options)


def _idle(options: argparse.Namespace) -> str | None:
    """The option that would do nothing, and why."""
    drawing = [name for name, on in (("--boxes", options.boxes), ("--threshold", options.threshold is not None)) if on]
    if drawing and options.out is None and not options.show:
        return f"{drawing[0]} without --out or --show, in which it is drawn"
    every, raw, alone = options.detect_every is not None, options.no_smoothing, options.no_tracking
    tracking = [name for name, on in (("--detect-every", every), ("--no-smoothing", raw)) if on]
    if options.detector == "none" and (tracking or alone):
        return f"{(*tracking, '--no-tracking')[0]} with --detector none, which finds nobody to follow"
    if tracking and alone:
        return f"{tracking[0]} with --no-tracking, which detects on each frame and smooths nothing"
    return None


def _targets(options: argparse.Namespace) -> list[Path]:
    return [Path(one) for one in (options.out, options.jsonl) if one not in (None, "-")]


def _is_video(target: Path, options: argparse.Namespace) -> bool:
    """Lines of JSON are written where they stand: to a log in a folder of others, or a descriptor."""
    return options.out is not None and target == Path(options.out)


def _check(options: argparse.Namespace) -> None:
    """Refuse at once what would fail after the first frame, or cost the source."""
    source = identity(Path(options.source))  # None of an address, which may be longer than names of files
    for target in _targets(options):
        if source is not None and identity(target) == source:
            raise InputError(f"{target} is the source itself; write to another file")
        refuse_over(target, (options.model, options.detector), beside=_is_video(target, options))
    if options.show and sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
        # OpenCV's window library would end the process
        raise InputError("--show: there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set); leave it out")


def _pipeline(options: argparse.Namespace, estimator: PoseEstimator) -> PosePipeline:
    from danet.video.opening import open_source
    from danet.video.pipeline import PosePipeline

    own = {} if options.smallest is None else {"smallest": options.smallest}
    detector = None if options.detector == "none" else open_chosen(options, **own)
    tracker = None if detector is None or options.no_tracking else _tracker(options)
    source = open_source(options.source)
    if _is_of_pictures(source) and source.frames == 1:
        tracker = None  # which wants to see a person twice, so that nobody would be found
    return PosePipeline(source, estimator, detector, tracker)


def _tracker(options: argparse.Namespace) -> Tracker:
    from danet.tracking.one_euro import OneEuroSettings
    from danet.tracking.tracker import Tracker, TrackerSettings

    every = {} if options.detect_every is None else {"detect_every": options.detect_every}
    return Tracker(TrackerSettings(**every), None if options.no_smoothing else OneEuroSettings())


def _is_of_pictures(source: Source) -> bool:
    from danet.video.folder_source import FolderSource

    return isinstance(source, FolderSource)


def _tell_of_pictures(pipeline: PosePipeline) -> None:
    """Say so where pictures are followed as a video's frames: unrelated ones would share ids and smoothed keypoints."""
    if pipeline.tracker is not None and _is_of_pictures(pipeline.source):
        human().print(
            f"{pipeline.source.name}: pictures are taken as frames of one video; for separate photos use danet infer, "
            "or --no-tracking",
            markup=False,
            soft_wrap=True,
        )


def _watched(pipeline: PosePipeline, most: int | None) -> Iterator[FramePoses]:
    """The results, under a bar with the time left for a file, and the rate alone for a live source."""
    known = pipeline.source.frames
    total = min(known, most) if known and most else known or most
    with progress_bar(TextColumn("{task.fields[rate]}")) as bar:
        task = bar.add_task("frames", total=total, rate="")
        for count, result in enumerate(pipeline, start=1):
            yield result
            stats = pipeline.stats
            lost = f", {stats.dropped} dropped" if stats.dropped else ""
            bar.update(task, completed=count, rate=f"{stats.fps:.1f} fps{lost}")
            if count == most:
                return


def _print_summary(pipeline: PosePipeline, outputs: VideoOutputs) -> None:
    stats = pipeline.stats
    console = human()
    rate = stats.frames / stats.elapsed_s if stats.elapsed_s else 0.0
    parts = [
        f"{stats.frames} frames in {stats.elapsed_s:.1f} s ({rate:.1f} fps)",
        f"{stats.persons / max(stats.frames, 1):.1f} persons to a frame",
        f"detector run {stats.detections} times ({stats.detector_ms:.0f} ms each)",
        f"poses {stats.poses_ms:.1f} ms to a frame",
    ]
    if stats.dropped:
        parts.append(f"{stats.dropped} frames dropped")
    console.print(f"{pipeline.source.name}: {', '.join(parts)}", markup=False, soft_wrap=True)
    for note in (*getattr(pipeline.source, "notes", ()), *outputs.notes):
        console.print(note, markup=False, soft_wrap=True)


COMMAND = Command("video", "Find and follow poses in a video, camera or stream.", _add_arguments, _run)
