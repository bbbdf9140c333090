from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from danet.errors import InputError
from danet.keypoints import left_right_pairs
from danet_network.checkpoint import load_checkpoint, save_checkpoint
from danet_network.config import DANetConfig
from danet_network.model import DANet
from danet_network.zoo import preset_spec
from danet_training.config import Teacher
from danet_training.targets import gaussian_targets
from danet_training.teacher import HeatmapTeacher, open_teacher, resampled, resized


@pytest.fixture
def checkpoint(tiny_config: DANetConfig, random_network: Callable[..., DANet], tmp_path: Path) -> Path:
    config = replace(tiny_config, name="danet72")
    path = tmp_path / "teacher.safetensors"
    save_checkpoint(path, random_network(config), replace(preset_spec(config), input_size=(128, 96)))
    return path


def crops(size: tuple[int, int]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randint(0, 256, (3, *size, 3), generator=generator, dtype=torch.uint8)


def test_a_larger_danet_teaches_with_its_own_heatmaps(checkpoint: Path) -> None:
    teacher = HeatmapTeacher(
        Teacher(str(checkpoint), unlabelled_weight=0.25, labelled_share=0.5), load_checkpoint(checkpoint)[1]
    )
    images = crops((128, 96))
    taught = torch.tensor([True, False, True])
    soft = teacher(images, taught)
    runner = teacher.estimator
    expected = runner.heatmaps(images[taught].numpy()) / runner.spec.decoder.heatmap_peak
    np.testing.assert_array_equal(soft.heatmaps[taught].numpy(), expected)
    assert not soft.heatmaps[1].any()
    assert soft.taught is taught
    assert not teacher(images, ~torch.ones(3, dtype=torch.bool)).heatmaps.any()
    assert (soft.sigma, soft.unlabelled_weight, soft.labelled_share) == (5.6, 0.25, 0.5)


def test_a_student_with_smaller_crops(checkpoint: Path) -> None:
    teacher = HeatmapTeacher(Teacher(str(checkpoint), sigma=8.0), load_checkpoint(checkpoint)[1])
    soft = teacher(crops((64, 64)), torch.ones(3, dtype=torch.bool))
    assert soft.heatmaps.shape == (3, 17, 16, 16)
    assert soft.sigma == 4.0  # half the crop, half the pixels


def test_half_the_grid_keeps_the_place_of_a_peak() -> None:
    heatmaps = gaussian_targets(torch.tensor([[[21.5, 13.5]]]), (8, 12), 4, 8.0)  # of a crop of 32 x 48
    half = resampled(heatmaps, (4, 6))
    assert half.shape == (1, 1, 4, 6)
    # half the crop has its keypoint at (p + 0.5) / 2 - 0.5
    expected = gaussian_targets(torch.tensor([[[10.5, 6.5]]]), (4, 6), 4, 4.0)
    assert half.flatten().argmax() == expected.flatten().argmax() == 1 * 6 + 2
    assert (half - expected).abs().max() < 0.25  # averaged over neighbours: lower and wider
    assert resampled(heatmaps, (8, 12)) is heatmaps


def test_crops_keep_their_edges() -> None:
    images = torch.zeros(1, 4, 4, 3, dtype=torch.uint8)
    images[:, :, 2:] = 200
    large = resized(images, (8, 8))
    assert large.dtype == torch.uint8
    assert large.shape == (1, 8, 8, 3)
    assert (large[0, :, :3] == 0).all()
    assert (large[0, :, 5:] == 200).all()
    assert resized(images, (4, 4)) is images


def test_teachers_that_cannot_teach(checkpoint: Path) -> None:
    spec = load_checkpoint(checkpoint)[1]
    reversed_names = tuple(reversed(spec.keypoints))
    other = replace(spec, keypoints=reversed_names, flip_pairs=left_right_pairs(reversed_names))
    with pytest.raises(InputError, match="17 keypoints at stride 4, expected the student's 17"):
        HeatmapTeacher(Teacher(str(checkpoint)), other)
    with pytest.raises(InputError, match="crops of 128x96, expected the aspect of the student's 64x64"):
        HeatmapTeacher(Teacher(str(checkpoint)), replace(spec, input_size=(64, 64)))
    with pytest.raises(InputError, match="crops of 128x96, expected the aspect of the student's 96x96"):
        open_teacher(Teacher(str(checkpoint)), spec, [(96, 96), spec.input_size])  # of an earlier phase
    shifted = replace(spec, decoder=replace(spec.decoder, flip_shift=1))
    with pytest.raises(InputError, match=r"cells elsewhere \(flip_shift 0\), expected 1 as the student's"):
        HeatmapTeacher(Teacher(str(checkpoint)), shifted)
    with pytest.raises(InputError, match="no such file"):
        open_teacher(Teacher(str(checkpoint.with_name("none.xml"))), other)
    assert open_teacher(None, other) is None
