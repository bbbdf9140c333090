"""Raspberry-Pi style: poses with numpy, OpenCV and a TFLite interpreter, and nothing of OpenVINO.

    pip install --no-deps . && pip install -c constraints.txt numpy opencv-python rich ai-edge-litert     # in a clone
    python tflite_edge.py [SOURCE] [--model danet72-int8.tflite] [--frames 100] [--out out.mp4]

SOURCE is a camera's index, a video file or a picture; the embedded portrait without one. Ctrl-C ends a camera. On
Python 3.11 `pip install tflite-runtime "numpy<2" "opencv-python<4.12" rich` does as well.
"""

from __future__ import annotations

import argparse
import itertools
import time
from contextlib import nullcontext, suppress
from pathlib import Path

from danet import DanetError, PoseEstimator, PosePipeline
from danet.detectors.hog_detector import HogDetector
from danet.embedded import PORTRAIT
from danet.tracking.tracker import Tracker, TrackerSettings
from danet.video.folder_source import is_picture
from danet.video.video_writer import VideoWriter

# a board's detector is slow, so it runs seldom: the tracker finds the persons by their last poses meanwhile
SELDOM = TrackerSettings(detect_every=30, detect_every_lost=10)


def run(args: argparse.Namespace) -> None:
    """Run the frames, print what was found and how fast it went."""
    start = time.monotonic()
    # a file's suffix says that it is TFLite; the embedded model is there as OpenVINO IR and as TFLite
    estimator = PoseEstimator(args.model, backend="tflite", threads=args.threads)
    print(f"{estimator.spec.name} on {estimator.precision}, loaded in {time.monotonic() - start:.2f} s")

    # a picture is one frame that one person fills: no detector, no tracker
    still = is_picture(Path(args.source)) and Path(args.source).is_file()
    people = () if still else (HogDetector(smallest=0.4), Tracker(SELDOM))
    pipeline = PosePipeline(args.source, estimator, *people)
    writer = VideoWriter(args.out, fps=pipeline.source.fps or 25) if args.out else nullcontext()
    with pipeline, writer as video, suppress(KeyboardInterrupt):
        for result in itertools.islice(pipeline, args.frames):
            if video:
                video.write(result.draw(), result.frame.time_s)
            best = max(result.poses.person_scores, default=0.0)
            print(f"{result.frame.time_s:6.2f} s: {len(result.poses)} persons, best score {best:.2f}")
    stats = pipeline.stats
    print(f"{stats.frames} frames, {stats.fps:.1f} fps, {stats.poses_ms:.0f} ms for the poses of a frame")


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and run; mistakes are told in a line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("source", nargs="?", default=str(PORTRAIT))
    parser.add_argument("--model", default="danet72", help="a .tflite file (the embedded model)")
    parser.add_argument("--threads", type=int, default=4, help="the board's cores (4)")
    parser.add_argument("--frames", type=int, help="stop after so many")
    parser.add_argument("--out", help="annotated video")
    args = parser.parse_args(arguments)
    if args.frames is not None and args.frames < 1:
        parser.error(f"--frames {args.frames}, expected 1 or more")
    try:
        run(args)
    except (DanetError, OSError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
