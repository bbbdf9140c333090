from __future__ import annotations

import copy
import ctypes
import pickle
import sys
import threading
import warnings
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.concurrency.work import python

from danet.backends.base import LoadedModel
from danet.crop import crop_persons
from danet.decode import decode
from danet.errors import BackendError, InputError, ModelFileError, ModelSpecError
from danet.estimator import LOOKAHEAD, PoseEstimator
from danet.frames import kept
from danet.model_spec import DecoderSpec, ModelSpec
from danet.poses import Poses
from danet.tuning.settings import Settings

SPEC = ModelSpec(name="spots", mean=(0.0, 0.0, 0.0), box_padding=1.25)
LEFT = np.array([name.startswith("left_") for name in SPEC.keypoints])[:, None]
RIGHT = np.array([name.startswith("right_") for name in SPEC.keypoints])[:, None]


def joints_at(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """(17, 2): the places of the keypoints of a person with these two spots."""
    return np.where(LEFT, left, np.where(RIGHT, right, (left + right) / 2))


class SpotBackend:
    """A pose model for frames of spots: a blue and a red one for each person, on black.

    As a network does for a person seen from behind, it finds the left keypoints at whichever spot is
    farther left in the crop, the right ones at the other, and the nose midway. Where a colour is
    missing there is no response.
    """

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.closed = 0

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        assert images.dtype == np.uint8
        assert images.shape[1:] == (256, 192, 3)
        assert images.flags.c_contiguous
        self.sizes.append(len(images))
        return np.stack([self.heatmaps(image) for image in images])

    def heatmaps(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        spots = sorted(spot for spot in map(self.spot, (image[:, :, 0], image[:, :, 2])) if spot is not None)
        if len(spots) < 2:
            return np.zeros((17, 64, 48), np.float32)
        columns, rows = np.meshgrid(np.arange(48), np.arange(64))
        # cell i is centred on pixel (i + 0.5) * 4 - 0.5
        column, row = ((joints_at(*np.array(spots)) + 0.5) / 4 - 0.5).T[:, :, None, None]
        return np.exp(-((columns - column) ** 2 + (rows - row) ** 2) / (2 * 2.0**2)).astype(np.float32)

    @staticmethod
    def spot(channel: NDArray[np.uint8]) -> tuple[float, float] | None:
        moments = cv2.moments(np.where(channel > 40, channel, 0).astype(np.float32))
        if moments["m00"] < 1:
            return None
        return moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]

    def close(self) -> None:
        self.closed += 1


Person = tuple[tuple[float, float], tuple[float, float], list[float]]

PERSONS: list[Person] = [
    # blue spot, red spot, box
    ((150.0, 180.5), (250.3, 300.7), [100, 100, 300, 400]),
    ((560.2, 140.4), (470.0, 200.0), [430, 110, 600, 260]),
    ((500.0, 400.0), (560.0, 430.0), [460, 360, 590, 470]),
]


def frame_of(persons: list[Person], width: int = 640, height: int = 480) -> NDArray[np.uint8]:
    frame = np.zeros((height, width, 3), np.uint8)
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    for blue, red, _ in persons:
        for channel, (x, y) in ((0, blue), (2, red)):
            spot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 6.0**2))
            frame[:, :, channel] = np.maximum(frame[:, :, channel], spot.astype(np.uint8))
    return frame


def boxes_of(persons: list[Person]) -> list[list[float]]:
    return [box for _, _, box in persons]


FRAME = frame_of(PERSONS)


def estimator_of(backend: Any = None, **options: Any) -> PoseEstimator:
    return PoseEstimator("spots", spec=SPEC, backend=backend or SpotBackend(), **options)


def assert_spots(poses: Poses, persons: list[Person]) -> None:
    """The keypoints are within the decoder's bound of the spots.

    The decoder is off by at most 0.25 cell along one axis and 0.5 along the other (test_decode.py);
    the crop's resampling adds less than 0.1 cell. A cell is 4 crop pixels.
    """
    assert len(poses) == len(persons)
    for pose, (blue, red, box) in zip(poses, persons, strict=True):
        crop_width = 1.25 * max(box[2] - box[0], (box[3] - box[1]) * 192 / 256)
        bound = (0.5 + 0.1) * 4 * crop_width / 192
        errors = np.abs(pose.keypoints[0] - joints_at(*np.array(sorted((blue, red)))))
        assert errors.max() <= bound
        assert pose.scores.min() > 0.9


