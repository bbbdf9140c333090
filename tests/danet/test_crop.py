from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from danet.crop import MAX_WARP_SIDE, crop_affines, crop_persons, padded_size, similarity_affines, to_crop, to_frame
from danet.model_spec import ModelSpec

SPEC = ModelSpec(name="crop", box_padding=1.0)
BLACK = replace(SPEC, mean=(0.0, 0.0, 0.0))
MEAN_COLOUR = np.array([104, 116, 124], np.uint8)  # the spec's mean, rounded

specs = st.builds(
    ModelSpec,
    name=st.just("any"),
    input_size=st.sampled_from([(256, 192), (192, 256), (128, 96), (64, 64)]),
    box_padding=st.floats(0.5, 2.0),
)


@st.composite
def any_boxes(draw: st.DrawFn, low: float = 0.01, high: float = 10_000, far: float = 5_000) -> NDArray[np.float64]:
    left, top = draw(st.floats(-far, far)), draw(st.floats(-far, far))
    width, height = draw(st.floats(low, high)), draw(st.floats(low, high))
    return np.array([[left, top, left + width, top + height]])


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def slice_box(left: int, top: int) -> NDArray[np.float64]:
    """The box that SPEC crops without resizing."""
    return np.array([[left, top, left + 192, top + 256]], np.float64)


def crops_of(frame: NDArray[np.uint8], boxes: NDArray[np.float64], spec: ModelSpec = SPEC) -> NDArray[np.uint8]:
    return crop_persons(frame, crop_affines(boxes, spec), spec)


def padded_corners(box: NDArray[np.float64], spec: ModelSpec) -> NDArray[np.float64]:
    """Widen, then extend the shorter side: left, top, right, bottom in edge coordinates."""
    left, top, right, bottom = box
    width, height = (right - left) * spec.box_padding, (bottom - top) * spec.box_padding
    aspect = spec.input_size[1] / spec.input_size[0]
    if width > height * aspect:
        height = width / aspect
    else:
        width = height * aspect
    x, y = (left + right) / 2, (top + bottom) / 2
    return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])


# affines


@given(any_boxes(), specs)
@settings(deadline=None, max_examples=100)
def test_the_padded_box_fills_the_crop_edge_to_edge(boxes: NDArray[np.float64], spec: ModelSpec) -> None:
    height, width = spec.input_size
    corners = padded_corners(boxes[0], spec).reshape(1, 2, 2)
    edges = to_crop(corners - 0.5, crop_affines(boxes, spec)) + 0.5  # indices to edges and back
    # coordinates of 1e4 with 1e-16 relative error, enlarged at most 192 / 0.005 times
    np.testing.assert_allclose(edges[0], [[0, 0], [width, height]], atol=1e-5 * max(1, 192 / padded_width(boxes, spec)))


def padded_width(boxes: NDArray[np.float64], spec: ModelSpec) -> float:
    corners = padded_corners(boxes[0], spec)
    return float(corners[2] - corners[0])


@given(any_boxes(), specs)
@settings(deadline=None, max_examples=100)
def test_padded_size_contains_the_widened_box_in_the_crops_aspect(boxes: NDArray[np.float64], spec: ModelSpec) -> None:
    (size,) = padded_size(boxes, spec)
    widened = (boxes[0, 2:] - boxes[0, :2]) * spec.box_padding
    assert (size >= widened * (1 - 1e-9)).all()
    assert np.isclose(size, widened, rtol=1e-9).any()
    np.testing.assert_allclose(size[0] / size[1], spec.input_size[1] / spec.input_size[0])


def test_a_wide_and_a_tall_box_by_hand() -> None:
    boxes = np.array([[0, 0, 300, 100], [10, 20, 40, 420]], np.float64)
    # 300 x 1.25 = 375 wide, so 500 high; 400 x 1.25 = 500 high, so 375 wide
    np.testing.assert_allclose(padded_size(boxes, ModelSpec(name="x", box_padding=1.25)), [[375, 500], [375, 500]])


