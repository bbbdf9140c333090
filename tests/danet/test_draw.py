from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from danet.draw import LEFT, MIDDLE, RIGHT, id_color, line_width
from danet.errors import InputError
from danet.keypoints import COCO_KEYPOINTS
from danet.poses import Poses

BLACK = np.zeros((400, 400, 3), np.uint8)


def poses_of(places: dict[str, tuple[float, float]], **scores: float) -> Poses:
    """One person of which only some keypoints are seen, with score 1 or as given."""
    keypoints = np.zeros((1, 17, 2), np.float32)
    values = np.zeros((1, 17), np.float32)
    for name, place in places.items():
        index = COCO_KEYPOINTS.index(name)
        keypoints[0, index], values[0, index] = place, scores.get(name, 1.0)
    return Poses(keypoints, values, np.array([[50, 20, 350, 380]], np.float32))


def color_at(picture: NDArray[np.uint8], x: int, y: int) -> tuple[int, ...]:
    return tuple(int(value) for value in picture[y, x])


ARMS = {
    "left_elbow": (300, 100),
    "left_wrist": (300, 200),
    "right_elbow": (100, 100),
    "right_wrist": (100, 200),
    "left_shoulder": (250, 300),
    "right_shoulder": (150, 300),
}


@pytest.mark.parametrize("boxes", [False, True])
def test_the_frame_is_not_changed(boxes: bool) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    frame.flags.writeable = False
    before = frame.copy()
    drawn = poses_of(ARMS).draw(frame, boxes=boxes)
    np.testing.assert_array_equal(frame, before)
    assert (drawn != frame).any()
    assert drawn.shape == frame.shape
    assert drawn.dtype == np.uint8


@pytest.mark.parametrize("channels", [4, 1, None])
def test_frames_of_other_channels_become_bgr(channels: int | None) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (400, 400), np.uint8)
    bgr = np.repeat(grey[:, :, None], 3, axis=2)
    frame = {4: np.dstack((bgr, np.full_like(grey, 255))), 1: grey[:, :, None], None: grey}[channels]
    drawn = poses_of(ARMS).draw(frame, boxes=True)
    np.testing.assert_array_equal(drawn, poses_of(ARMS).draw(bgr, boxes=True))


def test_what_is_no_frame_is_not_drawn_on() -> None:
    with pytest.raises(InputError, match="frame of dtype float32"):
        poses_of(ARMS).draw(BLACK.astype(np.float32))  # type: ignore[arg-type]


def test_sides_have_their_colours() -> None:
    drawn = poses_of(ARMS).draw(BLACK)
    assert color_at(drawn, 300, 150) == LEFT
    assert color_at(drawn, 100, 150) == RIGHT
    assert color_at(drawn, 200, 300) == MIDDLE


def test_the_nose_takes_the_side_of_the_eye() -> None:
    drawn = poses_of({"nose": (200, 200), "left_eye": (260, 140), "right_eye": (140, 140)}).draw(BLACK)
    assert color_at(drawn, 230, 170) == LEFT
    assert color_at(drawn, 170, 170) == RIGHT


