from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.danet.tracking.conftest import World

from danet.detectors.base import Detections
from danet.errors import DetectorError, InputError
from danet.poses import Poses
from danet.tracking.one_euro import OneEuroSettings
from danet.tracking.tracker import Tracker, TrackerSettings

SIZE = (480, 640)
FPS = 25.0
Person = Callable[[float, float], NDArray[np.float64]]


def step(tracker: Tracker, world: World, index: int) -> Poses:
    found = world.detect() if tracker.detection_due else None
    return tracker.update(world.infer(tracker.boxes(SIZE, index / FPS, found)))


def who_is_who(poses: Poses, world: World) -> dict[int, int]:
    """Name in the world -> id, for the persons returned."""
    assert poses.ids is not None
    names: dict[int, int] = {}
    for points, one in zip(poses.keypoints, poses.ids, strict=True):
        ways = {name: float(np.abs(points - true).mean()) for name, true in world.persons.items()}
        names[min(ways, key=lambda name: ways[name])] = int(one)
    return names


def test_one_person_keeps_its_id_and_the_detector_rests(world: World, person: Person) -> None:
    tracker, runs = Tracker(TrackerSettings(detect_every=10)), 0
    for index in range(60):
        world.persons = {1: person(100 + 5 * index, 240)}
        runs += tracker.detection_due
        poses = step(tracker, world, index)
        if index:
            assert poses.ids is not None
            assert poses.ids.tolist() == [1]
    assert runs == 6


def test_nobody(world: World) -> None:
    tracker = Tracker()
    for index in range(30):
        poses = step(tracker, world, index)
        assert len(poses) == 0
        assert poses.ids is not None
        assert poses.keypoints.shape == (0, 17, 2)
        assert poses.boxes.shape == (0, 4)


def test_unsmoothed_keypoints_are_the_estimators(world: World, person: Person) -> None:
    tracker = Tracker(smoothing=None)
    for index in range(5):
        world.persons = {1: person(100 + 9 * index, 240)}
        poses = step(tracker, world, index)
    np.testing.assert_allclose(poses.keypoints[0], world.persons[1], atol=1e-3)


def test_smoothing_steadies(person: Person) -> None:
    found = {}
    for smoothing in (OneEuroSettings(), None):
        world = World(noise=2.0)
        world.persons = {1: person(300, 240)}
        tracker = Tracker(smoothing=smoothing)
        track = [step(tracker, world, index).keypoints for index in range(60)]
        found[smoothing is None] = np.diff(np.array(track[1:]), 2, axis=0).std()
    assert found[False] < 0.3 * found[True]


def test_crossing_persons_keep_their_ids(world: World, person: Person) -> None:
    """The farther one is hidden for about half a second and comes out on the other side."""
    world.order = [1, 2]
    tracker, hidden, first = Tracker(), 0, {}
    for index in range(75):
        world.persons = {1: person(150 + 4 * index, 240), 2: person(450 - 4 * index, 236)}
        poses = step(tracker, world, index)
        hidden += len(poses) < 2 and index > 5
        if index == 5:
            first = who_is_who(poses, world)
    assert 5 < hidden < 25
    assert len(first) == 2
    assert who_is_who(poses, world) == first


def test_one_behind_another_is_not_returned_twice(world: World, person: Person) -> None:
    world.order = [1, 2]
    tracker = Tracker()
    for index in range(60):
        world.persons = {1: person(300, 240), 2: person(500 - 4 * min(index, 50), 240)}
        poses = step(tracker, world, index)
        places = poses.keypoints.mean(1)
        gaps = np.linalg.norm(places[:, None] - places[None], axis=2)[~np.eye(len(places), dtype=bool)]
        assert (gaps > 20).all()


def test_who_leaves_is_gone_and_who_comes_is_new(world: World, person: Person) -> None:
    tracker = Tracker(TrackerSettings(keep_lost_s=1.0))
    seen = set()
    for index in range(200):
        away = 50 <= index < 120
        world.persons = {} if away else {1: person(300, 240)}
        poses = step(tracker, world, index)
        assert len(poses) == 0 or not away
        seen |= set(poses.ids.tolist() if poses.ids is not None else [])
    assert seen == {1, 2}


def test_back_soon_under_the_same_id(world: World, person: Person) -> None:
    tracker = Tracker(TrackerSettings(keep_lost_s=2.0))
    for index in range(100):
        world.persons = {} if 50 <= index < 75 else {1: person(300, 240)}
        poses = step(tracker, world, index)
    assert poses.ids is not None
    assert poses.ids.tolist() == [1]