@given(
    st.lists(any_boxes(low=0.1), min_size=1, max_size=4),
    specs,
    st.floats(-np.pi, np.pi),
    st.lists(st.tuples(st.floats(-300, 500), st.floats(-300, 500)), min_size=1, max_size=5),
)
@settings(deadline=None, max_examples=100)
def test_to_frame_undoes_to_crop(
    some: list[NDArray[np.float64]], spec: ModelSpec, angle: float, points: list[tuple[float, float]]
) -> None:
    boxes = np.concatenate(some)
    centers, widths = (boxes[:, :2] + boxes[:, 2:]) / 2, padded_size(boxes, spec)[:, 0]
    affines = similarity_affines(centers, widths, spec, np.full(len(boxes), angle))
    inside = np.tile(np.array(points), (len(boxes), 1, 1))
    np.testing.assert_allclose(to_crop(to_frame(inside, affines), affines), inside, atol=1e-5)


@given(any_boxes(low=1), specs, st.floats(-np.pi, np.pi))
@settings(deadline=None, max_examples=50)
def test_rotation_turns_about_the_centre(boxes: NDArray[np.float64], spec: ModelSpec, angle: float) -> None:
    height, width = spec.input_size
    center, wide = (boxes[:, :2] + boxes[:, 2:]) / 2, padded_size(boxes, spec)[:, 0]
    affines = similarity_affines(center, wide, spec, np.array([angle]))
    # the centre, a point right of it and a point below it, each a quarter of the crop's width away
    reach = wide[0] / 4
    points = center - 0.5 + np.array([[0, 0], [reach, 0], [0, reach]])
    middle, right, below = to_crop(points[None], affines)[0] + 0.5
    np.testing.assert_allclose(middle, (width / 2, height / 2), atol=1e-5)
    np.testing.assert_allclose(right - middle, width / 4 * np.array([np.cos(angle), np.sin(angle)]), atol=1e-5)
    np.testing.assert_allclose(below - middle, width / 4 * np.array([-np.sin(angle), np.cos(angle)]), atol=1e-5)


def test_a_quarter_turn_moves_the_right_to_the_bottom() -> None:
    frame = np.zeros((400, 400, 3), np.uint8)
    frame[190:210, 260:270] = 255
    affines = similarity_affines(np.array([[200.0, 200.0]]), np.array([192.0]), BLACK, np.array([np.pi / 2]))
    rows, columns = np.nonzero(crop_persons(frame, affines, BLACK)[0, :, :, 0] > 128)
    assert (rows.min(), rows.max()) == (128 + 60, 128 + 69)
    assert (columns.min(), columns.max()) == (96 - 10, 96 + 9)


# pixels


def test_a_box_of_the_crops_size_is_a_slice() -> None:
    frame = noise(400, 300)
    np.testing.assert_array_equal(crops_of(frame, slice_box(37, 55))[0], frame[55 : 55 + 256, 37 : 37 + 192])


def test_twice_enlarged_ramp_follows_the_pixel_centres() -> None:
    ramp = np.repeat(np.arange(0, 240, 2, dtype=np.uint8)[None, :, None], 160, axis=0).repeat(3, axis=2)
    crop = crops_of(ramp, np.array([[10.0, 10, 10 + 96, 10 + 128]]))[0]
    # crop pixel i is centred on edge coordinate 10 + (i + 0.5) / 2, that is pixel index half a pixel less
    expected = 2 * (10 + (np.arange(192) + 0.5) / 2 - 0.5)
    assert np.abs(crop.astype(float) - expected[None, :, None]).max() <= 1


