from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from danet.crop import crop_persons, similarity_affines
from danet.errors import BackendError
from danet.model_spec import ModelSpec
from danet.scenes.scene import render_scene
from danet_network.config import danet_config
from danet_network.zoo import preset_spec
from danet_training.augment import PARTS, half_body_box, make_sample
from danet_training.config import Augmentation, Phase, Source, TrainConfig
from danet_training.device_augment import DeviceAugmenter, Persons
from danet_training.device_samples import DeviceSamples
from danet_training.picture_store import PictureStore
from danet_training.processes import Processes
from danet_training.scene_pool import GROUP, ScenePool

CPU = torch.device("cpu")
SPEC = replace(preset_spec(danet_config("danet72")), box_padding=1.25)
STILL = Augmentation(rotation_probability=0, scale=(1, 1), flip_probability=0, half_body_probability=0, color_jitter=0)


class _Shown:
    """A picture that lies in memory."""

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self.image = image

    def read(self) -> NDArray[np.uint8]:
        return self.image


@pytest.fixture(scope="module")
def scenes() -> list[Any]:
    return [render_scene(seed, size, persons=2) for seed, size in ((1, (200, 160)), (2, (90, 250)), (3, (160, 160)))]


def _persons(scenes: list[Any]) -> tuple[Persons, PictureStore]:
    rows = [(number, person) for number, scene in enumerate(scenes) for person in range(len(scene.boxes))]
    store = PictureStore.read([_Shown(scene.image) for scene in scenes], CPU)
    return Persons(
        torch.tensor([number for number, _ in rows]),
        torch.from_numpy(np.stack([scenes[number].boxes[person] for number, person in rows])).double(),
        torch.from_numpy(np.stack([scenes[number].keypoints[person] for number, person in rows])).double(),
        torch.from_numpy(np.stack([scenes[number].visibility[person] for number, person in rows])),
    ), store


def _augmenter(options: Augmentation, seed: int = 0, spec: ModelSpec = SPEC) -> DeviceAugmenter:
    return DeviceAugmenter(spec, options, torch.Generator().manual_seed(seed))


@settings(max_examples=40, deadline=None)
@given(
    picture=st.integers(0, 2),
    center=st.tuples(st.floats(-40, 300), st.floats(-40, 300)),
    width=st.floats(12, 600),
    angle=st.floats(-3.2, 3.2),
)
def test_crops_are_those_of_opencv(
    scenes: list[Any], picture: int, center: tuple[float, float], width: float, angle: float
) -> None:
    """OpenCV interpolates at 32 places between two pixels: half of such a step times the largest slope, twice."""
    store = PictureStore.read([_Shown(scene.image) for scene in scenes], CPU)
    affines = similarity_affines(np.array([center]), np.array([width]), SPEC, np.array([angle]))
    expected = crop_persons(scenes[picture].image, affines, SPEC)[0].astype(np.float32)
    border = torch.tensor([float(round(value)) for value in SPEC.mean])
    found = store.crops(torch.tensor([picture]), torch.from_numpy(affines), SPEC.input_size, border)[0].numpy()
    differences = np.abs(found - expected)
    assert differences.max() <= 255 / 32 + 1
    assert differences.mean() < 1


def test_a_picture_that_is_put_into_the_store_replaces_one() -> None:
    store = PictureStore.empty(3, (4, 5), CPU)
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3)).astype(np.uint8)
    store.put(1, images)
    identity = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]] * 3, dtype=torch.float64)
    crops = store.crops(torch.arange(3), identity, (4, 5), torch.zeros(3)).numpy()
    np.testing.assert_array_equal(crops, [np.zeros((4, 5, 3)), *images])


@pytest.mark.parametrize("flipped", [0.0, 1.0])
def test_unchanged_samples_are_those_of_the_workers(scenes: list[Any], flipped: float) -> None:
    options = replace(STILL, flip_probability=flipped)
    persons, store = _persons(scenes)
    images, points, seen = _augmenter(options)(persons, store)
    rng = np.random.default_rng(0)
    for row, number in enumerate(persons.pictures.tolist()):
        given_person = persons.chosen(torch.tensor([row]))
        sample = make_sample(
            scenes[number].image,
            given_person.boxes[0].numpy(),
            given_person.keypoints[0].numpy().astype(np.float32),
            given_person.visibility[0].numpy(),
            SPEC,
            options,
            rng,
        )
        np.testing.assert_allclose(points[row].numpy(), sample.keypoints, atol=1e-3)
        np.testing.assert_array_equal(seen[row].numpy(), sample.visibility)
        assert np.abs(images[row].numpy().astype(int) - sample.image).mean() < 1


def test_dots_stay_under_their_keypoints() -> None:
    """Whatever is drawn, a dot on the picture is where the keypoint says, and flipped ones have the other name."""
    rng = np.random.default_rng(5)
    image = np.zeros((240, 200, 3), np.uint8)
    keypoints = np.stack((rng.permutation(17) * 8 + 30, rng.permutation(17) * 9 + 40), 1).astype(np.float64)
    for row, (x, y) in enumerate(keypoints.astype(int).tolist()):
        cv2.circle(image, (x, y), 2, (0, 100 + 9 * row, 0), -1)
    count = 64
    persons = Persons(
        torch.zeros(count, dtype=torch.int64),
        torch.tensor([[20.0, 30, 180, 200]], dtype=torch.float64).repeat(count, 1),
        torch.from_numpy(keypoints).repeat(count, 1, 1),
        torch.full((count, 17), 2, dtype=torch.int8),
    )
    options = Augmentation(scale=(0.9, 1.35), shift=0.1, half_body_probability=0.3)
    images, points, seen = _augmenter(options, 3)(persons, PictureStore.read([_Shown(image)], CPU))
    plain, turned = 0, 0
    for crop, where, visible in zip(images.numpy(), points.numpy(), seen.numpy(), strict=True):
        shades = np.full(17, np.nan)
        for row in np.flatnonzero(visible):
            x, y = np.rint(where[row]).astype(int)
            if 2 <= x < 190 and 2 <= y < 254:
                shades[row] = crop[y, x, 1]
        known = np.isfinite(shades)
        own, other = 100 + 9 * np.arange(17), 100 + 9 * np.asarray(SPEC.flip_order)
        matches = [np.abs(shades - expected)[known].max(initial=0) <= 6 for expected in (own, other)]
        assert any(matches)
        if known.sum() > 8:
            plain, turned = plain + matches[0], turned + matches[1]
    assert plain > 10
    assert turned > 10


