from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from danet.keypoints import COCO_KEYPOINTS
from danet.model_spec import ModelSpec
from danet_training.augment import half_body_box, make_sample, mirror
from danet_training.config import Augmentation, Source
from danet_training.dataset import Samples, open_source

SPEC = ModelSpec("spec", mean=(0.0, 0.0, 0.0))
STILL = Augmentation(rotation_probability=0.0, scale=(1.0, 1.0), flip_probability=0.0, half_body_probability=0.0)
BOX = np.array([340.0, 300.0, 460.0, 500.0])
SEEN = np.full(17, 2, np.int8)


@pytest.fixture
def keypoints() -> NDArray[np.float32]:
    """Somewhere in BOX, all different, left and right on their sides."""
    rng = np.random.default_rng(3)
    return rng.uniform((360, 320), (440, 480), (17, 2)).astype(np.float32)


def painted(point: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A dark picture with a bright disc around a point, drawn to a fraction of a pixel."""
    y, x = np.mgrid[:800, :800]
    distance = np.hypot(x - point[0], y - point[1])
    return np.repeat((np.clip(9 - distance, 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)


def found(crop: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Where the disc lies: the centroid of the light."""
    light = crop[..., 0].astype(np.float64)
    y, x = np.mgrid[: crop.shape[0], : crop.shape[1]]
    assert light.sum() > 1000, "the marker is not on the crop"
    return np.array([(light * x).sum(), (light * y).sum()]) / light.sum()


def sample(
    image: Any, keypoints: Any, options: Augmentation, seed: int = 0, visibility: Any = SEEN, **more: Any
) -> Any:
    rng = np.random.default_rng(seed)
    arguments = {"box": BOX, "spec": SPEC, **more}
    return make_sample(image, arguments["box"], keypoints, visibility, arguments["spec"], options, rng)


# Keypoints follow pixels


@pytest.mark.parametrize(
    "options",
    [
        STILL,
        replace(STILL, rotation_probability=1.0),
        replace(STILL, scale=(0.75, 1.35)),
        replace(STILL, shift=0.1),
        replace(STILL, rotation_probability=1.0, scale=(0.8, 1.35), shift=0.05, rotation=30.0),
    ],
    ids=["still", "turned", "scaled", "shifted", "all"],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_keypoints_follow_pixels(options: Augmentation, seed: int, keypoints: NDArray[np.float32]) -> None:
    places = []
    for index in (0, 9, 16):
        result = sample(painted(keypoints[index]), keypoints, options, seed)
        assert result.image.shape == (256, 192, 3)
        if not np.all((result.keypoints[index] > 15) & (result.keypoints[index] < (177, 241))):
            continue  # the disc may be cut by the crop's edge
        np.testing.assert_allclose(found(result.image), result.keypoints[index], atol=0.15)
        places.append(index)
    assert len(places) >= 2


def test_still_crop_by_hand(keypoints: NDArray[np.float32]) -> None:
    # the box 120 x 200 padded by 1.25 is 150 x 250, extended to 3:4: 187.5 x 250; 192 crop pixels to its width
    result = sample(painted(keypoints[0]), keypoints, STILL)
    scale = 192 / 187.5
    expected = (keypoints + 0.5 - (400 - 187.5 / 2, 400 - 125)) * scale - 0.5
    np.testing.assert_allclose(result.keypoints, expected, atol=1e-3)
    assert (result.visibility == 2).all()


def test_turn_is_within_its_limit_and_goes_both_ways(keypoints: NDArray[np.float32]) -> None:
    options = replace(STILL, rotation_probability=1.0, rotation=30.0)
    picture = np.zeros((8, 8, 3), np.uint8)
    still = sample(picture, keypoints, STILL).keypoints
    way = still[1] - still[0]
    angles = []
    for seed in range(60):
        turned = sample(picture, keypoints, options, seed).keypoints
        now = turned[1] - turned[0]
        assert np.hypot(*now) == pytest.approx(np.hypot(*way), rel=1e-3)
        angles.append(np.degrees(np.arctan2(way[0] * now[1] - way[1] * now[0], way @ now)))
    assert max(np.abs(angles)) <= 30.01
    assert min(angles) < -20
    assert max(angles) > 20


def test_scale_is_within_its_limits(keypoints: NDArray[np.float32]) -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    still = np.ptp(sample(picture, keypoints, STILL).keypoints, axis=0)
    options = replace(STILL, scale=(0.7, 1.35))
    # a factor on the box: the person becomes larger on the crop as the box shrinks
    factors = [
        float((still / np.ptp(sample(picture, keypoints, options, seed).keypoints, axis=0))[0]) for seed in range(80)
    ]
    assert 0.7 - 1e-3 <= min(factors) < 0.75
    assert 1.28 < max(factors) <= 1.35 + 1e-3


# Flip


def partner(name: str) -> int:
    swapped = name.replace("left", "?").replace("right", "left").replace("?", "right")
    return COCO_KEYPOINTS.index(swapped)


@pytest.mark.parametrize("index", [0, 1, 9, 16])
def test_flip_swaps_left_and_right(index: int, keypoints: NDArray[np.float32]) -> None:
    visibility = np.arange(17).astype(np.int8) % 2 + 1
    other = partner(COCO_KEYPOINTS[index])
    result = sample(painted(keypoints[index]), keypoints, replace(STILL, flip_probability=1.0), visibility=visibility)
    # what was the left wrist is on the mirrored picture the right wrist
    np.testing.assert_allclose(found(result.image), result.keypoints[other], atol=0.15)
    assert result.visibility[other] == visibility[index]
    still = sample(painted(keypoints[index]), keypoints, STILL)
    np.testing.assert_array_equal(result.image, still.image[:, ::-1])
    assert result.keypoints[other][0] == pytest.approx(191 - still.keypoints[index][0], abs=1e-3)


def test_mirror_twice_is_nothing(keypoints: NDArray[np.float32]) -> None:
    crop = np.random.default_rng(0).integers(0, 256, (256, 192, 3), np.uint8)
    points, visibility = keypoints - 300, np.arange(17).astype(np.int8)
    once = mirror(crop, points, visibility, SPEC)
    assert not np.array_equal(once[1], points)
    for left, right in zip(mirror(*once, SPEC), (crop, points, visibility), strict=True):
        np.testing.assert_allclose(left, right, atol=1e-4)


def test_flip_happens_half_of_the_time(keypoints: NDArray[np.float32]) -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    still = sample(picture, keypoints, STILL).keypoints
    options = replace(STILL, flip_probability=0.5)
    flips = sum(not np.allclose(sample(picture, keypoints, options, seed).keypoints, still) for seed in range(200))
    assert 70 < flips < 130


# Half body


def standing() -> NDArray[np.float32]:
    """A person of 160 pixels whose parts lie one below the other."""
    y = [310, 306, 306, 308, 308, 330, 330, 360, 360, 385, 385, 390, 390, 430, 430, 470, 470]
    x = [400, 404, 396, 410, 390, 425, 375, 430, 370, 432, 368, 415, 385, 417, 383, 418, 382]
    return np.column_stack((x, y)).astype(np.float32)


def test_half_body_boxes_hold_a_part_of_the_body() -> None:
    points = standing()
    parts = {"upper": range(13), "bust": range(9), "lower": range(11, 17)}
    counts = dict.fromkeys(parts, 0)
    for seed in range(300):
        box = half_body_box(points, SEEN, np.random.default_rng(seed))
        assert box is not None
        for name, part in parts.items():
            low, high = points[list(part)].min(0) + 0.5, points[list(part)].max(0) + 0.5
            margin = 0.15 * (high - low).max()
            if np.allclose(box, [*(low - margin), *(high + margin)], atol=1e-3):
                counts[name] += 1
    assert sum(counts.values()) == 300
    assert min(counts.values()) > 40


def test_half_body_looks_at_labelled_keypoints_only() -> None:
    points, visibility = standing(), SEEN.copy()
    points[[1, 14]] = 0
    visibility[[1, 14]] = 0  # COCO writes (0, 0) for an unlabelled keypoint
    for seed in range(30):
        box = half_body_box(points, visibility, np.random.default_rng(seed))
        assert box is not None
        assert box.min() > 250


def test_half_body_needs_three_keypoints(keypoints: NDArray[np.float32]) -> None:
    visibility = np.zeros(17, np.int8)
    visibility[[0, 16]] = 2
    picture = np.random.default_rng(0).integers(0, 256, (800, 800, 3), np.uint8)
    for seed in range(10):
        assert half_body_box(keypoints, visibility, np.random.default_rng(seed)) is None
    always = sample(picture, keypoints, replace(STILL, half_body_probability=1.0), visibility=visibility)
    never = sample(picture, keypoints, STILL, visibility=visibility)
    np.testing.assert_array_equal(always.image, never.image)


def test_half_body_crop_shows_the_part_large() -> None:
    points = standing()
    result = sample(painted(points[0]), points, replace(STILL, half_body_probability=1.0), seed=4)
    whole = sample(painted(points[0]), points, STILL)
    assert np.ptp(result.keypoints[:, 1]) > 1.2 * np.ptp(whole.keypoints[:, 1])
    shown = result.visibility > 0
    assert 6 <= shown.sum() < 17
    assert ((result.keypoints[shown] > -0.5) & (result.keypoints[shown] < (191.5, 255.5))).all()


# Visibility


def test_keypoints_outside_the_crop_are_unlabelled(keypoints: NDArray[np.float32]) -> None:
    visibility = np.array([0, 1, 2] * 5 + [2, 2], np.int8)
    still = sample(np.zeros((8, 8, 3), np.uint8), keypoints, STILL, visibility=visibility)
    np.testing.assert_array_equal(still.visibility, visibility)
    box = np.array([400.0, 300.0, 640.0, 620.0])  # the crop starts at 400 - 0.125 * 240 = 370 and at 260
    cut = sample(np.zeros((8, 8, 3), np.uint8), keypoints, STILL, visibility=visibility, box=box)
    inside = keypoints[:, 0] > 369.5
    assert 3 < inside.sum() < 17
    np.testing.assert_array_equal(cut.visibility, np.where(inside, visibility, 0))


# Pixels


def test_colour_changes_leave_the_geometry(keypoints: NDArray[np.float32]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    picture = np.asarray(cv2.resize(noise, (800, 800)))
    still = sample(picture, keypoints, STILL)
    for options in (replace(STILL, color_jitter=0.3), replace(STILL, degrade_probability=1.0)):
        for seed in range(6):
            result = sample(picture, keypoints, options, seed)
            assert (result.image.dtype, result.image.shape) == (np.uint8, still.image.shape)
            assert not np.array_equal(result.image, still.image)
            np.testing.assert_array_equal(result.keypoints, still.keypoints)
            # not moved: light lies where light lay
            light, before = (np.asarray(one, np.float64).mean(2) for one in (result.image, still.image))
            assert np.corrcoef(light.ravel(), before.ravel())[0, 1] > 0.8


def test_no_change_of_pixels_unless_asked(keypoints: NDArray[np.float32]) -> None:
    picture = np.full((800, 800, 3), (10, 100, 200), np.uint8)
    assert (sample(picture, keypoints, replace(STILL, rotation_probability=1.0)).image == (10, 100, 200)).all()


def test_outside_the_picture_is_the_mean_colour(keypoints: NDArray[np.float32]) -> None:
    spec = replace(SPEC, mean=(103.53, 116.28, 123.675))
    picture = np.full((400, 800, 3), 255, np.uint8)
    image = sample(picture, keypoints, STILL, spec=spec).image
    assert (image[:100] == 255).all()
    assert (image[-100:] == (104, 116, 124)).all()


# Determinism


def test_same_seed_same_sample(keypoints: NDArray[np.float32]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (800, 800, 3), np.uint8)
    options = Augmentation(color_jitter=0.3, degrade_probability=1.0, shift=0.1)
    first, again, other = (sample(picture, keypoints, options, seed) for seed in (5, 5, 6))
    for field in ("image", "keypoints", "visibility"):
        np.testing.assert_array_equal(getattr(first, field), getattr(again, field))
    assert not np.array_equal(first.image, other.image)


@pytest.fixture
def samples(coco_folder: Path) -> Samples:
    entries = Source("coco", weight=3.0, folder=str(coco_folder)), Source("rendered", taught=False)
    spec = replace(SPEC, input_size=(64, 64))
    return Samples(tuple(map(open_source, entries)), entries, spec, Augmentation(), seed=1)


IN_PARTS = """
import hashlib, sys
from dataclasses import replace
from danet.model_spec import ModelSpec
from danet_training.config import Augmentation, Source
from danet_training.dataset import Numbers, Samples, open_source, sample_loader

entries = Source("coco", weight=3.0, folder=sys.argv[1]), Source("rendered", taught=False)
spec = replace(ModelSpec("spec", mean=(0.0, 0.0, 0.0)), input_size=(64, 64))
samples = Samples(tuple(map(open_source, entries)), entries, spec, Augmentation(), seed=1)
for first, workers in (map(int, run.split(",")) for run in sys.argv[2:]):
    for parts in sample_loader(samples, Numbers(first, 22, 1), batch=4, workers=workers):
        content = b"".join(part.numpy().tobytes() for part in parts)
        print(first, workers, tuple(parts[0].shape), hashlib.sha256(content).hexdigest(), sep="|")
"""


@pytest.mark.long
def test_sample_is_the_same_with_any_workers(coco_folder: Path) -> None:
    # In processes of their own, as `danet train` is: this one holds the thread pools of all backends that
    # earlier tests opened, and a CI run once died of SIGSEGV when workers were forked from it.
    batches: dict[tuple[str, str], list[str]] = {}
    for parts in (["10,0", "10,2"], ["14,0"]):
        command = [sys.executable, "-c", IN_PARTS, coco_folder, *parts]
        done = subprocess.run(command, text=True, capture_output=True, timeout=120, check=True)
        for first, workers, shape, digest in (line.split("|") for line in done.stdout.splitlines()):
            assert shape == "(4, 64, 64, 3)"
            batches.setdefault((first, workers), []).append(digest)
    alone = batches["10", "0"]
    assert len(set(alone)) == 3
    assert batches["10", "2"] == alone
    assert batches["14", "0"] == alone[1:]


def test_samples_know_whether_their_source_is_taught(samples: Samples) -> None:
    photos = [np.random.default_rng((1, number)).random() < 0.75 for number in range(24)]
    assert [bool(samples[number][3]) for number in range(24)] == photos
    assert {True, False} == set(photos)


def test_seed_of_the_run_changes_every_sample(samples: Samples) -> None:
    entries = Source("coco", weight=3.0), Source("rendered")
    other = Samples(samples.sources, entries, samples.spec, samples.options, seed=2)
    assert not any(torch.equal(samples[number][0], other[number][0]) for number in range(5))


def test_cached_pictures_are_the_same(coco_folder: Path) -> None:
    entries = [Source("coco", folder=str(coco_folder), cache=cache) for cache in (False, True)]
    plain, cached = (Samples((open_source(entry),), (entry,), SPEC, STILL, 0) for entry in entries)
    for number in range(4):
        assert torch.equal(plain[number][0], cached[number][0])