def same(one: Poses, other: Poses) -> None:
    np.testing.assert_array_equal(one.keypoints, other.keypoints)
    np.testing.assert_array_equal(one.scores, other.scores)
    np.testing.assert_array_equal(one.boxes, other.boxes)


def shifted(amount: float) -> list[Person]:
    return [
        ((blue[0] + amount, blue[1]), (red[0] + amount, red[1]), [box[0] + amount, box[1], box[2] + amount, box[3]])
        for blue, red, box in PERSONS
    ]


# places


def test_keypoints_come_back_in_frame_pixels() -> None:
    poses = estimator_of().infer(FRAME, boxes_of(PERSONS))
    assert_spots(poses, PERSONS)
    assert poses.keypoints.dtype == poses.scores.dtype == poses.boxes.dtype == np.float32
    np.testing.assert_array_equal(poses.boxes, np.array(boxes_of(PERSONS), np.float32))
    assert poses.names == SPEC.keypoints
    assert poses.skeleton == SPEC.skeleton


def test_a_centred_response_is_exact() -> None:
    """No offset and a response in one cell: frame coordinates worked by hand."""

    class CornerBackend:
        def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
            maps = np.zeros((len(images), 17, 64, 48), np.float32)
            maps[:, :, 0, 0] = 0.7
            maps[:, 1, 0, 0], maps[:, 1, 63, 47] = 0, 0.6
            return maps

        def close(self) -> None: ...

    spec = ModelSpec(name="corner", box_padding=1.0, decoder=DecoderSpec(blur_kernel=1, offsets=()))
    estimator = PoseEstimator("corner", spec=spec, backend=CornerBackend())
    # 384 x 512 is the crop twice: a cell is 8 frame pixels, its centre 4 from the edge, half a pixel less as index
    poses = estimator.infer(FRAME, [[-50, -40, 334, 472]])
    np.testing.assert_allclose(poses.keypoints[0, 0], (-50 + 3.5, -40 + 3.5), atol=1e-4)
    np.testing.assert_allclose(poses.keypoints[0, 1], (334 - 4.5, 472 - 4.5), atol=1e-4)
    np.testing.assert_allclose(poses.scores[0, :2], (0.7, 0.6), rtol=1e-6)


def test_dark_comes_within_half_a_pixel_of_the_spots() -> None:
    """SpotBackend's own measuring of the spots in uint8 crops is what is left."""
    poses = estimator_of(decoder="dark").infer(FRAME, boxes_of(PERSONS))
    for pose, (blue, red, _) in zip(poses, PERSONS, strict=True):
        assert np.abs(pose.keypoints[0] - joints_at(*np.array(sorted((blue, red))))).max() <= 0.5


def test_decoder_overrides_the_spec_s() -> None:
    dark = SPEC.decoded_by("dark")
    assert estimator_of(decoder="dark").spec == dark
    with PoseEstimator("spots", spec=dark, backend=SpotBackend(), decoder="offset") as estimator:
        assert estimator.spec == SPEC
    with PoseEstimator("spots", spec=dark, backend=SpotBackend()) as estimator:
        assert estimator.spec == dark
    with pytest.raises(InputError, match="decoder 'sharp', expected one of offset, dark"):
        estimator_of(decoder="sharp")


def test_box_padding_overrides_the_spec_s() -> None:
    wide = replace(SPEC, box_padding=1.5)
    boxes = boxes_of(PERSONS)
    asked, given = estimator_of(box_padding=1.5), PoseEstimator("spots", spec=wide, backend=SpotBackend())
    assert asked.spec == given.spec == wide
    found, expected, usual = (one.infer(FRAME, boxes).keypoints for one in (asked, given, estimator_of()))
    np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(found, usual)


@pytest.mark.parametrize("padding", [0.0, -1.0, 11.0, float("nan"), "1.5", [1.5]])
def test_a_padding_that_no_crop_could_have(padding: Any) -> None:
    with pytest.raises(InputError, match=r"box_padding .*, expected a number in 0\.1\.\.10"):
        estimator_of(box_padding=padding)


def test_a_number_of_numpy_as_padding() -> None:
    spec = estimator_of(box_padding=np.float32(1.5)).spec
    assert ModelSpec.from_json(spec.to_json()) == replace(SPEC, box_padding=1.5)


def test_a_refused_spec_closes_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = SpotBackend()
    monkeypatch.setattr("danet.opened_model.load_model", lambda *_: LoadedModel(backend, None, "fp32"))
    with pytest.raises(ModelSpecError, match="carries no model spec"):
        PoseEstimator("spots.xml", settings=Settings())
    assert backend.closed