def test_half_bodies_are_those_of_the_workers(scenes: list[Any]) -> None:
    persons, _ = _persons(scenes)
    many = persons.chosen(torch.arange(len(persons.boxes)).repeat(40))
    boxes = _augmenter(replace(STILL, half_body_probability=1), 1)._boxes(many).numpy()
    for row in range(len(persons.boxes)):
        expected = set()
        for part in range(len(PARTS)):
            box = half_body_box(
                persons.keypoints[row].numpy().astype(np.float32), persons.visibility[row].numpy(), _Chosen(part)
            )
            expected.add(tuple(np.round(persons.boxes[row].numpy() if box is None else box, 3)))
        found = {tuple(np.round(box, 3)) for box in boxes[row :: len(persons.boxes)]}
        assert found == expected


class _Chosen:
    """A random generator that chooses one part."""

    def __init__(self, part: int) -> None:
        self.part = part

    def choice(self, count: int, p: tuple[float, ...]) -> int:
        del count, p
        return self.part


def test_colours_change_by_their_strength(scenes: list[Any]) -> None:
    persons, store = _persons(scenes)
    small = replace(SPEC, input_size=(64, 64))
    many = persons.chosen(torch.zeros(300, dtype=torch.int64))
    still = _augmenter(STILL, 0, small)(many, store)[0].double()
    images = _augmenter(replace(STILL, color_jitter=0.2), 0, small)(many, store)[0].double()
    brightness = (images - still).mean((1, 2, 3))
    assert 5 < brightness.std() < 40
    grey = ((images[..., 0] - images[..., 2]).abs().amax((1, 2)) < 40).double().mean()
    assert grey > 0.03
    torch.testing.assert_close(_augmenter(STILL, 9, small)(many, store)[0].double(), still)


@pytest.fixture
def pool() -> Any:
    pool = ScenePool(4 * GROUP, 2, (7,), CPU)
    yield pool
    pool.close()


@pytest.mark.long
def test_pool_is_filled_and_renewed(pool: ScenePool) -> None:
    pool.refresh(at_least=2 * GROUP)
    first = pool.store.pixels.clone()
    generator = torch.Generator().manual_seed(0)
    persons = pool.draw(200, generator)
    assert persons.pictures.max() < pool.filled
    assert (persons.boxes[:, 2:] > persons.boxes[:, :2]).all()
    assert (persons.visibility > 0).any(1).all()
    images, points, seen = _augmenter(STILL)(persons, pool.store)
    assert images.float().std((1, 2, 3)).min() > 1
    inside = points[seen > 0]
    assert ((inside > -0.5) & (inside < torch.tensor([191.5, 255.5]))).all()
    end = time.monotonic() + 60
    while pool.rendered < 6 * GROUP and time.monotonic() < end:
        pool.refresh()
        time.sleep(0.01)
    assert pool.rendered >= 6 * GROUP
    assert not torch.equal(first[: GROUP * 320 * 320], pool.store.pixels[: GROUP * 320 * 320])


@pytest.mark.long
def test_ended_renderers_are_told_of(pool: ScenePool) -> None:
    pool.refresh(at_least=GROUP)
    for process in pool._renderers:
        process.kill()
        process.join()
    with pytest.raises(BackendError, match=r"renderer 0 .*renderer 1"):
        _refresh_often(pool)


def _refresh_often(pool: ScenePool) -> None:
    """What was handed over before is still taken."""
    for _ in range(100):
        pool.refresh(at_least=4 * GROUP)


@pytest.fixture
def config(coco_folder: Path) -> TrainConfig:
    return TrainConfig(
        network="danet72",
        preset="paper",
        sources=(Source("coco", folder=str(coco_folder), weight=3), Source("rendered", weight=1, taught=False)),
        phases=(Phase((64, 64), 64, batch=8, micro_batch=4),),
        crops="device",
        pool_scenes=2 * GROUP,
    )


@pytest.mark.long
def test_batches_of_a_process(config: TrainConfig) -> None:
    samples = DeviceSamples(config, SPEC, CPU, Processes(rank=1, count=2))
    try:
        batches = list(samples.batches(config.phases[0], 8, 64, 4))
    finally:
        samples.close()
    assert [len(batch[0]) for batch in batches] == [4] * 7  # 7 steps of 8, half of each for this process
    images, points, seen, _ = batches[0]
    assert (images.shape, images.dtype) == ((4, 64, 64, 3), torch.uint8)
    assert (points.shape, points.dtype, seen.shape, seen.dtype) == ((4, 17, 2), torch.float32, (4, 17), torch.int8)
    assert not torch.equal(images, batches[1][0])
    taught = torch.stack([batch[3] for batch in batches])
    assert taught.dtype == torch.bool
    assert taught.any()
    assert not taught.all()
