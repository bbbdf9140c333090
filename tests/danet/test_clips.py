from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from danet.errors import InputError
from danet.keypoints import COCO_KEYPOINTS
from danet.scenes.clip import Clip, ClipFrame, clip_truth, mot_rows, render_clip
from danet.scenes.motion import ANKLE, BALL, Place, reach, smooth, stance
from danet.scenes.plan import Move, passed_at, walked
from danet.scenes.planner import Planner
from danet.scenes.poses import POSE_FAMILIES, Pose
from danet.scenes.scripts import SCRIPTS
from danet.scenes.skeleton import pose_skeleton, sample_build

SMALL = (180, 320)
RATE = 8.0
INDEX = {name: index for index, name in enumerate(COCO_KEYPOINTS)}
HIPS = [INDEX["left_hip"], INDEX["right_hip"]]
NAMES = sorted(SCRIPTS)


def clip_of(script: str, seed: int = 3, *, persons: int = 2, seconds: float = 7.0, fps: float = RATE) -> Clip:
    return render_clip(seed, size=SMALL, persons=persons, seconds=seconds, fps=fps, script=script)


@pytest.fixture(scope="module")
def drawn() -> dict[str, tuple[Clip, list[ClipFrame]]]:
    """Some seconds of each script, small."""
    clips = {script: clip_of(script, seconds=14.0 if script == "leave" else 7.0) for script in NAMES}
    return {script: (clip, list(clip)) for script, clip in clips.items()}


def digest(frame: ClipFrame) -> str:
    scene = frame.scene
    arrays = (frame.image, frame.ids, scene.boxes, scene.keypoints, scene.visibility, scene.areas, frame.visible)
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def of(frames: list[ClipFrame], person: int, name: str) -> dict[int, NDArray[Any]]:
    """An array of the scene for one person, by frame; only frames in which the person is present."""
    return {
        frame.index: getattr(frame.scene, name)[frame.ids.tolist().index(person)]
        for frame in frames
        if person in frame.ids
    }


@pytest.mark.parametrize("script", NAMES)
def test_a_frame_has_the_same_bits_in_any_order(drawn: dict[str, tuple[Clip, list[ClipFrame]]], script: str) -> None:
    clip, frames = drawn[script]
    assert [frame.index for frame in frames] == list(range(len(clip)))
    again = clip_of(script, seconds=len(clip) / RATE)
    for index in (41, 2, 41, -1):
        assert digest(again[index]) == digest(frames[index])
    assert digest(frames[41]) != digest(frames[42])
    assert digest(clip_of(script, 4)[41]) != digest(frames[41])