@pytest.mark.parametrize("flip_test", [False, True])
def test_the_order_of_boxes_is_kept(flip_test: bool) -> None:
    order = [2, 0, 1, 0]
    poses = estimator_of(flip_test=flip_test).infer(FRAME, [boxes_of(PERSONS)[index] for index in order])
    assert_spots(poses, [PERSONS[index] for index in order])


@pytest.mark.parametrize("box_format", ["xyxy", "xywh", "cxcywh"])
def test_box_formats(box_format: str) -> None:
    x1, y1, x2, y2 = np.array(boxes_of(PERSONS)).T
    columns = {
        "xyxy": (x1, y1, x2, y2),
        "xywh": (x1, y1, x2 - x1, y2 - y1),
        "cxcywh": ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1),
    }[box_format]
    poses = estimator_of(box_format=box_format).infer(FRAME, np.stack(columns, axis=1))
    assert_spots(poses, PERSONS)
    np.testing.assert_array_equal(poses.boxes, np.array(boxes_of(PERSONS), np.float32))


@pytest.mark.parametrize("box_format", ["xyxy", "xywh", "cxcywh"])
def test_without_boxes_the_frame_is_one_person(box_format: str) -> None:
    person = (PERSONS[0][0], PERSONS[0][1], [0.0, 0, 640, 480])
    poses = estimator_of(box_format=box_format).infer(frame_of([person]))
    assert_spots(poses, [person])
    np.testing.assert_array_equal(poses.boxes, [[0, 0, 640, 480]])


@pytest.mark.parametrize("layout", ["flipped", "bgra", "fortran"])
def test_any_frame_layout(layout: str) -> None:
    frame = {
        "flipped": np.ascontiguousarray(FRAME[::-1])[::-1],
        "bgra": np.dstack((FRAME, FRAME[:, :, 1])),
        "fortran": np.asfortranarray(FRAME),
    }[layout]
    same(estimator_of().infer(frame, boxes_of(PERSONS)), estimator_of().infer(FRAME, boxes_of(PERSONS)))


def test_the_callers_arrays_are_not_changed() -> None:
    frame, boxes = FRAME.copy(), np.array(boxes_of(PERSONS), np.float32)
    before = boxes.copy()
    poses = estimator_of(flip_test=True).infer(frame, boxes)
    poses.boxes[:] = 0
    np.testing.assert_array_equal(frame, FRAME)
    np.testing.assert_array_equal(boxes, before)


