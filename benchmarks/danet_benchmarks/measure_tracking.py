"""How well persons are followed and how steady their keypoints are, on rendered clips whose truth is known.

    python -m danet_benchmarks.measure_tracking MODEL [--scripts walk cross ...] [--seeds 3] [--seconds 15]

Boxes come from a detector file, from HOG, or ("truth") are those of the persons of whom a third shows.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.interpolate import CubicSpline

from danet.detectors.base import Detections, Detector
from danet.detectors.opening import open_detector
from danet.estimator import PoseEstimator
from danet.oks import oks
from danet.poses import Poses
from danet.scenes.clip import Clip, ClipFrame, render_clip
from danet.scenes.scripts import SCRIPTS
from danet.tracking.boxes import iou
from danet.tracking.tracker import Tracker, TrackerSettings
from danet_evaluation.tracking import TrackedFrame, TrackingFigures, tracking_figures

COUNTED = 0.3
"""Visible share of a person from which it must be found."""
NEAREST = 0.8
"""Share of the keypoints by which the lag is found."""
LEAST_FRAMES = 25
"""In a row, by which a person's keypoints are judged."""
LAGS_S = np.arange(-0.1, 0.3001, 0.005)
"""Delays that are tried."""


@dataclass
class Followed:
    """One clip, followed once."""

    boxes: list[TrackedFrame] = field(default_factory=list)
    """Judged by IoU, which is the tracker's part."""
    keypoints: list[TrackedFrame] = field(default_factory=list)
    """Judged by OKS, which is the network's as well."""
    tracks: dict[int, list[tuple[float, int, NDArray[np.float32], NDArray[np.float32]]]] = field(default_factory=dict)
    """By the tracker's id: time, whom it is, keypoints (K, 2) as found and as smoothed."""
    detections: int = 0


def follow(clip: Clip, estimator: PoseEstimator, detector: Detector | None, settings: TrackerSettings) -> Followed:
    """Run a tracker over a clip, beside a second one that does not smooth; both see the same poses.

    Args:
        clip: rendered.
        estimator: of the poses.
        detector: None: the boxes of the persons of whom `COUNTED` shows.
        settings: of the tracker.
    """
    plain, smooth, result = Tracker(settings, smoothing=None), Tracker(settings), Followed()
    for frame in clip:
        found = None
        if smooth.detection_due:
            found = _true_boxes(frame) if detector is None else detector.detect(frame.image)
            result.detections += 1
        size = (frame.image.shape[0], frame.image.shape[1])
        boxes = smooth.boxes(size, frame.time_s, found)
        np.testing.assert_array_equal(plain.boxes(size, frame.time_s, found), boxes)  # smoothing steers nothing
        poses = estimator.infer(frame.image, boxes)
        _add(result, frame, plain.update(poses), smooth.update(poses))
    return result


def _true_boxes(frame: ClipFrame) -> Detections:
    shown = frame.visible >= COUNTED
    return Detections(frame.scene.boxes[shown], np.ones(int(shown.sum()), np.float32))


def _add(result: Followed, frame: ClipFrame, plain: Poses, smooth: Poses) -> None:
    assert smooth.ids is not None
    scene = frame.scene
    counted = frame.visible >= COUNTED
    overlap = iou(scene.boxes, smooth.boxes)
    alike = oks(scene.keypoints, smooth.keypoints, scene.areas[:, None], scene.visibility > 0)
    result.boxes.append(TrackedFrame(frame.ids, counted, smooth.ids, overlap))
    result.keypoints.append(TrackedFrame(frame.ids, counted, smooth.ids, alike))
    if not len(smooth) or not counted.any():
        return
    alike = alike[counted]
    for column, name in enumerate(smooth.ids.tolist()):
        row = int(alike[:, column].argmax())
        if alike[row, column] > 0.5:
            seen = (frame.time_s, int(frame.ids[counted][row]), plain.keypoints[column], smooth.keypoints[column])
            result.tracks.setdefault(name, []).append(seen)


@dataclass(frozen=True)
class Steadiness:
    """Of keypoints over time, in pixels of the frame and seconds."""

    jitter: float
    """RMS of the second difference from frame to frame, pixels."""
    error: float
    """Mean distance from the truth, pixels."""
    lag_s: float
    """The delay of the truth that the keypoints are nearest to."""


def steadiness(clips: Sequence[Clip], followed: Sequence[Followed]) -> tuple[Steadiness, Steadiness, float] | None:
    """As found, as smoothed, and the truth's own jitter, over frames that follow each other without a gap.

    None where nobody was followed for `LEAST_FRAMES`.
    """
    runs = [run for clip, one in zip(clips, followed, strict=True) for run in _runs(clip, one)]
    if not runs:
        return None
    truth = np.sqrt(np.mean(np.concatenate([np.square(np.diff(run.truth(0.0), 2, axis=0)).ravel() for run in runs])))
    return _steadiness(runs, "plain"), _steadiness(runs, "smooth"), float(truth)


@dataclass(frozen=True, eq=False)
class _Run:
    """Frames in a row in which one person was followed."""

    path: CubicSpline
    """Seconds -> true keypoints (K, 2)."""
    times: NDArray[np.float64]
    plain: NDArray[np.float64]
    smooth: NDArray[np.float64]

    def truth(self, lag_s: float) -> NDArray[np.float64]:
        """Keypoints (T, K, 2) of the person `lag_s` ago."""
        return np.asarray(self.path(self.times - lag_s), np.float64)


