"""Camera to tracked poses on the screen: python camera_min.py [SOURCE] [--out FILE.mp4]; q ends."""

import argparse
from contextlib import nullcontext

import cv2

from danet import PoseEstimator, PosePipeline, Tracker, open_detector
from danet.video.video_writer import VideoWriter

parser = argparse.ArgumentParser()
parser.add_argument("source", nargs="?", default="0", help="camera index, file or address (0)")
parser.add_argument("--out", help="write a video instead of opening a window")
args = parser.parse_args()
pipeline = PosePipeline(args.source, PoseEstimator("danet72"), open_detector("hog"), Tracker())
with pipeline, VideoWriter(args.out, fps=pipeline.source.fps or 25) if args.out else nullcontext() as video:
    for result in pipeline:
        if video:
            video.write(result.draw(), result.frame.time_s)
            continue
        cv2.imshow("poses", result.draw())
        if cv2.waitKey(1) == ord("q"):
            break