def test_a_person_wholly_outside_scores_zero() -> None:
    class Certain(SpotBackend):
        def heatmaps(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
            return np.ones((17, 64, 48), np.float32)

    boxes = [[700, 0, 800, 100], [600, 0, 700, 100], [-100, -100, 0, 50], [0, 0, 640, 480], [0, 480, 50, 600]]
    poses = estimator_of(Certain()).infer(FRAME, boxes)
    assert (poses.scores.max(axis=1) == 0).tolist() == [True, False, True, False, True]
    assert np.isfinite(poses.keypoints).all()


@pytest.mark.parametrize(
    "box", [[-1e6, -1e6, 1e6, 1e6], [5, 5, 5.01, 5.01], [-1e6, 5, -999_999, 6], [0, 0, 640, 0.01], [639, 0, 1e6, 9]]
)
def test_extreme_boxes_give_finite_poses(box: list[float]) -> None:
    for flip_test in (False, True):
        poses = estimator_of(flip_test=flip_test).infer(FRAME, [box])
        assert np.isfinite(poses.keypoints).all()
        assert ((poses.scores >= 0) & (poses.scores <= 1)).all()


def test_far_along_a_very_wide_frame() -> None:
    persons = [((39_150.0, 60.0), (39_200.0, 90.0), [39_100.0, 10, 39_250, 140])]
    frame = np.zeros((150, 40_000, 3), np.uint8)
    frame[:, 39_000:] = frame_of([((150.0, 60.0), (200.0, 90.0), [])], 1_000, 150)
    assert_spots(estimator_of().infer(frame, boxes_of(persons)), persons)


# flip test


def test_the_flip_test_runs_the_mirrored_crops_too() -> None:
    seen: list[NDArray[np.uint8]] = []

    class Watching(SpotBackend):
        def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
            seen.append(images.copy())
            return super().run(images)

    poses = estimator_of(Watching(), flip_test=True).infer(FRAME, boxes_of(PERSONS)[:2])
    assert_spots(poses, PERSONS[:2])
    assert [len(images) for images in seen] == [2, 2]
    np.testing.assert_array_equal(seen[0][:, :, ::-1], seen[1])


def test_the_flip_test_evens_out_a_bias() -> None:
    """A network that is always two cells too far right errs the other way in the mirror."""

    class Biased(SpotBackend):
        def heatmaps(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
            return np.roll(super().heatmaps(image), 2, axis=2)

    once = estimator_of(Biased()).infer(FRAME, boxes_of(PERSONS))
    both = estimator_of(Biased(), flip_test=True).infer(FRAME, boxes_of(PERSONS))
    true = estimator_of().infer(FRAME, boxes_of(PERSONS))
    assert (once.keypoints - true.keypoints)[0, :, 0].min() > 5  # two cells of 250 / 48 frame pixels
    assert_spots(replace(both, scores=np.ones_like(both.scores)), PERSONS)


# batches


@pytest.mark.parametrize(("batch_size", "allowed"), [(None, {1, 2, 4, 8}), (1, {1}), (4, {1, 2, 4}), (6, {1, 2, 4, 6})])
def test_only_a_few_batch_sizes_are_used(batch_size: int | None, allowed: set[int]) -> None:
    backend = SpotBackend()
    estimator = estimator_of(backend, batch_size=batch_size)
    for count in (1, 2, 3, 5, 7, 11):
        backend.sizes.clear()
        order = [index % 3 for index in range(count)]
        poses = estimator.infer(FRAME, [boxes_of(PERSONS)[index] for index in order])
        assert_spots(poses, [PERSONS[index] for index in order])
        assert set(backend.sizes) <= allowed
        assert sum(backend.sizes) >= count


def test_a_backend_that_was_opened_before_says_which_batches_it_takes() -> None:
    """As `open_tflite` gives one, of a file of a fixed batch."""

    class FixedBackend(SpotBackend):
        batch_sizes = (4,)

    backend = FixedBackend()
    assert len(estimator_of(backend, batch_size=8).infer(FRAME, boxes_of(PERSONS[:1]))) == 1
    assert backend.sizes == [4]


def test_warm_up_runs_each_batch_size_once() -> None:
    backend = SpotBackend()
    estimator = estimator_of(backend, batch_size=6)
    estimator.warm_up()
    assert sorted(backend.sizes) == [1, 2, 4, 6]
    warmed = set(backend.sizes)
    estimator.infer(FRAME, boxes_of(PERSONS))
    list(estimator.stream([(FRAME, boxes_of(PERSONS))]))
    assert set(backend.sizes) == warmed
    estimator.close()
    with pytest.raises(BackendError, match="closed"):
        estimator.warm_up()


@pytest.mark.parametrize("boxes", [[], np.empty((0, 4))])
def test_nobody_does_not_run_the_model(boxes: Any) -> None:
    backend = SpotBackend()
    for flip_test in (False, True):
        poses = estimator_of(backend, flip_test=flip_test).infer(FRAME, boxes)
        assert len(poses) == 0
        assert poses.keypoints.shape == (0, 17, 2)
        assert poses.scores.shape == (0, 17)
        assert poses.boxes.shape == (0, 4)
        assert poses.to_coco(1) == []
    assert backend.sizes == []


def test_infer_batch_equals_infer_one_by_one() -> None:
    backend = SpotBackend()
    estimator = estimator_of(backend)
    other = shifted(20)
    work: list[tuple[Any, Any]] = [
        (FRAME, boxes_of(PERSONS)),
        (frame_of(other), boxes_of(other)[:2]),
        (FRAME, []),
        (FRAME[:460, :620], None),
        (FRAME, boxes_of(PERSONS)[1:]),
    ]
    expected = [estimator.infer(frame, boxes) for frame, boxes in work]
    backend.sizes.clear()
    together = estimator.infer_batch(work)
    assert backend.sizes == [8]  # their persons share a network call
    assert [len(poses) for poses in together] == [3, 2, 0, 1, 2]
    for one, poses in zip(expected, together, strict=True):
        same(poses, one)


def test_infer_batch_takes_any_iterable() -> None:
    estimator = estimator_of()
    for one in estimator.infer_batch((FRAME, boxes_of(PERSONS)) for _ in range(2)):
        same(one, estimator.infer(FRAME, boxes_of(PERSONS)))


@pytest.mark.parametrize("given", [FRAME, (FRAME,), (FRAME, None, None), None, "ab"])
def test_frames_without_their_boxes(given: Any) -> None:
    estimator = estimator_of()
    for call in (lambda: estimator.infer_batch([given, given]), lambda: list(estimator.stream([given]))):
        with pytest.raises(InputError, match=r"expected pairs \(frame, boxes\)"):
            call()


def test_a_crowd_is_worked_on_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Crops and heatmaps of a thousand persons at once would take a gigabyte."""
    boxes = boxes_of(PERSONS) * 11
    at_once = []

    def counted(heatmaps: NDArray[np.float32], spec: ModelSpec) -> Any:
        at_once.append(len(heatmaps))
        return decode(heatmaps, spec)

    monkeypatch.setattr("danet.estimator.BATCHES_AT_HAND", 2)
    monkeypatch.setattr("danet.estimator.decode", counted)
    crowd = estimator_of(batch_size=4).infer_batch([(FRAME, boxes[:13]), (FRAME, boxes[13:])])
    assert at_once == [8, 8, 8, 8, 1]
    for poses, persons in zip(crowd, (13, 20), strict=True):
        same(poses, estimator_of().infer(FRAME, boxes[:13] if persons == 13 else boxes[13:]))


def test_frames_of_a_sequence_by_index_alone() -> None:
    """As `torch.utils.data.Dataset` is one."""

    class Frames:
        def __getitem__(self, index: int) -> tuple[Any, Any]:
            if index == 2:
                raise IndexError
            return FRAME, boxes_of(PERSONS)

    estimator = estimator_of()
    for found in (estimator.infer_batch(Frames()), list(estimator.stream(Frames()))):  # type: ignore[arg-type]
        assert [len(poses) for poses in found] == [3, 3]


@pytest.mark.parametrize("sizes", [8, [4], "4", (1.5,)])
def test_batch_sizes_that_are_none(sizes: Any) -> None:
    backend = SpotBackend()
    backend.batch_sizes = sizes  # type: ignore[attr-defined]
    assert len(estimator_of(backend).infer(FRAME, boxes_of(PERSONS))) == 3


def test_no_frames_at_all() -> None:
    estimator = estimator_of()
    for call in (estimator.infer_batch, estimator.stream):
        with pytest.raises(InputError, match=r"frames of type int, expected pairs \(frame, boxes\)"):
            call(5)  # type: ignore[operator]


def test_infer_batch_of_nothing() -> None:
    backend = SpotBackend()
    assert estimator_of(backend).infer_batch([]) == []
    assert backend.sizes == []


# answers that do not fit the spec


@pytest.mark.parametrize(
    "answer",
    [
        np.zeros((1, 64, 48, 17), np.float32),
        np.zeros((1, 16, 64, 48), np.float32),
        np.zeros((2, 17, 64, 48), np.float32),
        np.zeros((0, 17, 64, 48), np.float32),
        np.zeros((17, 64, 48), np.float32),
        np.float32(0),
        None,
        [1, 2],
    ],
)
def test_an_answer_of_another_shape(answer: Any) -> None:
    class Wrong:
        def run(self, images: NDArray[np.uint8]) -> Any:
            return answer

        def close(self) -> None: ...

    with pytest.raises(BackendError, match=r"answered \(.*its spec promises \(1, 17, 64, 48\)"):
        estimator_of(Wrong()).infer(FRAME, boxes_of(PERSONS)[:1])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3.4e38])
def test_an_answer_without_sense_gives_finite_poses(value: float) -> None:
    class Broken(SpotBackend):
        def heatmaps(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
            return np.full((17, 64, 48), value, np.float32)

    poses = estimator_of(Broken()).infer(FRAME, boxes_of(PERSONS))
    assert np.isfinite(poses.keypoints).all()
    assert ((poses.scores >= 0) & (poses.scores <= 1)).all()


# stream


def moving(count: int) -> list[tuple[NDArray[np.uint8], list[list[float]]]]:
    return [(frame_of(shifted(5.0 * index)), boxes_of(shifted(5.0 * index))[: 1 + index % 3]) for index in range(count)]


def stream_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("danet-stream")]


def test_stream_equals_infer_in_order() -> None:
    estimator = estimator_of()
    frames = moving(7)
    expected = [estimator.infer(frame, boxes) for frame, boxes in frames]
    streamed = list(estimator.stream(iter(frames)))
    assert len(streamed) == 7
    for one, poses in zip(expected, streamed, strict=True):
        same(poses, one)
    assert stream_threads() == []


@pytest.mark.parametrize("count", [0, 1, 2])
def test_short_streams(count: int) -> None:
    assert len(list(estimator_of().stream(moving(count)))) == count


def test_stream_keeps_the_order_when_an_early_frame_is_slow() -> None:
    second_is_done = threading.Event()

    class SlowFirst(SpotBackend):
        def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
            if len(images) == 1:
                assert second_is_done.wait(10)
            else:
                second_is_done.set()
            return super().run(images)

    lengths = [len(poses) for poses in estimator_of(SlowFirst()).stream(moving(2))]
    assert lengths == [1, 2]


def test_a_stream_may_use_its_buffers_again(monkeypatch: pytest.MonkeyPatch) -> None:
    second_is_there = threading.Event()
    one_person = [(frame, boxes[:1]) for frame, boxes in moving(4)]

    def crop_late(*given: Any, **named: Any) -> Any:
        assert second_is_there.wait(10)
        return crop_persons(*given, **named)

    def in_one_buffer() -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float64]]]:
        buffer, edges = np.empty_like(FRAME), np.empty((1, 4))
        for index, (frame, boxes) in enumerate(one_person):
            buffer[:], edges[:] = frame, boxes
            if index == 1:
                second_is_there.set()
            yield buffer, edges

    def in_one_list() -> Iterator[tuple[memoryview, list[list[float]]]]:
        rows: list[list[float]] = [[]]
        for buffer, edges in in_one_buffer():
            rows[0][:] = edges[0].tolist()
            yield memoryview(buffer), rows

    estimator = estimator_of()
    expected = [estimator.infer(frame, boxes) for frame, boxes in one_person]
    monkeypatch.setattr("danet.estimator.crop_persons", crop_late)
    for frames in (in_one_buffer(), in_one_list()):
        second_is_there.clear()
        for one, poses in zip(expected, estimator.stream(frames), strict=True):
            same(poses, one)


def test_what_a_stream_keeps_is_its_own() -> None:
    class Foreign:
        """As PyTorch's tensors on the CPU: its `__array__` shares memory and knows no `copy`."""

        def __init__(self, data: NDArray[np.uint8]) -> None:
            self.data = data

        def __array__(self, dtype: Any = None) -> NDArray[np.uint8]:
            return self.data

    buffer = np.zeros((4, 6, 3), np.uint8)
    boxes = [[1, 2, 3, 4]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        held = [kept(given) for given in (buffer, Foreign(buffer), memoryview(buffer), boxes, tuple(boxes))]
    buffer[:] = 9
    boxes[0][0] = 9
    assert [int(np.asarray(one).max()) for one in held] == [0, 0, 0, 4, 4]
    foreign = (ctypes.c_ubyte * 3 * 2)()
    copied = kept(foreign)
    foreign[0][0] = 9
    assert copied.max() == 0
    assert kept(None) is None
    pillow = Foreign(buffer)
    pillow.getbands = lambda: ("R", "G", "B")  # type: ignore[attr-defined]
    assert kept(pillow) is pillow  # as `infer` takes it, which refuses it
    assert kept([[1, 2], [3]]) == [[1, 2], [3]]  # to be refused in its turn


STREAMS_AFTER_MAIN = """
import threading
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from danet import PoseEstimator

def work():
    threading.main_thread().join()
    try:
        while True:  # a moment later no thread may be started any more
            ThreadPoolExecutor(1).submit(int)
    except RuntimeError:
        pass
    frames = [(np.zeros((64, 64, 3), np.uint8), None)] * 5
    print(sum(len(poses) for poses in PoseEstimator("null", backend="null").stream(frames)))

threading.Thread(target=work).start()
"""


def test_a_stream_goes_on_in_a_thread_that_outlives_the_main_one() -> None:
    done = python(STREAMS_AFTER_MAIN)
    assert (done.returncode, done.stdout, done.stderr) == (0, "5\n", "")


def test_an_estimator_that_nobody_closes_is_freed_at_once(tiny_ir: Path) -> None:
    estimator = PoseEstimator(tiny_ir)
    estimator.warm_up()
    backend = weakref.ref(estimator._still_open().single.backend)
    del estimator
    assert backend() is None  # without waiting for the garbage collector


@pytest.mark.parametrize("arguments", [{"spec": {}}, {"settings": {"threads": 1}}, {"device": None}, {"model": 5}])
def test_arguments_of_another_type(arguments: dict[str, Any]) -> None:
    (name,) = arguments
    with pytest.raises(InputError, match=f"{name} of type (dict|NoneType|int), expected"):
        PoseEstimator(**{"model": "null", "backend": "null", **arguments})


def test_what_is_no_iterable_and_what_is_no_parcel() -> None:
    estimator = estimator_of()
    with pytest.raises(InputError, match="frames of type NoneType, expected pairs"):
        estimator.infer_batch(None)  # type: ignore[arg-type]
    for copying in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(BackendError, match="make one there"):
            copying(estimator)


def test_neighbouring_frames_are_in_the_network_at_once() -> None:
    together = threading.Barrier(2, timeout=10)

    class Meeting(SpotBackend):
        def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
            together.wait()  # raises if the second frame does not come
            return super().run(images)

    one_call_each = [(FRAME, boxes_of(PERSONS)[:1])] * 4
    assert len(list(estimator_of(Meeting()).stream(one_call_each))) == 4


def test_an_error_comes_in_its_turn() -> None:
    frames: list[tuple[Any, Any]] = [*moving(2), (FRAME, [[1, 2, 3]]), *moving(1)]
    stream = estimator_of().stream(frames)
    assert len(next(stream)) == 1
    assert len(next(stream)) == 2
    with pytest.raises(InputError, match=r"shape \(1, 3\)"):
        next(stream)
    assert list(stream) == []
    assert stream_threads() == []


def test_no_more_is_read_than_the_lookahead() -> None:
    read = 0

    def camera() -> Iterator[tuple[Any, Any]]:
        nonlocal read
        for frame in moving(8):
            read += 1
            yield frame

    stream = estimator_of().stream(camera())
    assert read == 0
    for given, _ in enumerate(stream):
        assert read <= given + LOOKAHEAD
    assert read == 8


def test_an_endless_source_may_be_left() -> None:
    released = False

    def camera() -> Iterator[tuple[Any, Any]]:
        nonlocal released
        try:
            while True:
                yield FRAME, boxes_of(PERSONS)[:1]
        finally:
            released = True

    source = camera()
    stream = estimator_of().stream(source)
    next(stream)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert stream_threads() == []
    source.close()
    assert released


def test_an_error_of_the_source_is_raised() -> None:
    def camera() -> Iterator[tuple[Any, Any]]:
        yield from moving(1)
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        list(estimator_of().stream(camera()))
    assert stream_threads() == []


# threads


def test_eight_threads_give_the_serial_results() -> None:
    estimator = estimator_of(flip_test=True)
    frames = moving(6) * 4
    expected = [estimator.infer(frame, boxes) for frame, boxes in frames]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda work: estimator.infer(*work), frames))
    for one, poses in zip(expected, results, strict=True):
        same(poses, one)


@pytest.fixture
def opencv_threads() -> Iterator[None]:
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


@pytest.mark.usefixtures("opencv_threads")
def test_the_thread_budget_covers_opencv() -> None:
    estimator_of(threads=1)
    assert cv2.getNumThreads() == 1
    estimator_of(threads=2)
    assert cv2.getNumThreads() == 2
    estimator_of()
    assert cv2.getNumThreads() == 2  # left alone


# life


def test_a_closed_estimator_says_so() -> None:
    backend = SpotBackend()
    estimator = estimator_of(backend)
    estimator.close()
    estimator.close()
    assert backend.closed == 1
    for call in (
        lambda: estimator.infer(FRAME, boxes_of(PERSONS)),
        lambda: estimator.infer(FRAME, []),
        lambda: estimator.infer_batch([(FRAME, None)]),
        lambda: list(estimator.stream([(FRAME, None)])),
    ):
        with pytest.raises(BackendError, match="closed"):
            call()
    assert backend.sizes == []


@pytest.mark.parametrize(
    "crops",
    [
        np.zeros((1, 256, 192, 3), np.float32),
        np.zeros((1, 256, 192, 3), np.int64),
        np.zeros((1, 128, 96, 3), np.uint8),
        np.zeros((256, 192, 3), np.uint8),
        [[1, 2], [3, 4]],
    ],
)
def test_heatmaps_of_what_are_no_crops(crops: Any) -> None:
    with pytest.raises(InputError, match=r"crops of shape .* expected \(N, 256, 192, 3\) and uint8"):
        estimator_of().heatmaps(crops)


def test_a_refused_backend_stays_the_callers() -> None:
    class Counted(SpotBackend):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    backend = Counted()
    with pytest.raises(BackendError, match="streams 2"):
        estimator_of(backend, settings=Settings(streams=2))
    with pytest.raises(ModelSpecError, match="carries no model spec"):
        PoseEstimator("spots", backend=backend)
    assert backend.closed == 0


def test_context_manager() -> None:
    backend = SpotBackend()
    with estimator_of(backend) as estimator:
        assert_spots(estimator.infer(FRAME, boxes_of(PERSONS)), PERSONS)
        assert backend.closed == 0
    assert backend.closed == 1


def test_the_context_manager_closes_after_an_error() -> None:
    backend = SpotBackend()
    with pytest.raises(InputError), estimator_of(backend) as estimator:
        estimator.infer("frame.jpg")
    assert backend.closed == 1


def test_wrong_input_leaves_the_estimator_usable() -> None:
    estimator = estimator_of()
    for frame, boxes in ((None, None), (FRAME, "boxes"), (FRAME.astype(np.float32), None), (FRAME, [[0, 0, 0, 0]])):
        with pytest.raises(InputError):
            estimator.infer(frame, boxes)
    assert_spots(estimator.infer(FRAME, boxes_of(PERSONS)), PERSONS)


# opening


def test_without_a_spec_the_argument_is_named() -> None:
    with pytest.raises(ModelSpecError, match=r"mine\.bin carries no model spec.*spec=ModelSpec\("):
        PoseEstimator("mine.bin", backend=SpotBackend())


def test_the_given_spec_goes_before_the_files() -> None:
    assert PoseEstimator("mine", backend="null").spec == ModelSpec(name="mine")
    assert PoseEstimator("mine", backend="null", spec=SPEC).spec is SPEC


def test_a_given_spec_that_the_graph_contradicts(tiny_ir: Path) -> None:
    with PoseEstimator(tiny_ir) as estimator:
        stated = estimator.spec
    with PoseEstimator(tiny_ir, spec=replace(stated, box_padding=2.0)) as estimator:
        assert estimator.spec.box_padding == 2.0
    with pytest.raises(InputError, match=r"tiny\.xml normalises by mean .* inside its graph; give these"):
        PoseEstimator(tiny_ir, spec=replace(stated, std=(1.0, 1.0, 1.0)))


@pytest.mark.parametrize("name", ["no-such-model", "danet7", ""])
def test_an_unknown_name(name: str) -> None:
    with pytest.raises(ModelFileError, match=f"no embedded model named '{name}'.*or give a model file"):
        PoseEstimator(name)


def test_an_unknown_suffix(tmp_path: Path) -> None:
    (tmp_path / "model.doc").touch()
    with pytest.raises(ModelFileError, match=r"'\.doc' is none of \.xml, \.onnx"):
        PoseEstimator(tmp_path / "model.doc")


@pytest.mark.parametrize("name", ["model.xml", "model.onnx", "model.safetensors"])
def test_a_missing_file(name: str, tmp_path: Path) -> None:
    for path in (tmp_path / name, str(tmp_path / name)):
        with pytest.raises(ModelFileError, match=f"{name}: no such file"):
            PoseEstimator(path)


def test_a_name_that_no_system_takes(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="File name too long"):
        PoseEstimator(tmp_path / ("x" * 300 + ".xml"))


@pytest.mark.skipif(sys.platform == "win32", reason="links for few there")
def test_a_model_that_is_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "round.xml").symlink_to(tmp_path / "round.xml")
    for name in (tmp_path / "round.xml", "a\0.xml"):
        with pytest.raises(ModelFileError, match=r"round\.xml|a.*\.xml"):
            PoseEstimator(name)


