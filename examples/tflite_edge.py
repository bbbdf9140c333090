"""Raspberry-Pi style: poses with numpy, OpenCV and a TFLite interpreter, and nothing of OpenVINO.

    pip install --no-deps . && pip install numpy opencv-python rich ai-edge-litert        # in a clone of danet-edge
    python tflite_edge.py [SOURCE] [--model danet72-int8.tflite] [--frames 100] [--out out.mp4]

SOURCE is a camera's index, a video file or a picture; the embedded portrait without one. On Python 3.11
tflite-runtime and numpy<2 do as well as ai-edge-litert.
"""

from __future__ import annotations

import argparse
import itertools
import time
from contextlib import nullcontext

from danet import PoseEstimator, PosePipeline
from danet.detectors.hog_detector import HogDetector
from danet.embedded import PORTRAIT
from danet.tracking.tracker import Tracker, TrackerSettings
from danet.video.video_writer import VideoWriter

# a board's detector is slow, so it runs seldom: the tracker finds the persons by their last poses meanwhile
SELDOM = TrackerSettings(detect_every=30, detect_every_lost=10)


def main(arguments: list[str] | None = None) -> None:
    """Run the frames, print what was found and how fast it went."""
    parser = argparse.ArgumentParser()
    parser.add_argument("source", nargs="?", default=str(PORTRAIT))
    parser.add_argument("--model", default="danet72", help="a .tflite file (the embedded model)")
    parser.add_argument("--threads", type=int, default=4, help="the board's cores (4)")
    parser.add_argument("--frames", type=int, help="stop after so many")
    parser.add_argument("--out", help="annotated video")
    args = parser.parse_args(arguments)

    start = time.monotonic()
    # a file's suffix says that it is TFLite; the embedded model is there as OpenVINO IR and as TFLite
    estimator = PoseEstimator(args.model, backend="tflite", threads=args.threads)
    print(f"{estimator.spec.name} on {estimator.precision}, loaded in {time.monotonic() - start:.2f} s")

    # a picture is one frame that one person fills: no detector, no tracker
    still = args.source.lower().endswith((".jpg", ".jpeg", ".png"))
    people = () if still else (HogDetector(smallest=0.4), Tracker(SELDOM))
    pipeline = PosePipeline(args.source, estimator, *people)
    with pipeline, VideoWriter(args.out, fps=pipeline.source.fps or 25) if args.out else nullcontext() as video:
        for result in itertools.islice(pipeline, args.frames):
            if video:
                video.write(result.draw(), result.frame.time_s)
            best = max(result.poses.person_scores, default=0.0)
            print(f"{result.frame.time_s:6.2f} s: {len(result.poses)} persons, best score {best:.2f}")
        stats = pipeline.stats
    print(f"{stats.frames} frames, {stats.fps:.1f} fps, {stats.poses_ms:.0f} ms for the poses of a frame")


if __name__ == "__main__":
    main()