def _runs(clip: Clip, followed: Followed) -> list[_Run]:
    found: list[_Run] = []
    step = 1 / (clip.fps or 25.0)
    paths = _paths(clip, step / 2)
    for seen in followed.tracks.values():
        times = np.array([one[0] for one in seen])
        persons = np.array([one[1] for one in seen])
        cuts = np.flatnonzero((np.diff(times) > 1.5 * step) | (np.diff(persons) != 0)) + 1
        for part in np.split(np.arange(len(seen)), cuts):
            if len(part) >= LEAST_FRAMES:
                points = [np.array([seen[index][which] for index in part], np.float64) for which in (2, 3)]
                found.append(_Run(paths[int(persons[part[0]])], times[part], *points))
    return found


def _paths(clip: Clip, step: float) -> dict[int, CubicSpline]:
    """By person: the truth at each step; between them a spline is as good as the truth, and quick."""
    times = np.arange(0, len(clip) / (clip.fps or 25.0), step)
    truth = [clip.keypoints(float(time)) for time in times]
    paths = {}
    for person in sorted(set().union(*truth)):
        there = [index for index, one in enumerate(truth) if person in one]
        paths[person] = CubicSpline(times[there], np.array([truth[index][person] for index in there]))
    return paths


def _mean_of_nearest(distances: NDArray[np.float64]) -> float:
    """Mean of the nearest `NEAREST` of some distances (N,)."""
    return float(np.sort(distances)[: ceil(NEAREST * len(distances))].mean())


def _steadiness(runs: list[_Run], which: str) -> Steadiness:
    pairs = [(getattr(run, which), run) for run in runs]
    second = np.concatenate([np.square(np.diff(points, 2, axis=0)).ravel() for points, _ in pairs])

    def away(lag_s: float) -> list[NDArray[np.float64]]:
        return [np.linalg.norm(points - run.truth(lag_s), axis=2).ravel() for points, run in pairs]

    # the farthest fifth is left out: keypoints that are wrong altogether say nothing of time
    misses = [_mean_of_nearest(np.concatenate(away(float(lag)))) for lag in LAGS_S]
    error = float(np.concatenate(away(0.0)).mean())
    return Steadiness(float(np.sqrt(second.mean())), error, float(LAGS_S[int(np.argmin(misses))]))


@dataclass(frozen=True)
class Row:
    """Some clips of one script."""

    name: str
    boxes: TrackingFigures
    keypoints: TrackingFigures
    detections: int
    frames: int


def _print(rows: list[Row], steady: tuple[Steadiness, Steadiness, float] | None) -> None:
    console = Console(width=140)
    table = Table("clips", "detector", "MOTA", "IDF1", "switches", "misses", "false", "persons", "ids", "MOTA by OKS")
    for row in rows:
        one = row.boxes
        table.add_row(
            row.name, f"{row.detections}/{row.frames}", f"{one.mota:.3f}", f"{one.idf1:.3f}", str(one.id_switches),
            str(one.misses), str(one.false_positives), str(one.persons), str(one.ids), f"{row.keypoints.mota:.3f}",
        )  # fmt: skip
    console.print(table)
    if steady is None:
        console.print(f"keypoints: nobody was followed for {LEAST_FRAMES} frames in a row")
        return
    table = Table("keypoints", "jitter px", "error px", "lag ms")
    for name, keypoints in (("as found", steady[0]), ("smoothed", steady[1])):
        table.add_row(name, f"{keypoints.jitter:.2f}", f"{keypoints.error:.2f}", f"{1000 * keypoints.lag_s:.0f}")
    table.add_row("truth", f"{steady[2]:.2f}", "0", "0")
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print MOTA and IDF1 for each script, and jitter and lag over all."""
    parser = argparse.ArgumentParser(description="Tracking on rendered clips.")
    parser.add_argument("model")
    parser.add_argument("--scripts", nargs="+", default=["walk", "cross", "leave", "occlude"], choices=sorted(SCRIPTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--persons", type=int, default=3)
    parser.add_argument("--detector", default="truth", help="truth, hog, or a detector's file")
    parser.add_argument("--detect-every", type=int, nargs="+", default=[10, 1])
    parser.add_argument("--threads", type=int)
    options = parser.parse_args(arguments)
    detector = None if options.detector == "truth" else open_detector(options.detector)
    rows, clips, all_followed = [], [], []
    with PoseEstimator(options.model, threads=options.threads) as estimator:
        for every in options.detect_every:
            for script in options.scripts:
                some = [
                    render_clip(seed, seconds=options.seconds, persons=options.persons, script=script)
                    for seed in range(options.seeds)
                ]
                followed = [follow(clip, estimator, detector, TrackerSettings(detect_every=every)) for clip in some]
                rows.append(
                    Row(
                        f"{script}, every {every}",
                        tracking_figures([one.boxes for one in followed]),
                        tracking_figures([one.keypoints for one in followed]),
                        sum(one.detections for one in followed),
                        sum(len(one.boxes) for one in followed),
                    )
                )
                if every == options.detect_every[0]:
                    clips += some
                    all_followed += followed
    _print(rows, steadiness(clips, all_followed))


if __name__ == "__main__":
    main()