def test_an_unknown_backend() -> None:
    with pytest.raises(BackendError, match="no backend named 'caffe'; there are openvino"):
        PoseEstimator("model.onnx", backend="caffe")


@pytest.mark.parametrize("junk", [object(), 3, lambda images: images, []])
def test_an_object_that_is_no_backend(junk: Any) -> None:
    with pytest.raises(BackendError, match=rf"type {type(junk).__name__}, expected a name or an object with run and c"):
        PoseEstimator("mine", spec=SPEC, backend=junk)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, r"batch_size 0, expected 1\.\.256"),
        ({"batch_size": -1}, r"batch_size -1, expected 1\.\.256"),
        ({"batch_size": 257}, r"batch_size 257, expected 1\.\.256"),
        ({"threads": 0}, "threads 0, expected 1 or more"),
        ({"threads": -2}, "threads -2"),
        ({"box_format": "yxyx"}, "'yxyx', expected one of xyxy, xywh, cxcywh"),
    ],
)
def test_arguments_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        estimator_of(**options)


def test_a_failing_source_loses_no_frame_that_it_gave_before() -> None:
    frame = np.zeros((40, 30, 3), np.uint8)

    def source() -> Iterator[tuple[NDArray[np.uint8], None]]:
        for _ in range(3):
            yield frame, None
        raise OSError("camera unplugged")

    with PoseEstimator("null", backend="null") as estimator:
        stream = estimator.stream(source())
        found = [next(stream) for _ in range(3)]
        with pytest.raises(OSError, match="camera unplugged"):
            next(stream)
    assert [len(poses) for poses in found] == [1, 1, 1]
