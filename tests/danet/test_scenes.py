from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from danet.errors import InputError
from danet.keypoints import COCO_FLIP_PAIRS, COCO_KEYPOINTS
from danet.scenes import parts
from danet.scenes.canvas import Canvas, sample_light
from danet.scenes.figure import (
    Figure,
    draw_figure,
    figure_keypoints,
    figure_visibility,
    sample_figure,
    silhouette,
)
from danet.scenes.poses import ARM_LIMITS, LEG_LIMITS, POSE_FAMILIES, Pose, sample_pose
from danet.scenes.scene import Scene, render_scene
from danet.scenes.skeleton import pose_skeleton, sample_build

SMALL = (160, 128)
SEEDS = range(40)
INDEX = {name: index for index, name in enumerate(COCO_KEYPOINTS)}


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [render_scene(seed, SMALL, 1 + seed % 3) for seed in SEEDS]


def blank(size: tuple[int, int]) -> Canvas:
    return Canvas(np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint16))


def standing(
    yaw: float, seed: int = 0, scale: float = 150, center: tuple[float, float] = (100, 150), skirt: float = 0.0
) -> Figure:
    """A person with hanging arms in the middle of a frame of 320 x 200, in trousers if not told otherwise."""
    rng = np.random.default_rng(seed)
    arm, leg = (0.0, 12.0, 0.0, 8.0), (0.0, 4.0, 0.0, 4.0, 0.0)
    pose = Pose(POSE_FAMILIES[0], (yaw, 0, 0), (0, 0, 0), (0, 0, 0), (arm, arm), (leg, leg))
    figure = sample_figure(rng)
    bare_head = replace(figure.outfit, hair_style="short", headwear="none", skirt=skirt)
    skeleton = pose_skeleton(sample_build(rng), pose, 0.0)
    camera = replace(figure.camera, scale=scale, center=center, distance=8.0)
    return Figure(pose, skeleton, bare_head, camera)


def drawn(figures: list[Figure]) -> tuple[Canvas, list[NDArray[np.int8]]]:
    """Figures drawn in order, the last one in front, and their visibilities."""
    canvas, rng = blank((320, 200)), np.random.default_rng(1)
    for person, figure in enumerate(figures):
        draw_figure(canvas, figure, sample_light(rng), person, rng)
    return canvas, [figure_visibility(canvas, f, figure_keypoints(f), p) for p, f in enumerate(figures)]


def digest(scene: Scene) -> str:
    arrays = (scene.image, scene.boxes, scene.keypoints, scene.visibility, scene.areas)
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def test_same_seed_same_scene_whatever_was_drawn_before() -> None:
    first = render_scene(7, SMALL, 2)
    render_scene(8, (64, 96), 3)
    assert digest(render_scene(7, SMALL, 2)) == digest(first)
    assert digest(render_scene(8, SMALL, 2)) != digest(first)