def test_a_frame_has_the_same_bits_in_another_process(drawn: dict[str, tuple[Clip, list[ClipFrame]]]) -> None:
    program = (
        "import hashlib; from danet.scenes.clip import render_clip;"
        "f = render_clip(3, size=(180, 320), persons=2, seconds=7.0, fps=8.0, script='cross')[40]; s = f.scene;"
        "print(hashlib.sha256(b''.join(a.tobytes() for a in"
        " (f.image, f.ids, s.boxes, s.keypoints, s.visibility, s.areas, f.visible))).hexdigest())"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == digest(drawn["cross"][1][40])


@pytest.mark.parametrize("script", NAMES)
def test_shapes_ids_and_times(drawn: dict[str, tuple[Clip, list[ClipFrame]]], script: str) -> None:
    clip, frames = drawn[script]
    for frame in frames:
        count = len(frame.ids)
        assert frame.image.shape == (*SMALL, 3)
        assert frame.image.dtype == np.uint8
        assert frame.image is frame.scene.image
        assert frame.ids.dtype == np.int64
        assert len(set(frame.ids.tolist())) == count
        assert set(frame.ids.tolist()) <= {1, 2}
        assert frame.scene.boxes.shape == (count, 4)
        assert frame.scene.keypoints.shape == (count, 17, 2)
        assert frame.scene.visibility.dtype == np.int8
        assert frame.time_s == pytest.approx(frame.index / RATE)
        assert ((frame.visible >= 0) & (frame.visible <= 1)).all()
    if script != "leave":
        assert all(len(frame.ids) == 2 for frame in frames)
    assert clip.frames == len(clip) == len(frames)


@pytest.mark.parametrize("script", NAMES)
def test_keypoints_lie_where_visibility_says(drawn: dict[str, tuple[Clip, list[ClipFrame]]], script: str) -> None:
    height, width = SMALL
    for frame in drawn[script][1]:
        scene = frame.scene
        x, y = scene.keypoints[..., 0], scene.keypoints[..., 1]
        inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
        np.testing.assert_array_equal(scene.visibility > 0, inside)
        assert (scene.visibility > 0).any(axis=1).all()
        left, top, right, bottom = (edge[:, None] for edge in scene.boxes.T)
        held = (x + 0.5 >= left) & (x + 0.5 <= right) & (y + 0.5 >= top) & (y + 0.5 <= bottom)
        assert held[scene.visibility == 2].all()
        # what is hidden lies on the body, up to the round joints of far limbs
        near = (x + 1.5 >= left) & (x - 0.5 <= right) & (y + 1.5 >= top) & (y - 0.5 <= bottom)
        assert near[inside].all()


@pytest.mark.parametrize("script", NAMES)
def test_nothing_jumps(script: str) -> None:
    """Per 1/50 s: hips by no more than a brisk walk in the picture, others by no more than a quick hand."""
    clip = clip_of(script, 5, seconds=7.0, fps=25.0)
    tracks = [clip.keypoints(time / 50) for time in range(150, 330)]
    for before, after in pairwise(tracks):
        for person in before:
            tall = np.ptp(before[person][:, 1]) if script != "squat" else 0.4 * SMALL[0]
            moved = np.linalg.norm(after[person] - before[person], axis=1) / tall
            assert moved.max() < 6 / 50
            assert moved[HIPS].max() < 1.8 / 50


@pytest.mark.parametrize("seed", range(3))
def test_walkers_are_upright_and_whole(seed: int) -> None:
    clip = render_clip(seed, size=(720, 1280), seconds=30.0)
    for time in range(0, 30, 2):
        for points in clip.keypoints(float(time)).values():
            # from the nose to the ankles is 0.9 of the height
            assert 250 * 0.8 < np.ptp(points[:, 1]) < 600
            assert points[0, 1] < points[HIPS, 1].min() < points[[15, 16], 1].min()
            assert (points > 0).all()
            assert (points < (1280, 720)).all()


def test_walkers_seldom_overlap() -> None:
    frames = [frame for clip in map(clip_of, ["walk"] * 4, range(4)) for frame in (clip[i] for i in range(0, 56, 6))]
    shares = np.concatenate([frame.visible for frame in frames])
    assert (shares > 0.9).mean() > 0.85


def test_those_who_cross_swap_sides_and_overlap(drawn: dict[str, tuple[Clip, list[ClipFrame]]]) -> None:
    clip, frames = drawn["cross"]
    (first, second) = (event for event in clip.events if event.kind == "pass")
    assert {first.person, second.person} == {1, 2}
    start, end = (round(time * RATE) for time in (first.start_s, first.end_s))
    boxes = [of(frames, person, "boxes") for person in (1, 2)]
    middles = [{index: box[[0, 2]].mean() for index, box in track.items()} for track in boxes]
    assert (middles[0][start] - middles[1][start]) * (middles[0][end] - middles[1][end]) < 0
    overlap = [index for index in boxes[0] if min(b[index][2] for b in boxes) > max(b[index][0] for b in boxes)]
    assert overlap
    assert start < min(overlap) <= max(overlap) < end
    hidden = [frame.index for frame in frames if frame.visible.min() < 0.5]
    assert 0 < len(hidden) / RATE < 1
    # the nearer one is first in the scene and stays whole
    assert all(frame.visible[0] == 1 for frame in frames)
    assert all(frame.ids.tolist() == [1, 2] for frame in frames)


def test_who_leaves_is_away_for_a_while_and_returns(drawn: dict[str, tuple[Clip, list[ClipFrame]]]) -> None:
    clip, frames = drawn["leave"]
    present = np.array([1 in frame.ids for frame in frames])
    (away,) = (event for event in clip.events if event.kind == "away")
    assert away.person == 1
    gone = np.flatnonzero(~present)
    assert len(gone) > 1.0 * RATE
    assert away.start_s < gone[0] / RATE < gone[-1] / RATE < away.end_s
    assert (np.diff(gone) == 1).all()
    assert present[0]
    assert present[-1]
    assert all(2 in frame.ids for frame in frames)


def test_who_goes_behind_the_pillar_is_hidden_but_in_the_truth() -> None:
    clip = clip_of("occlude", persons=1)
    shares = {frame.time_s: float(frame.visible[0]) for frame in clip}
    assert len(shares) == len(clip)
    event = next(event for event in clip.events if event.kind == "behind")
    during = [share for time, share in shares.items() if event.start_s <= time <= event.end_s]
    assert min(during) < 0.3
    assert during[0] > 0.9
    assert during[-1] > 0.9


@pytest.mark.parametrize("seed", range(4))
def test_squats_are_counted_from_the_height_of_the_hips(seed: int) -> None:
    clip = clip_of("squat", seed, persons=1 + seed % 3, seconds=20.0)
    times = np.arange(0, 20, 0.1)
    heights = [{one: points[HIPS, 1].mean() for one, points in clip.keypoints(t).items()} for t in times.tolist()]
    for person in range(1, 2 + seed % 3):
        curve = np.array([height[person] for height in heights])
        low = curve > (curve.min() + curve.max()) / 2
        assert clip.count("squat", person) == (np.diff(low.astype(int)) == 1).sum() > 3


def test_a_standing_foot_does_not_slide() -> None:
    """The ball of a foot is where it was for as long as that foot carries the person."""
    build, tall = sample_build(np.random.default_rng(1)), 1.7
    planner = Planner(np.random.default_rng(2), tall, Place(-2.0, 4.0, 0.0))
    planner.walk_to(2.0, 4.5)
    planner.turn_to(planner.place.yaw + 170)
    planner.walk_to(-1.0, 4.0)
    plan = planner.plan()
    held: dict[int, list[NDArray[np.float64]]] = {0: [], 1: []}
    checked = 0
    for time in np.arange(0.0, planner.time, 0.02).tolist():
        posture = plan.posture(time)
        stood = stance(build, tall, posture)
        skeleton = pose_skeleton(build, stood.pose, 0.0)
        for side in (0, 1):
            if posture.feet[side].lift > 0 or posture.feet[side].pitch > 0:
                held[side].clear()
                continue
            ankle = skeleton.legs[side].end * tall + (stood.x, -stood.height, stood.z)
            held[side].append(ankle)
            assert np.linalg.norm(ankle - held[side][0]) < 0.012
            assert -ankle[1] == pytest.approx(ANKLE * build.foot * tall, abs=0.012)
            checked += 1
    assert checked > 200
    assert BALL > ANKLE


ANGLE = st.floats(-30, 100)


@settings(max_examples=60, deadline=None)
@given(flexion=ANGLE, abduction=st.floats(-10, 45), rotation=st.floats(-60, 30), knee=st.floats(2, 130))
def test_reach_is_the_inverse_of_the_skeletons_leg(
    flexion: float, abduction: float, rotation: float, knee: float
) -> None:
    build, arm = sample_build(np.random.default_rng(0)), (0.0, 5.0, 0.0, 5.0)

    def ankle(*angles: float) -> NDArray[np.float64]:
        leg = (*angles, 0.0)
        pose = Pose(POSE_FAMILIES[0], (0, 0, 0), (0, 0, 0), (0, 0, 0), (arm, arm), (leg, leg))
        limb = pose_skeleton(build, pose, 0.0).legs[0]
        return limb.end - limb.root

    target = ankle(flexion, abduction, rotation, knee)
    turned, spread, bent = reach(build, target, rotation)
    assert bent == pytest.approx(knee, abs=1e-3)
    np.testing.assert_allclose(ankle(turned, spread, rotation, bent), target, atol=1e-9)


@given(share=st.floats(0, 1), span=st.floats(0.3, 20))
def test_walked_is_monotonous_and_inverted(share: float, span: float) -> None:
    time = passed_at(share, span)
    assert 0 <= time <= span + 1e-9
    assert walked(time, span) == pytest.approx(share, abs=1e-6)
    assert walked(min(span, time + 0.01), span) >= share - 1e-9


@given(st.floats(-50, 50), st.floats(-50, 50), st.floats(-400, 400), st.floats(-5, 5), st.floats(-5, 5))
def test_ahead_and_seen_from_are_inverse(x: float, z: float, yaw: float, forward: float, left: float) -> None:
    place = Place(x, z, yaw)
    assert place.ahead(forward, left).seen_from(place) == pytest.approx((forward, left), abs=1e-9)


def test_yaw_0_walks_towards_the_camera_and_90_to_the_right() -> None:
    assert Place(0, 5, 0).ahead(1, 0) == Place(0, 4, 0)
    right = Place(0, 5, 90).ahead(1, 0)
    assert (right.x, right.z) == pytest.approx((1, 5))
    assert smooth(0) == 0
    assert smooth(1) == 1
    still = Move(1.0, 2.0, Place(0, 5, 10), Place(0, 5, 70))
    assert [still.at(time).yaw for time in (0, 1.5, 3)] == pytest.approx([10, 40, 70])


def test_mot_rows_and_json(drawn: dict[str, tuple[Clip, list[ClipFrame]]]) -> None:
    clip, frames = drawn["leave"]
    rows = mot_rows(frames)
    assert rows.shape == (sum(len(frame.ids) for frame in frames), 6)
    first = rows[(rows[:, 0] == 1) & (rows[:, 1] == 1)][0]
    box = of(frames, 1, "boxes")[0]
    np.testing.assert_allclose(first[2:], (*box[:2], *(box[2:] - box[:2])))
    assert mot_rows([]).shape == (0, 6)
    truth = json.loads(json.dumps(clip_truth(clip, frames)))
    assert (truth["height"], truth["width"], truth["fps"]) == (*SMALL, RATE)
    assert [event["kind"] for event in truth["events"]] == ["away"]
    told = truth["frames"][5]["persons"]
    assert [person["id"] for person in told] == frames[5].ids.tolist()
    np.testing.assert_allclose([p["box"] for p in told], frames[5].scene.boxes)
    marks = np.array([p["keypoints"] for p in told])
    np.testing.assert_allclose(marks[..., :2], frames[5].scene.keypoints, atol=1e-3)
    np.testing.assert_array_equal(marks[..., 2], frames[5].scene.visibility)


def test_frames_are_drawn_only_when_asked_for() -> None:
    clip = render_clip(0, size=SMALL, persons=1, seconds=86_400 / 24, fps=25)
    assert len(clip) == 90_000
    assert clip[89_999].time_s == pytest.approx(3599.96)
    assert next(iter(clip)).index == 0
    with pytest.raises(IndexError, match="frame 90000 of a clip of 90000"):
        clip[90_000]


@pytest.mark.parametrize("index", [1.5, "1", None, slice(0, 2)])
def test_a_frame_has_a_whole_number(index: Any) -> None:
    with pytest.raises(TypeError):
        render_clip(0, size=SMALL, persons=1, seconds=1)[index]


@pytest.mark.parametrize("time", [math.nan, math.inf])
def test_keypoints_of_no_time_are_refused(time: float) -> None:
    with pytest.raises(InputError, match="time_s is"):
        render_clip(0, size=SMALL, persons=1, seconds=1).keypoints(time)


@pytest.mark.parametrize("fps", [0.35, 0.6, 25.0])
def test_what_happens_is_over_within_the_seconds_that_were_asked_for(fps: float) -> None:
    """One frame at 0.35 a second lasts 2.9 seconds; the clip is planned for the 2 that it was to have."""
    clip = render_clip(0, size=SMALL, persons=1, seconds=2, fps=fps, script="squat")
    longer = render_clip(0, size=SMALL, persons=1, seconds=30, fps=fps, script="squat")
    assert all(event.end_s <= min(2, len(clip) / fps) for event in clip.events)
    assert longer.count("squat", 1) > 5


@pytest.mark.parametrize("size", [(32, 32), (300, 64), (48, 640)])
@pytest.mark.parametrize("script", NAMES)
def test_frames_of_any_shape(size: tuple[int, int], script: str) -> None:
    clip = render_clip(1, size=size, persons=3, seconds=2, fps=5, script=script)
    assert all(frame.image.shape == (*size, 3) for frame in clip)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": True}, "seed"),
        ({"size": (0, 100)}, "height"),
        ({"size": 320}, "size"),
        ({"persons": 0}, "persons"),
        ({"persons": 1, "script": "cross"}, "persons"),
        ({"seconds": 0}, "seconds"),
        ({"seconds": math.nan}, "seconds"),
        ({"fps": math.inf}, "fps"),
        ({"fps": "25"}, "fps"),
        ({"script": "fly"}, "script"),
        ({"script": ["walk"]}, "script"),
        ({"seed": 10**5000}, "seed"),
        ({"seconds": 10**400}, "seconds"),
        ({"persons": 33}, "persons"),
        ({"fps": 0.01, "seconds": 5}, "fps"),
        ({"fps": 5e-324, "seconds": 1}, "fps"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=rf"^{named} is .*; expected"):
        render_clip(**{"seed": 0, **arguments})
