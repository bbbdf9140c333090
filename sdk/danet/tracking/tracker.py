"""Persons followed from frame to frame by their poses; the detector runs now and then."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from danet.detectors.base import Detections
from danet.errors import InputError
from danet.poses import Poses
from danet.tracking.boxes import iou, keypoint_box, share_inside
from danet.tracking.matching import pairs_by_similarity, similarity
from danet.tracking.one_euro import OneEuroFilter, OneEuroSettings
from danet.tracking.track import Sighting, Track

REFERENCE_HEIGHT = 256.0
"""Pixels: a person is thought to be scaled to this height where keypoints are smoothed (the crop's height)."""
DEFAULT_SMOOTHING = OneEuroSettings()
NEEDED = 4
"""Sure keypoints without which a pose is no sighting."""
VISIBLE = 0.1
"""Share of its box in the frame below which a person has left."""


@dataclass(frozen=True)
class TrackerSettings:
    """How persons are followed.

    Args:
        detect_every: frames from one run of the detector to the next; 1: on each frame.
        detect_every_lost: the same while a person is lost.
        keypoint_score: a keypoint of a lower score is not relied on.
        pose_score: a pose of a lower mean score is no sighting.
        new_box_score: a detection of a lower score starts no track.
        match: similarity (OKS, or weighted IoU) from which a pose is taken for a known person.
        same: OKS above which two poses are taken for one person.
        confirm: sightings from which a person is returned, with an id.
        keep_lost_s: seconds for which an unseen person may come back under its id.
        undetected: detector runs in a row that may miss a person whose pose goes on.
    """

    detect_every: int = 10
    detect_every_lost: int = 3
    keypoint_score: float = 0.25
    pose_score: float = 0.2
    new_box_score: float = 0.3
    match: float = 0.25
    same: float = 0.6
    confirm: int = 2
    keep_lost_s: float = 2.0
    undetected: int = 6

    def __post_init__(self) -> None:
        for name in ("detect_every", "detect_every_lost", "confirm", "undetected"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)!r}, expected 1 or more")
        for name in ("keypoint_score", "pose_score", "new_box_score", "match", "same", "keep_lost_s"):
            if not isfinite(getattr(self, name)) or getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)!r}, expected a number of 0 or more")


