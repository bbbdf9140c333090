from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from danet_training.targets import (
    SoftTargets,
    coarse_loss,
    finest_loss,
    gaussian_targets,
    total_loss,
)


def at(column: float, row: float) -> Tensor:
    """The pixel index that a cell is centred on, for one keypoint of one person: (i + 0.5) * 4 - 0.5."""
    return torch.tensor([[[column * 4 + 1.5, row * 4 + 1.5]]])


# Gaussians


def test_peak_lies_on_the_centre_of_the_cell() -> None:
    target = gaussian_targets(at(3, 5), (12, 10), stride=4, sigma=4.0)[0, 0]
    assert target.shape == (12, 10)
    assert target.dtype == torch.float32
    assert target[5, 3] == 1
    # a cell is 4 pixels: exp(-16 / 32), and exp(-32 / 32) over the corner
    for row, column in ((5, 2), (5, 4), (4, 3), (6, 3)):
        assert target[row, column] == pytest.approx(math.exp(-0.5))
    assert target[4, 4] == pytest.approx(math.exp(-1))


def test_keypoint_between_two_cells() -> None:
    # pixel index 3.5 is the edge between the first two cells, whose centres are 1.5 and 5.5
    target = gaussian_targets(torch.tensor([[[3.5, 1.5]]]), (4, 4), stride=4, sigma=4.0)[0, 0]
    assert target[0, 0] == target[0, 1] == pytest.approx(math.exp(-4 / 32))


def test_cutoff_at_a_hundredth() -> None:
    target = gaussian_targets(at(5, 5), (11, 11), stride=4, sigma=4.0)[0, 0]
    assert target[5, 8] == pytest.approx(math.exp(-144 / 32))  # 0.0111
    assert target[6, 8] == 0  # exp(-160 / 32) = 0.0067
    assert target[5, 9] == 0
    assert ((target == 0) | (target >= 0.01)).all()


@pytest.mark.parametrize("sigma", [5.6, 10.4])
def test_width_is_in_pixels_at_every_stride(sigma: float) -> None:
    for stride in (2, 4, 8):
        center = 3 * stride + (stride - 1) / 2
        target = gaussian_targets(torch.tensor([[[center, center]]]), (8, 8), stride, sigma)[0, 0]
        assert target[3, 3] == 1
        assert target[3, 4] == pytest.approx(math.exp(-(stride**2) / (2 * sigma**2)), rel=1e-6)


def test_axes_are_not_mixed_up() -> None:
    keypoints = torch.cat((at(1, 7), at(6, 2)), 1)  # x first
    targets = gaussian_targets(keypoints, (9, 8), stride=4, sigma=2.0)[0]
    assert targets[0].argmax() == 7 * 8 + 1
    assert targets[1].argmax() == 2 * 8 + 6


def test_keypoint_far_outside_gives_an_empty_map() -> None:
    assert not gaussian_targets(torch.tensor([[[-500.0, 1e6]]]), (8, 8), 4, 5.6).any()


# Losses


def test_coarse_loss_is_the_weighted_mean() -> None:
    assert coarse_loss(torch.full((2, 3), 9.0), torch.tensor([[0, 0, 1.0], [1, 0.5, 0]])) == pytest.approx(9 * 2.5 / 6)


def test_finest_loss_without_mining_is_the_weighted_mean() -> None:
    weights = torch.tensor([[0, 1.0, 1], [1, 1, 0.5]])
    assert finest_loss(torch.ones(2, 3), weights, ohkm=0) == pytest.approx(4.5 / 6)


def test_ohkm_keeps_the_hardest() -> None:
    errors = torch.tensor([[1.0, 9, 4], [25, 16, 0]])
    labelled = torch.ones(2, 3)
    assert finest_loss(errors, labelled, ohkm=2) == pytest.approx((9 + 4 + 25 + 16) / 4)
    assert finest_loss(errors, labelled, ohkm=1) == pytest.approx((9 + 25) / 2)
    assert finest_loss(errors, labelled, ohkm=3) == finest_loss(errors, labelled, ohkm=0)
    # an unlabelled keypoint is never the hardest
    assert finest_loss(errors, torch.tensor([[1.0, 0, 1], [0, 1, 1]]), ohkm=1) == pytest.approx((4 + 16) / 2)


def test_gradients_reach_what_is_labelled_and_on_coarse_scales_what_is_visible() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = [torch.randn(2, 3, 4, 4, generator=generator).requires_grad_() for _ in range(4)]
    visibility = torch.tensor([[0, 1, 2], [2, 0, 1]])
    keypoints = torch.rand(2, 3, 2, generator=generator) * 16
    loss = total_loss(outputs, keypoints, visibility, (5.0,) * 4, 4, 3, 0.25, 1.0)
    *coarse, fine = torch.autograd.grad(loss, outputs)
    assert torch.equal(fine.abs().amax((2, 3)) > 0, visibility > 0)
    assert all(torch.equal(one.abs().amax((2, 3)) > 0, visibility == 2) for one in coarse)


