"""Persons followed from frame to frame by their poses; the detector runs now and then."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from math import inf, isfinite
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from danet.detectors.base import Detections, checked
from danet.errors import InputError
from danet.poses import Poses
from danet.tracking.boxes import iou, keypoint_box, share_inside
from danet.tracking.checks import expect_number
from danet.tracking.matching import pairs_by_similarity, similarity
from danet.tracking.one_euro import OneEuroFilter, OneEuroSettings
from danet.tracking.reach import LEAST_NEARNESS, nearness
from danet.tracking.track import Sighting, Track

REFERENCE_HEIGHT = 256.0
"""Pixels: a person is thought to be scaled to this height where keypoints are smoothed (the crop's height)."""
DEFAULT_SMOOTHING = OneEuroSettings()
NEEDED = 4
"""Sure keypoints without which a pose is no sighting; all where a model has fewer."""
LEAST_KEYPOINTS = 2
"""That a model must have: a person's size is taken from them."""
DETECTED_IOU = 0.4
"""IoU of expected and detected box from which they are of one person."""
DETECTED_EASE = 0.5
"""Factor on what is asked of a known person's pose where the detector has found it as well."""
USUAL_FRAMES = 3
"""A gap of more than so many frame intervals is one."""
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
            value = getattr(self, name)
            if not (isinstance(value, Real) and float(value) >= 1):
                raise InputError(f"{name} is {value!r}, expected 1 or more")
        for name in ("keypoint_score", "pose_score", "new_box_score", "match", "same", "keep_lost_s"):
            expect_number(name, getattr(self, name), above_zero=False)


@dataclass(frozen=True, eq=False)
class Crop:
    """A box that is looked into, and why."""

    box: NDArray[np.float64]
    """(4,) xyxy, frame pixels."""
    track: Track | None
    """Who is expected there; None: whom the detector found and nobody knows yet."""
    detected: NDArray[np.float64] | None = None
    """(4,) xyxy, the detector's box."""


class Tracker:
    """Gives the boxes of each frame's crops, and ids to the poses found in them.

    For each frame, in order: `boxes`, the estimator on them, `update`. The pipeline does so; in a loop of your own:

        found = detector.detect(image) if tracker.detection_due_at(time_s) else None
        poses = tracker.update(estimator.infer(image, tracker.boxes(image.shape[:2], time_s, found)))

    Args:
        settings: how persons are followed.
        smoothing: of the returned keypoints; None: as they were found.

    Raises:
        InputError: settings or smoothing of another type.

    Not safe to call from several threads: frames have an order.
    """

    def __init__(
        self, settings: TrackerSettings | None = None, smoothing: OneEuroSettings | None = DEFAULT_SMOOTHING
    ) -> None:
        if not (settings is None or isinstance(settings, TrackerSettings)):
            raise InputError(f"settings {settings!r:.60}, expected danet.TrackerSettings or None")
        if not (smoothing is None or isinstance(smoothing, OneEuroSettings)):
            raise InputError(f"smoothing {smoothing!r:.60}, expected danet.OneEuroSettings, or None for none")
        self.settings = settings or TrackerSettings()
        self.smoothing = smoothing
        self._tracks: list[Track] = []
        self._crops: list[Crop] = []
        self._last_id = 0
        self._since_detection: int | None = None
        self._asked = False
        self._time_s = -np.inf
        self._interval_s = 0.0
        self._size: tuple[int, int] | None = None

    @property
    def detection_due(self) -> bool:
        """Whether the next frame's `boxes` should be given detections."""
        if self._asked or self._since_detection is None:
            return True
        lost = any(track.lost for track in self._tracks)
        every = self.settings.detect_every_lost if lost else self.settings.detect_every
        return self._since_detection + 1 >= min(every, self.settings.detect_every)

    def detection_due_at(self, time_s: float) -> bool:
        """The same for a frame of a certain time: after a long gap the detector must look who is there."""
        return self.detection_due or time_s - self._time_s > self._kept_for()

    def _kept_for(self) -> float:
        """Seconds for which persons are remembered; some frames at least, where frames are far apart."""
        return max(self.settings.keep_lost_s, USUAL_FRAMES * self._interval_s)

    def request_detection(self) -> None:
        """Have the detector run on the next frame."""
        self._asked = True

    def boxes(self, frame_size: tuple[int, int], time_s: float, detections: Detections | None) -> NDArray[np.float32]:
        """The boxes to crop in this frame: (N, 4) float32 xyxy, frame pixels; the estimator's `box_format` must be so.

        Args:
            frame_size: (height, width). A new size scales what is known: a stream changes its resolution, not its view.
            time_s: of this frame, seconds.
            detections: of this frame, where the detector ran.

        Raises:
            InputError: a time that is not after the last frame's, or a size of more than two numbers.
            DetectorError: detections that are no boxes.
        """
        if not time_s > self._time_s:
            raise InputError(
                f"a frame of {time_s:.3f} s comes after one of {self._time_s:.3f} s; times must grow: make a new "
                "Tracker for another source"
            )
        if len(frame_size) != 2:
            raise InputError(f"frame_size {tuple(frame_size)}, expected (height, width); pass image.shape[:2]")
        self._fit_to(frame_size)
        gap = time_s - self._time_s if isfinite(self._time_s) else 0.0
        self._interval_s = self._interval_s or gap  # of the second frame nothing else is known
        keep = self._kept_for()
        self._tracks = [track for track in self._tracks if track.unseen_s(time_s) <= keep]
        self._interval_s = gap
        self._time_s = time_s
        self._since_detection = (self._since_detection or 0) + 1
        followed = [track for track in self._tracks if not track.lost]
        self._crops = [Crop(track.expected_box(time_s), track) for track in followed]
        if detections is not None:
            self._crops = self._with_detections(checked(detections, frame_size))
        self._crops = [crop for crop in self._crops if self._plausible(crop, frame_size)]
        return np.array([crop.box for crop in self._crops], np.float32).reshape(-1, 4)

    def _fit_to(self, size: tuple[int, int]) -> None:
        if self._size not in (None, size):
            before = self._size or size
            for track in self._tracks:
                track.scale(np.array((size[1] / before[1], size[0] / before[0])))
        self._size = size

    def _with_detections(self, detections: Detections) -> list[Crop]:
        """Expected boxes drawn toward the detections that they overlap, then those of lost and of new persons."""
        self._since_detection, self._asked = 0, False
        found = np.asarray(detections.boxes, np.float64).reshape(-1, 4)
        free = set(range(len(found)))
        crops = {id(crop.track): crop for crop in self._crops}
        lost = [track for track in self._tracks if track.lost]
        for track in self._tracks:
            track.undetected += not track.lost
        for column, track in self._overlapping(found):
            crops[id(track)] = Crop((track.expected_box(self._time_s) + found[column]) / 2, track, found[column])
            track.undetected = 0
            free.discard(column)
        for column, track in self._within_reach(lost, found, sorted(free)):
            crops[id(track)] = Crop(found[column], track, found[column])
            track.undetected = 0  # else one that was lost for want of detections could never come back
            free.discard(column)
        enough = detections.scores >= self.settings.new_box_score
        return [
            *crops.values(),
            *(Crop(found[column], None, found[column]) for column in sorted(free) if enough[column]),
        ]

    def _overlapping(self, found: NDArray[np.float64]) -> list[tuple[int, Track]]:
        """The detections (index into `found`) of persons in sight."""
        tracks = [crop.track for crop in self._crops if crop.track is not None]
        expected = np.array([track.expected_box(self._time_s) for track in tracks]).reshape(-1, 4)
        return [(column, tracks[row]) for row, column in pairs_by_similarity(iou(expected, found), DETECTED_IOU)]

    def _within_reach(self, lost: list[Track], found: NDArray[np.float64], free: list[int]) -> list[tuple[int, Track]]:
        """The detections that are nobody's and may be persons who are out of sight, the nearest first."""
        near = np.array([nearness(track, self._time_s, found[free]) for track in lost]).reshape(len(lost), len(free))
        return [(free[column], lost[row]) for row, column in pairs_by_similarity(near, LEAST_NEARNESS)]

    def _plausible(self, crop: Crop, frame_size: tuple[int, int]) -> bool:
        """Whether a person is still in the frame and confirmed by the detector now and then; else it is lost."""
        track = crop.track
        if track is None:
            return True
        gone = share_inside(crop.box, frame_size) < VISIBLE or track.undetected > self.settings.undetected
        track.lost = track.lost or gone
        return not gone

    def update(self, poses: Poses) -> Poses:
        """The confirmed persons of this frame, with ids, smoothed keypoints and boxes around them.

        Args:
            poses: the estimator's, of the boxes that `boxes` gave, in their order.

        Raises:
            InputError: another number of persons than boxes.
        """
        if len(poses) != len(self._crops):
            raise InputError(f"{len(poses)} poses for {len(self._crops)} boxes; pass what `infer` gave for `boxes`")
        sightings = self._sightings(poses)
        lost_before = [track for track in self._tracks if track.lost]
        seen = self._matched(sightings)
        for track in self._tracks:
            if not track.lost and track not in seen.values():
                track.lost = self._asked = True
        for row, track in seen.items():
            track.see(sightings[row])
        # whoever is lost before it has an id: of a walker's speed two sightings far apart say nothing yet, so the
        # detector's next look decides
        given_up = [] if self._since_detection else [track for track in lost_before if track.id is None]
        self._tracks = [track for track in self._tracks if not (track.lost and track in given_up)]
        seen |= self._started(sightings, seen)
        self._crops = []
        return self._returned(poses, {row: seen[row] for row in sorted(seen, key=lambda row: seen[row].id or inf)})

    def _sightings(self, poses: Poses) -> dict[int, Sighting]:
        """The usable poses, by row."""
        finite = np.asarray(np.isfinite(poses.keypoints).all(2))
        sure = (poses.scores >= self.settings.keypoint_score) & finite
        middles = ((poses.boxes[:, :2] + poses.boxes[:, 2:]) / 2)[:, None]
        points = np.where(finite[..., None], poses.keypoints, middles).astype(np.float64)
        scores = np.where(finite, poses.scores, 0).astype(np.float64)
        keypoints = poses.keypoints.shape[1]
        if keypoints < LEAST_KEYPOINTS:
            raise InputError(f"poses of {keypoints} keypoints, expected {LEAST_KEYPOINTS} or more to follow persons by")
        known = [crop.track is not None and crop.detected is not None for crop in self._crops]
        ease = np.where(known, DETECTED_EASE, 1.0)
        enough = sure.sum(1) >= np.maximum(ease * min(NEEDED, keypoints), LEAST_KEYPOINTS)
        usable = enough & (poses.person_scores >= ease * self.settings.pose_score)
        return {
            int(row): Sighting(
                points[row],
                scores[row],
                sure[row],
                self._time_s,
                self._crops[row].detected,
            )
            for row in np.flatnonzero(usable)
        }

    def _matched(self, sightings: dict[int, Sighting]) -> dict[int, Track]:
        """Which usable pose (row) is which known person: those in sight first, then those who were lost."""
        taken: dict[int, Track] = {}
        for lost in (False, True):
            tracks = [track for track in self._tracks if track.lost == lost]
            rows = [row for row in sightings if row not in taken]
            alike = self._alike(tracks, [sightings[row] for row in rows])
            for index, column in itertools.product(range(len(tracks)), range(len(rows))):
                crop = self._crops[rows[column]]
                if lost and crop.track is tracks[index] and crop.detected is not None:
                    # in reach, and nobody else's: the pose need not be what it was
                    alike[index, column] = max(alike[index, column], self.settings.match)
            pairs = pairs_by_similarity(alike, self.settings.match)
            # those who are known for longer keep a pose that two tracks have fallen upon: one hides the other
            pairs.sort(key=lambda pair: (tracks[pair[0]].id is None, -alike[pair]))
            for index, column in pairs:
                if not self._doubles(sightings[rows[column]], [sightings[row] for row in taken]):
                    taken[rows[column]] = tracks[index]
        return taken

    def _alike(self, tracks: list[Track], sightings: list[Sighting]) -> NDArray[np.float64]:
        """Similarity (tracks, sightings) of what is expected and what was seen."""
        if not tracks or not sightings:
            return np.zeros((len(tracks), len(sightings)))
        now = self._time_s
        return similarity(
            np.array([track.expected_points(now) for track in tracks]),
            np.array([track.last.sure for track in tracks]),
            np.array([track.expected_box(now) for track in tracks]),
            *_stacked(sightings),
            # where an unseen person went is known less and less
            tolerance=np.array([1 + track.unseen_s(now) if track.lost else 1.0 for track in tracks]),
        )

    def _doubles(self, one: Sighting, others: list[Sighting]) -> bool:
        """Whether a pose is that of a person who has one already."""
        if not others:
            return False
        # in this order: `similarity` loops over the second of them
        return bool(similarity(*_stacked(others), *_stacked([one])).max() > self.settings.same)

    def _started(self, sightings: dict[int, Sighting], seen: dict[int, Track]) -> dict[int, Track]:
        """Tracks of the poses from new boxes that are nobody's yet, the surest first."""
        started: dict[int, Track] = {}
        new = [row for row in sightings if row not in seen and self._crops[row].track is None]
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
        smooth = np.array([points[row] for row in rows], np.float32).reshape(chosen.keypoints.shape)
        return replace(
            chosen,
            keypoints=np.where(np.isfinite(chosen.keypoints).all(2, keepdims=True), smooth, chosen.keypoints),
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