def test_same_seed_same_scene_in_another_process() -> None:
    program = (
        "import hashlib; from danet.scenes.scene import render_scene; s = render_scene(3, (96, 96), 2);"
        "print(hashlib.sha256(b''.join(a.tobytes() for a in"
        " (s.image, s.boxes, s.keypoints, s.visibility, s.areas))).hexdigest())"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert answer.stdout.strip() == digest(render_scene(3, (96, 96), 2))


@pytest.mark.parametrize("persons", [0, 1, 2, 7])
def test_exact_number_of_persons(persons: int) -> None:
    scene = render_scene(11, SMALL, persons)
    assert scene.image.shape == (*SMALL, 3)
    assert scene.image.dtype == np.uint8
    assert scene.boxes.shape == (persons, 4)
    assert scene.boxes.dtype == np.float32
    assert scene.keypoints.shape == (persons, 17, 2)
    assert scene.keypoints.dtype == np.float32
    assert scene.visibility.shape == (persons, 17)
    assert scene.visibility.dtype == np.int8


def test_visibility_is_zero_exactly_outside_the_frame(scenes: list[Scene]) -> None:
    height, width = SMALL
    for scene in scenes:
        x, y = scene.keypoints[..., 0], scene.keypoints[..., 1]
        inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
        np.testing.assert_array_equal(scene.visibility > 0, inside)


def test_boxes_lie_in_the_frame_and_hold_the_visible_keypoints(scenes: list[Scene]) -> None:
    height, width = SMALL
    for scene in scenes:
        left, top, right, bottom = scene.boxes.T
        assert (left >= 0).all() and (top >= 0).all() and (right <= width).all() and (bottom <= height).all()  # noqa: PT018
        assert (scene.areas > 0).all()
        assert (scene.areas <= (right - left) * (bottom - top)).all()
        x, y = scene.keypoints[..., 0] + 0.5, scene.keypoints[..., 1] + 0.5
        held = (x >= left[:, None]) & (x <= right[:, None]) & (y >= top[:, None]) & (y <= bottom[:, None])
        assert held[scene.visibility == 2].all()


def test_the_nearest_person_is_well_in_the_frame(scenes: list[Scene]) -> None:
    assert all((scene.visibility[0] > 0).sum() >= 9 for scene in scenes)


def test_scenes_hold_all_kinds_of_visibility(scenes: list[Scene]) -> None:
    levels = np.concatenate([scene.visibility.ravel() for scene in scenes])
    shares = np.bincount(levels, minlength=3) / len(levels)
    assert shares[2] > 0.4
    assert shares[1] > 0.1
    assert shares[0] > 0.02


@pytest.mark.parametrize("seed", range(12))
def test_joints_lie_on_the_drawn_figure(seed: int) -> None:
    figure = sample_figure(np.random.default_rng(seed))
    figure = replace(figure, camera=figure.camera.moved(90, (120, 120)))
    canvas = blank((240, 240))
    rng = np.random.default_rng(1)
    draw_figure(canvas, figure, sample_light(rng), 0, rng)
    points = np.rint(figure_keypoints(figure)).astype(int)
    inside = ((points >= 0) & (points < 240)).all(axis=1)
    # 240 pixels hold the shoulders and hips of any pose
    assert inside[[INDEX["left_hip"], INDEX["right_hip"]]].all()
    assert (canvas.ids[points[inside, 1], points[inside, 0]] >= parts.PARTS_PER_PERSON).all()


@pytest.mark.parametrize("seed", range(5))
def test_left_is_on_the_right_of_the_picture_for_who_faces_the_camera(seed: int) -> None:
    front, back = figure_keypoints(standing(0, seed)), figure_keypoints(standing(180, seed))
    for left, right in COCO_FLIP_PAIRS:
        assert front[left, 0] > front[right, 0]
        assert back[left, 0] < back[right, 0]


def test_a_standing_person_is_upright_with_the_nose_between_the_eyes() -> None:
    points = figure_keypoints(standing(0))
    heights = [points[[INDEX[f"left_{name}"]], 1][0] for name in ("eye", "shoulder", "elbow", "wrist", "knee", "ankle")]
    assert heights == sorted(heights)
    nose, left_eye, right_eye = points[0], points[1], points[2]
    assert right_eye[0] < nose[0] < left_eye[0]
    assert nose[1] > left_eye[1]


def test_front_shows_everything_and_back_hides_the_face() -> None:
    _, (front,) = drawn([standing(0)])
    assert (front == 2).all()
    _, (back,) = drawn([standing(180)])
    assert (back[:3] == 1).all()
    assert (back[5:] == 2).all()


@pytest.mark.parametrize("skirt", [0.0, 0.5])
@pytest.mark.parametrize(("yaw", "near", "far"), [(90, "right", "left"), (-90, "left", "right")])
def test_profile_hides_the_far_side(yaw: float, near: str, far: str, skirt: float) -> None:
    _, (levels,) = drawn([standing(yaw, skirt=skirt)])
    for name in ("eye", "ear", "shoulder"):
        assert levels[INDEX[f"{near}_{name}"]] == 2
        assert levels[INDEX[f"{far}_{name}"]] == 1
    assert levels[INDEX[f"{far}_hip"]] == 1
    nose, ear = (figure_keypoints(standing(yaw))[INDEX[name], 0] for name in ("nose", f"{near}_ear"))
    assert (nose > ear) == (yaw > 0)


def test_a_nearer_person_hides_who_stands_behind() -> None:
    behind = standing(0, scale=18, center=(100, 110))
    front = standing(0, seed=3, scale=330, center=(100, 150))
    _, alone = drawn([behind])
    assert (alone[0] == 2).sum() > 10
    _, (hidden, shown) = drawn([behind, front])
    assert (hidden == 1).all()
    assert (shown == 2).sum() >= 8


def test_those_in_sight_are_the_ones_with_a_visible_keypoint() -> None:
    """Scene 73 of the evaluation's has a person behind another's back."""
    first = 1 << 62
    scenes = [render_scene(first + number, (320, 320), 1 + number % 3) for number in range(65, 80)]
    dropped = 0
    for scene in scenes:
        seen = [bool((levels == 2).any()) for levels in scene.visibility]
        kept = scene.in_sight()
        assert kept.image is scene.image
        np.testing.assert_array_equal(kept.boxes, scene.boxes[seen])
        np.testing.assert_array_equal(kept.keypoints, scene.keypoints[seen])
        np.testing.assert_array_equal(kept.areas, scene.areas[seen])
        assert len(kept.visibility) == sum(seen)
        dropped += seen.count(False)
    assert dropped > 0


def test_silhouette_is_measured_before_others_cover_it() -> None:
    canvas = blank((320, 200))
    rng = np.random.default_rng(0)
    draw_figure(canvas, standing(0), sample_light(rng), 4, rng)
    shape = silhouette(canvas, 4)
    rows, columns = np.nonzero(canvas.ids)
    assert shape.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert shape.area == len(rows)


@pytest.mark.parametrize("seed", range(10))
def test_bones_keep_their_lengths_and_elbows_their_angles(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pose, build = sample_pose(rng), sample_build(rng)
    skeleton = pose_skeleton(build, pose, 20.0)
    for side in (0, 1):
        arm, leg = skeleton.arms[side], skeleton.legs[side]
        assert np.linalg.norm(arm.middle - arm.root) == pytest.approx(build.upper_arm)
        assert np.linalg.norm(arm.end - arm.middle) == pytest.approx(build.forearm)
        assert np.linalg.norm(leg.middle - leg.root) == pytest.approx(build.thigh)
        assert np.linalg.norm(leg.end - leg.middle) == pytest.approx(build.shin)
        cosine = (arm.middle - arm.root) @ (arm.end - arm.middle) / (build.upper_arm * build.forearm)
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))) == pytest.approx(pose.arms[side][3], abs=1e-3)
    assert 0.9 < build.shin + build.thigh + build.torso + build.neck + build.head + 0.04 < 1.1