def test_who_turns_back_behind_something_keeps_its_id(world: World, person: Person) -> None:
    """Walks behind a wall, stops there, and comes out a second later where it went in."""
    tracker = Tracker()
    for index in range(80):
        x = 200 + 6 * min(index, 30)
        world.persons = {} if 30 <= index < 58 else {1: person(x, 240)}
        poses = step(tracker, world, index)
    assert poses.ids is not None
    assert poses.ids.tolist() == [1]


def test_somebody_elsewhere_is_somebody_else(world: World, person: Person) -> None:
    """One leaves on the left; half a second later another one comes in far to the right, or much larger."""
    for other in (person(560, 240), 2.2 * (person(300, 240) - (300, 240)) + (300, 240)):
        tracker = Tracker()
        for index in range(40):
            world.persons = {1: person(150, 240)} if index < 20 else {} if index < 30 else {2: other}
            poses = step(tracker, world, index)
        assert poses.ids is not None
        assert poses.ids.tolist() == [2]


def test_a_lost_person_calls_the_detector_sooner(world: World, person: Person) -> None:
    tracker = Tracker(TrackerSettings(detect_every=1000, detect_every_lost=3))
    runs = []
    for index in range(40):
        world.persons = {} if 20 <= index < 26 else {1: person(300, 240)}
        if tracker.detection_due:
            runs.append(index)
        poses = step(tracker, world, index)
    assert runs[:3] == [0, 21, 24]
    assert poses.ids is not None
    assert poses.ids.tolist() == [1]


def test_detection_on_request(world: World, person: Person) -> None:
    tracker = Tracker(TrackerSettings(detect_every=1000))
    world.persons = {1: person(200, 240)}
    for index in range(5):
        step(tracker, world, index)
    world.persons[2] = person(450, 240)
    assert not tracker.detection_due
    tracker.request_detection()
    assert tracker.detection_due
    for index in range(5, 8):
        poses = step(tracker, world, index)
    assert len(poses) == 2
    assert not tracker.detection_due


def test_the_detector_may_miss_a_person_for_a_while(world: World, person: Person) -> None:
    tracker = Tracker(TrackerSettings(detect_every=5, undetected=3))
    world.persons = {1: person(300, 240)}
    counts = []
    for index in range(60):
        world.blind = {1} if index > 10 else set()
        counts.append(len(step(tracker, world, index)))
    assert all(counts[1:26])
    assert counts[-1] == 0  # what no detector confirms may be a coat rack


def test_a_person_whom_the_detector_missed_for_long_comes_back(world: World, person: Person) -> None:
    """Missed from frame 50 to 56, and lost then: the next detection is of the same person."""
    tracker = Tracker(TrackerSettings(detect_every=1))
    world.persons = {1: person(300, 240)}
    counts = []
    for index in range(65):
        world.blind = {1} if 50 <= index <= 56 else set()
        poses = step(tracker, world, index)
        counts.append(len(poses))
        assert poses.ids is None or set(poses.ids.tolist()) <= {1}
    assert counts[1:56] == [1] * 55
    assert counts[56] == 0
    assert counts[57:] == [1] * 8


def test_a_new_frame_size_scales_what_is_known(world: World, person: Person) -> None:
    tracker = Tracker(TrackerSettings(detect_every=1000))
    for index in range(4):
        world.persons = {1: person(200, 240)}
        step(tracker, world, index)
    # keypoints count from the first pixel's centre
    world.persons = {1: 3 * (person(200, 240) + 0.5) - 0.5}
    poses = tracker.update(world.infer(tracker.boxes((1440, 1920), 4 / FPS, None)))
    assert poses.ids is not None
    assert poses.ids.tolist() == [1]
    np.testing.assert_allclose(poses.keypoints[0], world.persons[1], atol=1e-3)


def test_a_new_person_whom_the_detector_finds_elsewhere_is_confirmed(world: World, person: Person) -> None:
    """From the second frame on its boxes lie off: each is a new person's beside the expected one."""
    tracker = Tracker(TrackerSettings(detect_every=1, confirm=3, undetected=1))
    world.persons = {1: person(300, 240)}
    ids = set()
    for index in range(12):
        found = world.detect()
        away = Detections(found.boxes + (index > 0) * np.array([[30, 40, 30, 40]], np.float32), found.scores)
        poses = tracker.update(world.infer(tracker.boxes(SIZE, index / FPS, away)))
        ids |= set() if poses.ids is None else set(poses.ids.tolist())
    assert ids == {1}


def test_who_is_new_comes_last(world: World, person: Person) -> None:
    tracker = Tracker(TrackerSettings(detect_every=1))
    world.persons = {1: person(400, 240)}
    orders = []
    for index in range(6):
        if index == 3:
            world.persons = {2: person(100, 240), **world.persons}
        orders.append(step(tracker, world, index).ids)
    assert [[] if ids is None else ids.tolist() for ids in orders] == [[], [1], [1], [1], [1, 2], [1, 2]]