def test_total_loss_by_hand() -> None:
    keypoints = torch.cat((at(1, 1), at(2, 2), at(3, 3)), 1)
    visibility = torch.tensor([[2, 1, 0]])
    sigmas = (4.0, 3.0, 2.0, 1.0)
    size = (6, 6)
    energy = [
        [float(gaussian_targets(keypoints[:, [k]], size, 4, sigma).square().mean()) for k in range(3)]
        for sigma in sigmas
    ]
    silent = [torch.zeros(1, 3, *size) for _ in sigmas]
    arguments = (keypoints, visibility, sigmas, 4)
    coarse = sum(energy[scale][0] / 3 for scale in range(3))
    every = (energy[3][0] + energy[3][1]) / 3
    assert total_loss(silent, *arguments, 0, 0.25, 1.0) == pytest.approx(0.25 * coarse + every)
    assert total_loss(silent, *arguments, 0, 0.25, 255.0) == pytest.approx(255**2 * (0.25 * coarse + every))
    assert total_loss(silent, *arguments, 1, 1.0, 1.0) == pytest.approx(coarse + max(energy[3][:2]))


def test_perfect_heatmaps_cost_nothing() -> None:
    keypoints = torch.rand(2, 17, 2, generator=torch.Generator().manual_seed(1)) * 40
    sigmas = (10.4, 8.0, 6.8, 5.6)
    perfect = [255 * gaussian_targets(keypoints, (10, 12), 4, sigma) for sigma in sigmas]
    labelled = torch.full((2, 17), 2)
    assert total_loss(perfect, keypoints, labelled, sigmas, 4, 8, 0.25, 255.0) == 0
    swapped = [*perfect[:2], perfect[3], perfect[2]]
    assert total_loss(swapped, keypoints, labelled, sigmas, 4, 8, 0.25, 255.0) > 1


def test_half_precision_outputs_are_compared_in_float32() -> None:
    outputs = [torch.full((1, 1, 2, 2), 0.1, dtype=torch.bfloat16) for _ in range(4)]
    loss = total_loss(outputs, at(100, 100), torch.tensor([[2]]), (1.0,) * 4, 4, 0, 0.0, 1.0)
    assert loss.dtype == torch.float32
    assert loss == pytest.approx(float(torch.tensor(0.1, dtype=torch.bfloat16)) ** 2)


# Soft targets

TAUGHT = torch.tensor([True])


def test_a_teachers_peaks_take_the_width_of_the_labels() -> None:
    teacher = 0.8 * gaussian_targets(at(6, 5), (11, 12), 4, 8.0)
    soft = SoftTargets(teacher, TAUGHT, 8.0, 0.5, 0.0)
    for sigma in (10.4, 5.6):
        expected = 0.8 * gaussian_targets(at(6, 5), (11, 12), 4, sigma)
        kept = teacher >= 0.03 * 0.8
        torch.testing.assert_close(soft.widened(sigma)[kept], expected[kept], rtol=1e-4, atol=0.008)
        assert (soft.widened(sigma)[teacher == 0] == 0).all()


def test_unlabelled_keypoints_learn_from_the_teacher_alone() -> None:
    keypoints = torch.cat((at(1, 1), at(2, 2)), 1)
    visibility = torch.tensor([[2, 0]])
    sigmas = (5.6,) * 4
    teacher = 0.5 * gaussian_targets(torch.cat((at(4, 4), at(3, 1)), 1), (6, 6), 4, 5.6)
    outputs = [gaussian_targets(keypoints, (6, 6), 4, 5.6) for _ in sigmas]
    outputs = [torch.cat((one[:, :1], teacher[:, 1:]), 1) for one in outputs]
    arguments = (outputs, keypoints, visibility, sigmas, 4, 0, 0.25, 1.0)
    # the label is the truth of keypoint 0, the teacher of keypoint 1
    assert total_loss(*arguments, SoftTargets(teacher, TAUGHT, 5.6, 0.5, 0.0)).item() == pytest.approx(0, abs=2e-5)
    assert total_loss(*arguments, SoftTargets(teacher, TAUGHT, 5.6, 0.5, 1.0)) > 0.01
    other = SoftTargets(teacher.flip(3), TAUGHT, 5.6, 0.5, 0.0)
    heavier = SoftTargets(teacher.flip(3), TAUGHT, 5.6, 1.0, 0.0)
    assert total_loss(*arguments, heavier).item() == pytest.approx(2 * total_loss(*arguments, other).item(), rel=1e-2)


def test_crops_that_are_not_taught_have_their_labels_alone() -> None:
    keypoints = torch.cat((at(1, 1), at(2, 2)), 1).repeat(2, 1, 1)
    visibility = torch.tensor([[2, 0]] * 2)
    sigmas = (5.6,) * 4
    teacher = gaussian_targets(keypoints + 8, (6, 6), 4, 5.6)
    outputs = [torch.rand(2, 2, 6, 6, generator=torch.Generator().manual_seed(1)) for _ in sigmas]

    def loss(rows: slice, soft: SoftTargets | None) -> float:
        maps = [one[rows] for one in outputs]
        return total_loss(maps, keypoints[rows], visibility[rows], sigmas, 4, 0, 0.25, 1.0, soft).item()

    def soft(rows: slice, *taught: bool) -> SoftTargets:
        return SoftTargets(teacher[rows], torch.tensor(taught), 5.6, 0.5, 0.5)

    first, second = slice(0, 1), slice(1, 2)
    assert loss(second, soft(second, False)) == loss(second, None)
    assert loss(first, soft(first, True)) != pytest.approx(loss(first, None), rel=1e-3)
    both = loss(slice(0, 2), soft(slice(0, 2), True, False))
    assert both == pytest.approx((loss(first, soft(first, True)) + loss(second, None)) / 2, rel=1e-5)