class Tracker:
    """Gives the boxes of each frame's crops, and ids to the poses found in them.

    For each frame, in order: `boxes`, the estimator on them, `update`. The pipeline does so; in a loop of your own:

        found = detector.detect(image) if tracker.detection_due else None
        poses = tracker.update(estimator.infer(image, tracker.boxes(image.shape[:2], time_s, found)))

    Args:
        settings: how persons are followed.
        smoothing: of the returned keypoints; None: as they were found.

    Not safe to call from several threads: frames have an order.
    """

    def __init__(
        self, settings: TrackerSettings | None = None, smoothing: OneEuroSettings | None = DEFAULT_SMOOTHING
    ) -> None:
        self.settings = settings or TrackerSettings()
        self.smoothing = smoothing
        self._tracks: list[Track] = []
        self._origins: list[Track | None] = []
        self._last_id = 0
        self._since_detection: int | None = None
        self._asked = False
        self._time_s = -np.inf
        self._size: tuple[int, int] | None = None

    @property
    def detection_due(self) -> bool:
        """Whether the next frame's `boxes` should be given detections."""
        if self._asked or self._since_detection is None:
            return True
        lost = any(track.lost for track in self._tracks)
        every = self.settings.detect_every_lost if lost else self.settings.detect_every
        return self._since_detection + 1 >= min(every, self.settings.detect_every)

    def request_detection(self) -> None:
        """Have the detector run on the next frame."""
        self._asked = True

    def boxes(self, frame_size: tuple[int, int], time_s: float, detections: Detections | None) -> NDArray[np.float32]:
        """The boxes to crop in this frame: (N, 4) float32 xyxy, frame pixels.

        Args:
            frame_size: (height, width). A new size scales what is known: a stream changes its resolution, not its view.
            time_s: of this frame, seconds.
            detections: of this frame, where the detector ran.

        Raises:
            InputError: a time that is not after the last frame's.
        """
        if not time_s > self._time_s:
            raise InputError(f"a frame of {time_s:.3f} s comes after one of {self._time_s:.3f} s; times must grow")
        self._time_s = time_s
        self._fit_to(frame_size)
        keep = self.settings.keep_lost_s
        self._tracks = [track for track in self._tracks if not track.lost or track.unseen_s(time_s) <= keep]
        self._since_detection = (self._since_detection or 0) + 1
        followed = [track for track in self._tracks if not track.lost]
        expected = np.array([track.expected_box(time_s) for track in followed]).reshape(-1, 4)
        self._origins = list(followed)
        if detections is not None:
            expected = self._with_detections(followed, expected, detections)
        return self._inside(expected, frame_size).astype(np.float32)

    def _fit_to(self, size: tuple[int, int]) -> None:
        if self._size not in (None, size):
            before = self._size or size
            for track in self._tracks:
                track.scale(np.array((size[1] / before[1], size[0] / before[0])))
        self._size = size

    def _with_detections(
        self, followed: list[Track], expected: NDArray[np.float64], detections: Detections
    ) -> NDArray[np.float64]:
        """Expected boxes drawn toward the detections that they overlap, then the boxes of new persons."""
        self._since_detection, self._asked = 0, False
        found = np.asarray(detections.boxes, np.float64).reshape(-1, 4)
        pairs = pairs_by_similarity(iou(expected, found), 0.4)
        for track in followed:
            track.undetected += 1
        for row, column in pairs:
            followed[row].undetected = 0
            expected[row] = (expected[row] + found[column]) / 2
        known = {column for _, column in pairs}
        enough = detections.scores >= self.settings.new_box_score
        new = [column for column in range(len(found)) if column not in known and enough[column]]
        self._origins += [None] * len(new)
        return np.concatenate((expected, found[new]))

    def _inside(self, boxes: NDArray[np.float64], frame_size: tuple[int, int]) -> NDArray[np.float64]:
        """Without those of persons who have left the frame or whom the detector does not confirm."""
        kept = []
        for row, (box, track) in enumerate(zip(boxes, self._origins, strict=True)):
            if track is not None and (
                share_inside(box, frame_size) < VISIBLE or track.undetected > self.settings.undetected
            ):
                track.lost = True
            else:
                kept.append(row)
        self._origins = [self._origins[row] for row in kept]
        return boxes[kept]

    def update(self, poses: Poses) -> Poses:
        """The confirmed persons of this frame, with ids, smoothed keypoints and boxes around them.

        Args:
            poses: the estimator's, of the boxes that `boxes` gave, in their order.

        Raises:
            InputError: another number of persons than boxes.
        """
        if len(poses) != len(self._origins):
            raise InputError(f"{len(poses)} poses for {len(self._origins)} boxes; pass what `infer` gave for `boxes`")
        sightings = self._sightings(poses)
        seen = self._matched(sightings)
        for track in self._tracks:
            if not track.lost and track not in seen.values():
                track.lost = self._asked = True
        self._tracks = [track for track in self._tracks if not track.lost or track.id is not None]
        for row, track in seen.items():
            track.see(sightings[row])
        seen |= self._started(sightings, seen)
        self._origins = []
        return self._returned(poses, {row: seen[row] for row in sorted(seen, key=lambda row: seen[row].id or 0)})

    def _sightings(self, poses: Poses) -> dict[int, Sighting]:
        """The usable poses, by row."""
        sure = (poses.scores >= self.settings.keypoint_score) & np.isfinite(poses.keypoints).all(2)
        usable = (poses.person_scores >= self.settings.pose_score) & (sure.sum(1) >= NEEDED)
        return {
            int(row): Sighting(
                poses.keypoints[row].astype(np.float64), poses.scores[row].astype(np.float64), sure[row], self._time_s
            )
            for row in np.flatnonzero(usable)
        }

    def _matched(self, sightings: dict[int, Sighting]) -> dict[int, Track]:
        """Which usable pose (row) is which known person."""
        tracks, rows = self._tracks, list(sightings)
        if not tracks or not rows:
            return {}
        now = self._time_s
        alike = similarity(
            np.array([track.expected_points(now) for track in tracks]),
            np.array([track.last.sure for track in tracks]),
            np.array([track.expected_box(now) for track in tracks]),
            *_stacked([sightings[row] for row in rows]),
            # where an unseen person went is known less and less
            tolerance=np.array([1 + track.unseen_s(now) if track.lost else 1.0 for track in tracks]),
        )
        pairs = pairs_by_similarity(alike, self.settings.match)
        # those who are known for longer keep a pose that two tracks have fallen upon: one hides the other
        pairs.sort(key=lambda pair: (tracks[pair[0]].id is None, -alike[pair]))
        taken: dict[int, Track] = {}
        for index, column in pairs:
            if not self._doubles(sightings[rows[column]], [sightings[row] for row in taken]):
                taken[rows[column]] = tracks[index]
        return taken

    def _doubles(self, one: Sighting, others: list[Sighting]) -> bool:
        """Whether a pose is that of a person who has one already."""
        if not others:
            return False
        return bool(similarity(*_stacked([one]), *_stacked(others)).max() > self.settings.same)

    def _started(self, sightings: dict[int, Sighting], seen: dict[int, Track]) -> dict[int, Track]:
        """Tracks of the poses from new boxes that are nobody's yet, the surest first."""
        started: dict[int, Track] = {}
        new = [row for row in sightings if row not in seen and self._origins[row] is None]
        for row in sorted(new, key=lambda row: -float(sightings[row].scores.mean())):
            if self._doubles(sightings[row], [sightings[other] for other in (*seen, *started)]):
                continue
            smoother = None if self.smoothing is None else OneEuroFilter(self.smoothing)
            started[row] = Track(sightings[row], smoother)
        self._tracks += started.values()
        return started

    def _returned(self, poses: Poses, seen: dict[int, Track]) -> Poses:
        points = {row: self._smoothed(track) for row, track in seen.items()}
        for track in seen.values():
            if track.id is None and track.sightings >= self.settings.confirm:
                self._last_id += 1
                track.id = self._last_id
        rows = [row for row, track in seen.items() if track.id is not None]
        chosen = poses[rows]
        return replace(
            chosen,
            keypoints=np.array([points[row] for row in rows], np.float32).reshape(chosen.keypoints.shape),
            boxes=np.array([seen[row].box for row in rows], np.float32).reshape(-1, 4),
            ids=np.array([seen[row].id for row in rows], np.int64),
        )

    def _smoothed(self, track: Track) -> NDArray[np.float32]:
        if track.smoother is None:
            return track.last.points.astype(np.float32)
        scale = REFERENCE_HEIGHT / max(float((track.box[2:] - track.box[:2]).max()), 1.0)
        return track.smoother(track.last.points, self._time_s, track.last.scores, scale)


def _stacked(sightings: list[Sighting]) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Keypoints (N, K, 2), which are sure (N, K), and boxes (N, 4) of some poses."""
    points = np.array([one.points for one in sightings])
    sure = np.array([one.sure for one in sightings])
    return points, sure, np.array([keypoint_box(one.points, one.sure) for one in sightings])