def test_few_sure_keypoints_fall_back_on_boxes(world: World, person: Person) -> None:
    """Upper body in one frame, legs in the next: no keypoint in common, the boxes decide."""
    tracker = Tracker(TrackerSettings(detect_every=1000, pose_score=0.1))
    world.persons = {1: person(300, 240)}
    for index in range(8):
        found = world.detect() if tracker.detection_due else None
        poses = world.infer(tracker.boxes(SIZE, index / FPS, found))
        if index > 3:
            # the arms' and hips' side of the body alternates
            poses.scores[:, slice(5, None, 2) if index % 2 else slice(6, None, 2)] = 0.05
        result = tracker.update(poses)
    assert result.ids is not None
    assert result.ids.tolist() == [1]


def test_models_of_few_keypoints(world: World, person: Person) -> None:
    few = [5, 11, 16]  # a shoulder, a hip, an ankle
    tracker = Tracker(TrackerSettings(), None)
    for index in range(4):
        world.persons = {1: person(300 + 2 * index, 240)}
        found = world.detect() if tracker.detection_due else None
        poses = world.infer(tracker.boxes(SIZE, index / FPS, found))
        names = tuple(poses.names[row] for row in few)
        three = replace(poses, keypoints=poses.keypoints[:, few], scores=poses.scores[:, few], names=names, skeleton=())
        result = tracker.update(three)
    assert result.ids is not None
    assert result.ids.tolist() == [1]
    tracker.boxes(SIZE, 1.0, world.detect())
    one = replace(three, keypoints=three.keypoints[:, :1], scores=three.scores[:, :1], names=names[:1])
    with pytest.raises(InputError, match="poses of 1 keypoints, expected 2 or more"):
        tracker.update(one)


def test_scores_below_the_threshold_start_nobody(world: World, person: Person) -> None:
    tracker = Tracker(TrackerSettings(new_box_score=0.5))
    world.persons = {1: person(300, 240)}
    for index in range(5):
        found = world.detect()
        weak = Detections(found.boxes, found.scores * np.float32(0.4))
        assert len(tracker.update(world.infer(tracker.boxes(SIZE, index / FPS, weak)))) == 0


def test_a_detector_that_sees_a_part_confirms_the_person(world: World, person: Person) -> None:
    """A box of the upper body only, which overlaps little with the person: the pose in it is the person's."""
    tracker = Tracker(TrackerSettings(detect_every=1, undetected=3))
    world.persons = {1: person(300, 240)}
    counts = []
    for index in range(60):
        boxes = world.detect().boxes
        boxes[:, 3] = boxes[:, 1] + (boxes[:, 3] - boxes[:, 1]) / 3
        part = Detections(boxes, np.ones(1, np.float32))
        poses = tracker.update(world.infer(tracker.boxes(SIZE, index / FPS, part)))
        counts.append(len(poses))
        assert poses.ids is None or set(poses.ids.tolist()) <= {1}
    assert counts[1:] == [1] * 59


def test_after_a_long_gap_everybody_is_new(world: World, person: Person) -> None:
    tracker = Tracker(TrackerSettings(keep_lost_s=2.0, detect_every=1000))
    world.persons = {1: person(300, 240)}
    for index in range(5):
        poses = step(tracker, world, index)
    assert poses.ids is not None
    assert poses.ids.tolist() == [1]
    assert not tracker.detection_due_at(5 / FPS)
    early = Tracker(TrackerSettings(detect_every=1000))
    early.update(world.infer(early.boxes(SIZE, 0.0, world.detect())))
    assert early.detection_due_at(20.0)  # also where there has been one frame only
    assert tracker.detection_due_at(20.0)
    for time_s in (20.0, 20.04, 20.08):
        found = world.detect() if tracker.detection_due_at(time_s) else None
        poses = tracker.update(world.infer(tracker.boxes(SIZE, time_s, found)))
    assert poses.ids is not None
    assert poses.ids.tolist() == [2]


def test_frames_that_are_far_apart_are_no_gaps(world: World, person: Person) -> None:
    tracker = Tracker(TrackerSettings(keep_lost_s=2.0))
    for index in range(6):
        world.persons = {1: person(300 + index, 240)}
        poses = tracker.update(world.infer(tracker.boxes(SIZE, 5.0 * index, world.detect())))
    assert poses.ids is not None
    assert len(poses) == 1
    assert poses.ids.tolist() == [1]


@pytest.mark.parametrize("time_s", [1.0, 0.5, float("nan")])
def test_times_must_grow(time_s: float) -> None:
    tracker = Tracker()
    tracker.boxes(SIZE, 1.0, None)
    with pytest.raises(InputError, match="times must grow"):
        tracker.boxes(SIZE, time_s, None)