@given(
    st.integers(120, 500), st.integers(120, 400), st.floats(30, 300), st.floats(-60, 400), st.floats(-60, 300), specs
)
@settings(deadline=None, max_examples=30)
def test_a_mirrored_frame_gives_the_mirrored_crop(
    width: int, height: int, side: float, left: float, top: float, spec: ModelSpec
) -> None:
    # smooth content: OpenCV rounds sampling places to 1/32 pixel, which steps of 13 turn into half a level
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    waves = [np.sin(columns / a + 1) * np.cos(rows / b) * 100 + 128 for a, b in ((9, 13), (11, 8), (23, 9))]
    frame = np.stack(waves, axis=2).astype(np.uint8)
    mirrored = np.ascontiguousarray(frame[:, ::-1])
    box = np.array([[left, top, left + side, top + 1.3 * side]])
    mirrored_box = np.array([[width - box[0, 2], box[0, 1], width - box[0, 0], box[0, 3]]])
    spec = replace(spec, mean=(128.0, 128.0, 128.0))
    crop, other = crops_of(frame, box, spec)[0], crops_of(mirrored, mirrored_box, spec)[0]
    # at the frame's rim the step to the border colour may reach 100, hence 100 / 32 and a level of rounding
    difference = np.abs(crop.astype(int) - other[:, ::-1])
    assert difference.max() <= 5
    affine = crop_affines(box, spec)
    places = np.stack(np.meshgrid(np.arange(spec.input_size[1]), np.arange(spec.input_size[0])), axis=2)
    x, y = to_frame(places.reshape(1, -1, 2), affine)[0].T.reshape(2, *spec.input_size)
    inner = (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
    assert difference[inner].max(initial=0) <= 1


def test_an_unresized_mirrored_crop_is_exact() -> None:
    frame = noise(300, 280)
    crop = crops_of(frame, slice_box(-20, 30))[0]
    mirrored = crops_of(np.ascontiguousarray(frame[:, ::-1]), slice_box(280 + 20 - 192, 30))[0]
    np.testing.assert_array_equal(crop, mirrored[:, ::-1])


@given(st.floats(60, 340), st.floats(60, 240), st.floats(50, 400), st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), specs)
@settings(deadline=None, max_examples=40)
def test_a_marker_lands_at_to_crop_of_its_place(
    x: float, y: float, side: float, aside: float, below: float, spec: ModelSpec
) -> None:
    spec = replace(spec, mean=(0.0, 0.0, 0.0))
    box = np.array([[x + aside * side - side / 2, y + below * side - side / 2, 0, 0]])
    box[:, 2:] = box[:, :2] + side
    affines = crop_affines(box, spec)
    scale = affines[0, 0, 0]
    (place,) = to_crop(np.array([[[x, y]]]), affines)[0]
    spread = max(2.0, 2 / scale)  # frame pixels
    reach = 4 * spread * scale
    size = np.array(spec.input_size[::-1])
    assume((place > reach).all() and (place < size - 1 - reach).all())
    assume(4 * spread < 55)
    columns, rows = np.meshgrid(np.arange(400), np.arange(300))
    blob = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * spread**2))
    frame = np.repeat(blob.astype(np.uint8)[:, :, None], 3, axis=2)
    weights = crop_persons(frame, affines, spec)[0, :, :, 1].astype(float)
    crop_columns, crop_rows = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    found = np.array([(weights * crop_columns).sum(), (weights * crop_rows).sum()]) / weights.sum()
    assert np.abs(found - place).max() < 0.2


# boxes that leave the frame


@pytest.mark.parametrize(("left", "top"), [(-50, -70), (200, 100), (60, 300), (-150, 20)])
def test_outside_the_frame_is_the_mean_colour(left: int, top: int) -> None:
    frame = noise(400, 300)
    padded = np.full((400 + 2 * 400, 300 + 2 * 400, 3), MEAN_COLOUR)
    padded[400:-400, 400:-400] = frame
    expected = padded[400 + top : 400 + top + 256, 400 + left : 400 + left + 192]
    np.testing.assert_array_equal(crops_of(frame, slice_box(left, top))[0], expected)


@pytest.mark.parametrize("origin", [(-900, 0), (900, 900), (0, -5_000), (900_000, -900_000)])
def test_wholly_outside_is_all_mean_colour(origin: tuple[int, int]) -> None:
    assert (crops_of(noise(400, 300), slice_box(*origin)) == MEAN_COLOUR).all()


def test_a_box_far_wider_than_the_frame() -> None:
    frame = np.full((400, 600, 3), 255, np.uint8)
    crop = crops_of(frame, np.array([[-4700.0, -100, 5300, 500]]), BLACK)[0]
    scale = 192 / 10_000
    rows, columns = np.nonzero(crop[:, :, 0] > 127)
    # the frame's centre (300, 200) is the box's centre and so the crop's
    for pixels, middle, side in ((columns, 96, 600), (rows, 128, 400)):
        assert abs(pixels.min() - (middle - side * scale / 2)) <= 1
        assert abs(pixels.max() + 1 - (middle + side * scale / 2)) <= 1