def test_places_are_pixel_indices() -> None:
    rows, columns = np.nonzero(poses_of({"nose": (123, 45)}).draw(BLACK).any(axis=2))
    assert ((columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2) == (123, 45)


def test_below_the_threshold_nothing_is_drawn() -> None:
    assert not poses_of({"left_wrist": (300, 200)}, left_wrist=0.19).draw(BLACK).any()
    assert poses_of({"left_wrist": (300, 200)}, left_wrist=0.19).draw(BLACK, threshold=0.1).any()


def test_a_limb_needs_both_its_ends() -> None:
    drawn = poses_of(ARMS, left_wrist=0.1).draw(BLACK)
    assert not drawn[150:215, 295:320].any()
    assert color_at(drawn, 100, 150) == RIGHT


def test_the_less_sure_the_fainter() -> None:
    # a quarter, and three more by the score's share of 0.7, of (255, 144, 30)
    limbs = {0.25: (132, 75, 16), 0.4: (173, 98, 20), 0.69: (252, 142, 30), 0.7: (255, 144, 30), 1.0: (255, 144, 30)}
    for score, color in limbs.items():
        drawn = poses_of(ARMS, left_wrist=score).draw(BLACK)
        # its less sure end decides, the other arm is as ever
        assert color_at(drawn, 100, 150) == RIGHT
        np.testing.assert_allclose(color_at(drawn, 300, 150), color, atol=1.5)


def test_faint_limbs_are_where_sure_ones_are() -> None:
    faint = {name: 0.5 for name in ARMS}
    np.testing.assert_array_equal(
        poses_of(ARMS, **faint).draw(BLACK).any(axis=2), poses_of(ARMS).draw(BLACK).any(axis=2)
    )


def test_ids_are_written_in_colours_of_their_own() -> None:
    poses = replace(poses_of(ARMS), ids=np.array([3]))
    drawn = poses.draw(BLACK)
    assert (drawn == id_color(3)).all(axis=2).sum() > 50
    assert not (poses.draw(BLACK, ids=False) == id_color(3)).all(axis=2).any()
    assert len({id_color(number) for number in range(40)}) == 40


@pytest.mark.parametrize("box", [[-500, -500, -400, -400], [390, 395, 900, 900], [0, 0, 1, 1]])
def test_ids_stay_in_the_picture(box: list[float]) -> None:
    poses = replace(poses_of({}), boxes=np.array([box], np.float32), ids=np.array([88]))
    assert (poses.draw(BLACK) == id_color(88)).all(axis=2).sum() > 50


def test_boxes_on_demand() -> None:
    poses = poses_of({})
    assert not poses.draw(BLACK).any()
    drawn = poses.draw(BLACK, boxes=True)[:, :, 0].astype(float)
    # edge 50 lies between the pixels 49 and 50, at index 49.5; OpenCV's smoothing is off by 0.03
    across, down = drawn[200], drawn[:, 200]
    for line, edges in ((across, (50, 350)), (down, (20, 380))):
        for edge in edges:
            near = np.arange(edge - 5, edge + 5)
            assert np.average(near, weights=line[near]) == pytest.approx(edge - 0.5, abs=0.1)
            line[near] = 0
        assert not line.any()


FAR = [-1e6, 1e6, 4.2e6, -1e9, 1e9, 3e38, -3e38]


@pytest.mark.parametrize("x", FAR)
@pytest.mark.parametrize("y", [0.0, -1e6, 3e38])
def test_far_keypoints_leave_the_rest(x: float, y: float) -> None:
    drawn = poses_of({**ARMS, "left_ankle": (x, y), "left_knee": (y, x)}).draw(BLACK)
    assert color_at(drawn, 100, 150) == RIGHT


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_places_that_are_no_numbers_are_left_out(value: float) -> None:
    drawn = poses_of({**ARMS, "left_wrist": (value, 200)}).draw(BLACK)
    np.testing.assert_array_equal(drawn, poses_of(ARMS, left_wrist=0.0).draw(BLACK))


@pytest.mark.parametrize("box", [[-1e6, -1e6, 1e6, 1e6], [5, 5, 5.01, 5.01], [-3e38, -3e38, 3e38, 3e38]])
def test_any_box(box: list[float]) -> None:
    poses = poses_of(ARMS)
    drawn = Poses(poses.keypoints, poses.scores, np.array([box], np.float32)).draw(BLACK, boxes=True)
    # a line of one pixel is blended a little by the smoothing
    np.testing.assert_allclose(color_at(drawn, 100, 150), RIGHT, atol=40)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 400, 3), (400, 1, 3)])
def test_tiny_frames(shape: tuple[int, ...]) -> None:
    assert poses_of(ARMS).draw(np.zeros(shape, np.uint8), boxes=True).shape == shape


@pytest.mark.parametrize("layout", [BLACK[::-1, ::-1], BLACK[::2, ::2], np.asfortranarray(BLACK)])
def test_any_memory_layout(layout: Any) -> None:
    assert poses_of({"nose": (20, 20)}).draw(layout).any()


@pytest.mark.parametrize(("height", "frame", "width"), [(9, 480, 1), (360, 480, 4), (5000, 480, 5), (5000, 5000, 8)])
def test_lines_grow_with_the_person_seen(height: float, frame: int, width: int) -> None:
    assert line_width(np.array([0, 10, 50, 10 + height]), frame) == width
