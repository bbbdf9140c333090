"""Camera to tracked poses on the screen: python camera_min.py [SOURCE] [--out FILE.mp4]; q or Ctrl-C ends."""

import argparse
import os
import sys
from contextlib import nullcontext, suppress

import cv2

from danet import DanetError, PoseEstimator, PosePipeline, Tracker, open_detector
from danet.video.video_writer import VideoWriter

parser = argparse.ArgumentParser()
parser.add_argument("source", nargs="?", default="0", help="camera index, file or address (0)")
parser.add_argument("--out", help="write a video instead of opening a window")
args = parser.parse_args()
if not args.out and sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    # OpenCV's window library would abort the process
    sys.exit("no display to open a window on; use --out FILE.mp4, or danet video danet72 SOURCE --out FILE.mp4")
try:
    pipeline = PosePipeline(args.source, PoseEstimator("danet72"), open_detector("hog"), Tracker())
    writer = VideoWriter(args.out, fps=pipeline.source.fps or 25) if args.out else nullcontext()
    with pipeline, writer as video, suppress(KeyboardInterrupt):
        for result in pipeline:
            if video:
                video.write(result.draw(), result.frame.time_s)
                continue
            cv2.imshow("poses", result.draw())
            if cv2.waitKey(1) == ord("q"):
                break
except (DanetError, OSError) as error:
    sys.exit(str(error))