def test_detections_that_are_none(world: World) -> None:
    bad = Detections(np.full((1, 4), np.nan, np.float32), np.full(1, np.nan, np.float32))
    assert len(Tracker().boxes(SIZE, 0.0, bad)) == 0
    with pytest.raises(DetectorError, match="scores of shape"):
        Tracker().boxes(SIZE, 0.0, Detections(np.ones((2, 4), np.float32), np.ones(1, np.float32)))


def test_poses_of_other_boxes(world: World, person: Person) -> None:
    tracker = Tracker()
    world.persons = {1: person(300, 240)}
    boxes = tracker.boxes(SIZE, 0.0, world.detect())
    with pytest.raises(InputError, match="2 poses for 1 boxes"):
        tracker.update(world.infer(np.concatenate((boxes, boxes))))


@pytest.mark.parametrize(
    "bad", [{"detect_every": 0}, {"detect_every": float("nan")}, {"match": float("nan")}, {"keep_lost_s": -1.0}]
)
def test_bad_settings(bad: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(bad))):
        TrackerSettings(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(("fps", "heights"), [(2, 0.5), (3, 0.8), (4, 0.8), (5, 1.2), (6, 1.2)])
@pytest.mark.parametrize("every", [1, 10])
def test_a_walker_at_a_low_frame_rate(world: World, person: Person, fps: int, heights: float, every: int) -> None:
    """Between two frames it goes farther than a pose without a speed is looked for."""
    tracker, ids = Tracker(TrackerSettings(detect_every=every)), []
    for index in range(30):
        world.persons = {1: person(100 + 168 * heights * index / fps, 240)}
        time_s = index / fps
        found = world.detect() if tracker.detection_due_at(time_s) else None
        poses = tracker.update(world.infer(tracker.boxes((480, 8000), time_s, found)))
        assert poses.ids is not None
        ids.append(poses.ids.tolist())
    assert [one for one in ids if one] == [[1]] * len([one for one in ids if one])
    assert sum(map(bool, ids)) >= 26
    assert all(ids[4:])


def test_a_false_sighting_is_given_up_at_the_detectors_next_look(world: World, person: Person) -> None:
    tracker = Tracker()
    world.persons = {1: person(300, 240)}
    step(tracker, world, 0)
    world.persons = {}
    for index in range(1, 4):
        assert len(step(tracker, world, index)) == 0
    assert tracker._tracks == []


@pytest.mark.parametrize("fps", [0.2, 0.4, 0.5, 1.0])
def test_who_stands_is_returned_from_the_second_sighting_on(world: World, person: Person, fps: float) -> None:
    tracker = Tracker()
    world.persons = {1: person(300, 240)}
    counts = []
    for index in range(4):
        found = world.detect() if tracker.detection_due_at(index / fps) else None
        counts.append(len(tracker.update(world.infer(tracker.boxes(SIZE, index / fps, found)))))
    assert counts == [0, 1, 1, 1]


@pytest.mark.parametrize("smoothing", [OneEuroSettings(), None])
def test_keypoints_that_are_not_finite_cost_nobody_else(
    world: World, person: Person, smoothing: OneEuroSettings | None
) -> None:
    """Poses of others' networks: the keypoint stays what it is, and comes back where it is."""
    world.persons = {1: person(150, 240), 2: person(450, 240)}
    tracker = Tracker(smoothing=smoothing)
    for index in range(8):
        poses = world.infer(tracker.boxes(SIZE, index / FPS, world.detect()))
        broken = index in (0, 3, 4)
        if broken:
            poses.keypoints[poses.keypoints[:, 0, 0].argmin(), 9] = np.nan
        found = tracker.update(poses)
        assert len(found) == (2 if index else 0)
        if index:
            assert np.isnan(found.keypoints[1, 9]).all() == broken
            whole = np.isfinite(found.keypoints).all(2)
            assert whole.sum() == 34 - broken
            true = np.stack([world.persons[2], world.persons[1]])  # the surer one was first
            assert np.abs(found.keypoints - true)[whole].max() < 1e-3


@pytest.mark.parametrize(
    "arguments",
    [{"smoothing": False}, {"smoothing": True}, {"settings": {"detect_every": 2}}, {"settings": TrackerSettings}],
)
def test_settings_that_are_none(arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"^{next(iter(arguments))} .*, expected danet\."):
        Tracker(**arguments)


def test_the_size_of_a_frame_is_two_numbers() -> None:
    with pytest.raises(
        InputError, match=r"frame_size \(64, 80, 3\), expected \(height, width\); pass image.shape\[:2\]"
    ):
        Tracker().boxes((64, 80, 3), 0.0, None)  # type: ignore[arg-type]