def test_poses_stay_within_anatomical_limits() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        pose = sample_pose(rng)
        for limbs, limits in ((pose.arms, ARM_LIMITS), (pose.legs, LEG_LIMITS)):
            assert all(low <= angle <= high for limb in limbs for angle, (low, high) in zip(limb, limits, strict=True))


def test_to_coco_round_trip(scenes: list[Scene]) -> None:
    scene = scenes[2]
    image, annotations = json.loads(json.dumps(scene.to_coco(image_id=5, first_annotation_id=100)))
    assert (image["id"], image["height"], image["width"]) == (5, *SMALL)
    assert [entry["id"] for entry in annotations] == [100, 101, 102]
    for row, entry in enumerate(annotations):
        x, y, width, height = entry["bbox"]
        np.testing.assert_allclose((x, y, x + width, y + height), scene.boxes[row])
        flat = np.array(entry["keypoints"]).reshape(17, 3)
        np.testing.assert_array_equal(flat[:, 2], scene.visibility[row])
        seen = scene.visibility[row] > 0
        np.testing.assert_array_equal(flat[seen, :2].astype(np.float32), scene.keypoints[row, seen])
        assert (flat[~seen] == 0).all()
        assert entry["num_keypoints"] == seen.sum()
        assert (entry["image_id"], entry["category_id"], entry["iscrowd"]) == (5, 1, 0)
        assert entry["area"] == scene.areas[row]


def test_ids_of_to_coco_are_integers_that_json_can_write(scenes: list[Scene]) -> None:
    image, annotations = json.loads(json.dumps(scenes[2].to_coco(np.int64(5), np.int32(100))))  # type: ignore[arg-type]
    assert (image["id"], annotations[0]["id"]) == (5, 100)
    for ids, named in (((1.5, 1), "image_id"), ((1, "x"), "first_annotation_id"), ((-1, 1), "image_id")):
        with pytest.raises(InputError, match=f"^{named} is"):
            scenes[2].to_coco(*ids)  # type: ignore[arg-type]


def test_scenes_are_compared_and_hashed_by_identity(scenes: list[Scene]) -> None:
    assert scenes[0] == scenes[0]
    assert scenes[0] != scenes[1]
    assert len({scenes[0], scenes[1], scenes[0]}) == 2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"seed": True}, "seed"),
        ({"seed": 10**5000}, "seed"),
        ({"seed": 0, "size": (0, 100)}, "height"),
        ({"seed": 0, "size": (100, 100, 3)}, "size"),
        ({"seed": 0, "size": 320}, "size"),
        ({"seed": 0, "size": (100.0, 100)}, "height"),
        ({"seed": 0, "persons": -1}, "persons"),
        ({"seed": 0, "persons": 2.0}, "persons"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=rf"^{named} is .*; expected"):
        render_scene(**arguments)


@pytest.mark.parametrize("size", [(32, 32), (33, 1200), (600, 40)])
def test_every_person_is_drawn_in_frames_of_any_shape(size: tuple[int, int]) -> None:
    for seed in (0, 1, 2, 2**63 - 1):
        scene = render_scene(seed, size, 4)
        assert (scene.areas > 0).all()
        assert (scene.boxes[:, 2:] > scene.boxes[:, :2]).all()