@pytest.mark.parametrize(("x", "y"), [(0, 0), (299, 399), (120, 77)])
def test_a_tiny_box_shows_one_pixel(x: int, y: int) -> None:
    frame = noise(400, 300)
    box = np.array([[x + 0.495, y + 0.495, x + 0.505, y + 0.505]])
    crop = crops_of(frame, box)[0].astype(int)
    # half the crop is 0.005 pixels wide and 0.0067 high: at most 1.2 % of a neighbour, and rounding
    assert np.abs(crop - frame[y, x]).max() <= 0.012 * 255 + 1


@given(any_boxes(high=1e6, far=1e6), specs)
@settings(deadline=None, max_examples=30)
def test_any_box_can_be_cropped(boxes: NDArray[np.float64], spec: ModelSpec) -> None:
    frame = np.full((40, 30, 3), 255, np.uint8)
    crops = crops_of(frame, boxes, replace(spec, mean=(10.0, 10.0, 10.0)))
    assert crops.min() >= 10


# frames that cv2.warpAffine cannot address


@pytest.mark.parametrize("far", [0, 10_000, MAX_WARP_SIDE - 100, 32_767, 39_700])
def test_a_very_wide_frame(far: int) -> None:
    frame = np.zeros((64, 40_000, 3), np.uint8)
    frame[:, far : far + 192] = noise(64, 192)
    crop = crops_of(frame, slice_box(far, -96))[0]
    np.testing.assert_array_equal(crop[96 : 96 + 64], frame[:, far : far + 192])
    assert (crop[:96] == MEAN_COLOUR).all()
    assert (crop[160:] == MEAN_COLOUR).all()


def test_a_very_tall_frame_and_its_end() -> None:
    frame = noise(40_000, 64)
    crop = crops_of(frame, slice_box(-64, 40_000 - 200))[0]
    np.testing.assert_array_equal(crop[:200, 64:128], frame[-200:])
    assert (crop[200:] == MEAN_COLOUR).all()
    assert (crop[:, 128:] == MEAN_COLOUR).all()


def test_far_outside_a_very_wide_frame_is_mean_colour() -> None:
    frame = np.zeros((64, 40_000, 3), np.uint8)
    for left, top in ((41_000, 0), (-500, 0), (20_000, 5_000)):
        assert (crops_of(frame, slice_box(left, top)) == MEAN_COLOUR).all()


