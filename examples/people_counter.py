"""Counts persons who cross a line, in and out, each by its track's id.

    python people_counter.py SOURCE --line 320,0,320,480 [--detector yolox_nano.onnx] [--out counted.mp4]

SOURCE is a video file, a camera's index or an address. Looking along the line from its first point to its
second, whoever goes over to the right comes in, and whoever goes over to the left goes out. Each change is told on
stderr as it happens, the counts on stdout at the end of the source or at Ctrl-C.
"""

from __future__ import annotations

import argparse
import math
import sys
from contextlib import nullcontext

import cv2
import numpy as np

from danet import DanetError, PoseEstimator, PosePipeline, Poses, Tracker, open_detector
from danet.video.video_writer import VideoWriter


class LineCounter:
    """Counts tracks that change sides between the two ends of a line; who walks around an end is not counted."""

    def __init__(self, x1: float, y1: float, x2: float, y2: float) -> None:
        self.start, self.end = np.array((x1, y1)), np.array((x2, y2))
        self.entered = self.left = 0
        # where each id was last seen clearly on one side: signed distance from the line, and place along it (0 to 1)
        self._last: dict[int, tuple[float, float]] = {}

    def update(self, poses: Poses) -> None:
        """Take in the tracked persons of the next frame."""
        assert poses.ids is not None, "counting needs a tracker"
        (dx, dy), length = self.end - self.start, float(np.hypot(*(self.end - self.start)))
        for person, (x1, _, x2, y2) in zip(poses.ids, poses.boxes, strict=True):
            x, y = ((x1 + x2) / 2, y2) - self.start  # the feet: the middle of the box's lower edge
            distance, along = (dx * y - dy * x) / length, (dx * x + dy * y) / length**2
            if abs(distance) < 0.1 * (x2 - x1):
                continue  # on the line: someone who stands there and sways must not be counted again and again
            before, along_before = self._last.get(int(person), (distance, along))
            self._last[int(person)] = (distance, along)
            crossed = before * distance < 0
            if crossed and 0 <= along_before + (along - along_before) * before / (before - distance) <= 1:
                self.entered += distance > 0
                self.left += distance < 0

    def __str__(self) -> str:
        return f"in {self.entered}, out {self.left}"

    def draw(self, picture: cv2.typing.MatLike) -> None:
        """Draw the line and the counts on a picture."""
        start, end = self.start.round().astype(int).tolist(), self.end.round().astype(int).tolist()
        cv2.arrowedLine(picture, start, end, (0, 220, 255), 2, cv2.LINE_AA, tipLength=0.04)
        cv2.putText(picture, str(self), (8, 26), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (0, 220, 255), 2, cv2.LINE_AA)


def line_ends(text: str) -> list[float]:
    """The value of --line: x1, y1, x2, y2."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)) or numbers[:2] == numbers[2:]:
        raise argparse.ArgumentTypeError(f"{text!r}, expected x1,y1,x2,y2: four numbers, of two points that differ")
    return numbers


def count(args: argparse.Namespace) -> None:
    """Count, write a video if asked to, and print the counts."""
    counter = LineCounter(*args.line)
    pipeline = PosePipeline(args.source, PoseEstimator(args.model), open_detector(args.detector), Tracker())
    with pipeline, VideoWriter(args.out, fps=pipeline.source.fps or 25) if args.out else nullcontext() as video:
        try:
            for result in pipeline:
                before = str(counter)
                counter.update(result.poses)
                if str(counter) != before:
                    print(f"{result.frame.time_s:.1f} s: {counter}", file=sys.stderr)
                if video:
                    picture = result.draw()
                    counter.draw(picture)
                    video.write(picture, result.frame.time_s)
        except KeyboardInterrupt:  # the usual end of a camera
            pass
        finally:  # also where a camera fails
            print(counter)


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and count; mistakes are told in a line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("--line", type=line_ends, required=True, help="x1,y1,x2,y2 in pixels of the frame")
    parser.add_argument("--model", default="danet72", help="embedded model, or a file")
    parser.add_argument("--detector", default="hog", help="hog, or a detector's .onnx")
    parser.add_argument("--out", help="annotated video")
    args = parser.parse_args(arguments)
    try:
        count(args)
    except (DanetError, OSError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
