"""Counts squats by the angle of the knees, for each person in the picture.

    python exercise_counter.py SOURCE [--detector yolox_nano.onnx] [--down 150 --up 160] [--out counted.mp4]

A squat is counted when the knee has been below --down degrees and is above --up again. The gap between
the two (hysteresis) keeps a knee that trembles at one angle from being counted again and again. The angle is
that in the picture: film from the side or half from the side, since from the front a bent knee looks straight.
Each squat is told on stderr as it is counted, the counts on stdout at the end of the source or at Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from danet import DanetError, PoseEstimator, PosePipeline, Poses, Tracker, open_detector
from danet.video.result import FramePoses
from danet.video.video_writer import VideoWriter

DOWN, UP = 150.0, 160.0


def knee_angle(person: Poses, least_score: float = 0.1) -> float | None:
    """Degrees between thigh and shin of the knee that is bent more; 180 is straight. None: no leg is seen.

    From half the side one leg often looks straighter than it is; the other one tells. A leg that is not seen does not:
    its keypoints may lie anywhere.
    """
    angles = []
    for side in ("left", "right"):
        joints = [person.names.index(f"{side}_{joint}") for joint in ("hip", "knee", "ankle")]
        if person.scores[0, joints].min() < least_score:
            continue
        hip, knee, ankle = person.keypoints[0, joints].astype(float)
        thigh, shin = hip - knee, ankle - knee
        turn = np.degrees(np.arctan2(thigh[0] * shin[1] - thigh[1] * shin[0], thigh @ shin))
        angles.append(abs(float(turn)))
    return min(angles) if angles else None


@dataclass
class SquatCounter:
    """Repetitions of one person."""

    down: float
    up: float
    count: int = 0
    since_s: float | None = None  # when the knee was bent; None: standing

    def update(self, angle: float, time_s: float) -> None:
        """Take in the next angle, degrees; nobody squats in less than 0.4 s, so what is shorter is a slip."""
        if self.since_s is None and angle < self.down:
            self.since_s = time_s
        elif self.since_s is not None and angle > self.up:
            self.count += time_s - self.since_s >= 0.4
            self.since_s = None


def take(result: FramePoses, counters: dict[int, SquatCounter], down: float, up: float) -> NDArray[np.uint8]:
    """Count in the persons of a frame; gives its picture with the counts."""
    picture, ids = result.draw(), result.poses.ids
    assert ids is not None, "counting needs a tracker"
    for person, person_id in zip(result.poses, ids, strict=True):
        counter = counters.setdefault(int(person_id), SquatCounter(down, up))
        before, angle = counter.count, knee_angle(person)
        if angle is not None:
            counter.update(angle, result.frame.time_s)
        if counter.count > before:
            print(f"{result.frame.time_s:.1f} s: person {person_id}: {counter.count} squats", file=sys.stderr)
        x, y = person.boxes[0, 2:].round().astype(int).tolist()
        cv2.putText(picture, str(counter.count), (x, y), cv2.FONT_HERSHEY_SIMPLEX, 1, (0, 220, 255), 2)
    return picture


def count(args: argparse.Namespace) -> None:
    """Count, write a video if asked to, and print the counts."""
    counters: dict[int, SquatCounter] = {}
    # the tracker smooths keypoints over time (One-Euro filter), so the angle needs no filter of its own
    pipeline = PosePipeline(args.source, PoseEstimator(args.model), open_detector(args.detector), Tracker())
    with pipeline, VideoWriter(args.out, fps=pipeline.source.fps or 25) if args.out else nullcontext() as video:
        try:
            for result in pipeline:
                picture = take(result, counters, args.down, args.up)
                if video:
                    video.write(picture, result.frame.time_s)
        except KeyboardInterrupt:  # the usual end of a camera
            pass
        finally:  # also where a camera fails
            for person_id, counter in counters.items():
                print(f"person {person_id}: {counter.count} squats")


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and count; mistakes are told in a line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("--model", default="danet72", help="embedded model, or a file")
    parser.add_argument("--detector", default="hog", help="hog, or a detector's .onnx")
    parser.add_argument("--down", type=float, default=DOWN, help=f"degrees ({DOWN:g})")
    parser.add_argument("--up", type=float, default=UP, help=f"degrees ({UP:g})")
    parser.add_argument("--out", help="annotated video")
    args = parser.parse_args(arguments)
    if not 0 < args.down < args.up < 180:  # the other way round, a knee that trembles would be counted
        parser.error(f"--down {args.down:g} and --up {args.up:g}, expected 0 < down < up < 180")
    try:
        count(args)
    except (DanetError, OSError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