@pytest.mark.parametrize("turned", [False, True])
def test_a_box_over_the_whole_of_a_very_long_frame(turned: bool) -> None:
    # eight bands of 5,000 pixels; the whole frame needs more than OpenCV addresses at once
    line = (np.arange(40_000) // 5_000 * 25 + 10).astype(np.uint8)
    frame = np.repeat(np.repeat(line[None, :, None], 500, axis=0), 3, axis=2)
    frame = np.ascontiguousarray(frame.transpose(1, 0, 2)) if turned else frame
    height, width = frame.shape[:2]
    boxes = np.array([[0.0, 0, width, height]])
    crop = crops_of(frame, boxes, BLACK)[0]
    for band in range(8):
        middle = 5_000 * band + 2_500
        point = (250, middle) if turned else (middle, 250)
        column, row = np.rint(to_crop(np.array([[point]], float), crop_affines(boxes, BLACK))[0, 0]).astype(int)
        assert crop[row, column, 0] == 25 * band + 10


@pytest.mark.parametrize("side", [32_766, 32_767])
def test_frames_at_the_limit_of_opencv(side: int) -> None:
    frame = np.zeros((64, side, 3), np.uint8)
    frame[:, -192:] = noise(64, 192)
    crop = crops_of(frame, slice_box(side - 192, 0))[0]
    np.testing.assert_array_equal(crop[:64], frame[:, -192:])


@pytest.mark.parametrize("size", [(256, 192), (192, 256)])
@pytest.mark.parametrize("degrees", [40, 130, 220, 310])
def test_a_turned_crop_of_a_very_wide_frame_has_its_corners(size: tuple[int, int], degrees: float) -> None:
    """A crop pixel spans eight frame pixels, so that what is cut off too near a corner is seen."""
    spec = replace(BLACK, input_size=size)
    frame = np.zeros((2_700, 40_000, 3), np.uint8)
    frame[:, 20_000:22_700] = 150 + noise(2_700, 2_700) % 100
    center, wide = np.array([[21_350.0, 1_350.0]]), np.array([size[1] * 8.0])
    affines = similarity_affines(center, wide, spec, np.array([np.radians(degrees)]))
    part = affines[0].copy()
    part[:, 2] += affines[0, :, 0] * 20_000
    expected = crop_persons(np.ascontiguousarray(frame[:, 20_000:22_700]), part[None], spec)[0].astype(int)
    crop = crop_persons(frame, affines, spec)[0].astype(int)
    assert expected.min() >= 150  # the frame fills the crop
    assert np.abs(crop - expected).max() <= 8  # 1/32 pixel where a place was rounded to the other side


@pytest.mark.parametrize("left", [42_000, 70_000])
def test_a_wide_crop_within_a_very_wide_frame_is_not_thinned(left: int) -> None:
    """Only what the crop looks at is cut out, neither from the frame's beginning nor to its end."""
    frame = np.zeros((200, 90_000, 3), np.uint8)
    frame[:, left : left + 16_000] = noise(200, 16_000)
    affines = crop_affines(np.array([[left + 500.0, 0, left + 15_500, 200]]), BLACK)
    first = left - 7_000
    part = affines[0].copy()
    part[:, 2] += affines[0, :, 0] * first
    beside = np.ascontiguousarray(frame[:, first : left + 20_000])
    expected = crop_persons(beside, part[None], BLACK)[0].astype(int)
    assert expected.any()
    assert np.abs(crop_persons(frame, affines, BLACK)[0].astype(int) - expected).max() <= 8


def test_a_crop_that_looks_at_just_what_opencv_addresses_is_not_thinned() -> None:
    frame = noise(200, 40_000)
    # frame = 170.64 crop + 1, so from 1 to 32,763.88: with two pixels on either side columns 0..32,765
    affines = np.array([[[1 / 170.64, 0, -1 / 170.64], [0, 1 / 170.64, 100]]])
    expected = crop_persons(np.ascontiguousarray(frame[:, :MAX_WARP_SIDE]), affines, BLACK)
    assert expected.any()
    assert np.abs(crop_persons(frame, affines, BLACK).astype(int) - expected).max() <= 8


def test_a_crop_of_odd_sides() -> None:
    spec = replace(SPEC, input_size=(45, 33), stride=1)
    frame = noise(100, 80)
    crop = crop_persons(frame, crop_affines(np.array([[7.0, 11, 40, 56]]), spec), spec)[0]
    np.testing.assert_array_equal(crop, frame[11:56, 7:40])


# where the crops are written


def test_out_is_written_and_returned() -> None:
    frame = noise(400, 300)
    boxes = np.concatenate((slice_box(0, 0), slice_box(50, 100)))
    everything = np.full((4, 256, 192, 3), 7, np.uint8)
    span = everything[1:3]
    assert crop_persons(frame, crop_affines(boxes, SPEC), SPEC, out=span) is span
    np.testing.assert_array_equal(everything[1], frame[:256, :192])
    np.testing.assert_array_equal(everything[2], frame[100:356, 50:242])
    assert (everything[[0, 3]] == 7).all()


@pytest.mark.parametrize("places", [1, 3])
def test_out_of_another_number_of_persons(places: int) -> None:
    affines = crop_affines(np.concatenate((slice_box(0, 0), slice_box(50, 100))), SPEC)
    with pytest.raises(ValueError, match=r"shorter|longer"):
        crop_persons(noise(400, 300), affines, SPEC, out=np.empty((places, 256, 192, 3), np.uint8))


def test_no_box_no_crop() -> None:
    assert crops_of(noise(40, 30), np.empty((0, 4))).shape == (0, 256, 192, 3)


def test_a_read_only_frame_is_left_alone() -> None:
    frame = noise(300, 300)
    before = frame.copy()
    frame.flags.writeable = False
    crops_of(frame, slice_box(20, 20))
    np.testing.assert_array_equal(frame, before)
