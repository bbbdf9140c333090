"""A trained network whose heatmaps a smaller one learns from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from danet.errors import InputError
from danet.estimator import PoseEstimator
from danet.model_spec import ModelSpec
from danet.tuning.settings import Settings
from danet_network.model import STRIDE
from danet_training.config import Teacher
from danet_training.targets import SoftTargets


class HeatmapTeacher:
    """Heatmaps of any model file that PoseEstimator opens, for crops of its own size.

    Distillation as FPD has it (Zhang, Zhu & Ye, 2019): the student regresses the teacher's heatmaps.
    The teacher runs on the CPU, as everything that PoseEstimator opens. A network without a ModelSpec,
    such as PP-TinyPose, gets one by `danet benchmark --foreign`, which leaves the new file behind.

    Args:
        config: the file, and what of its heatmaps the spec does not tell.
        student: keypoints must be the same; the crop recipe is the student's.
        sizes: (height, width) of crops that the student is trained on, beside that of its spec.

    Raises:
        InputError: other keypoints, another stride, other places of the cells or another aspect than the student's.
        ModelFileError, ModelSpecError, MissingExtraError: as PoseEstimator.
    """

    def __init__(self, config: Teacher, student: ModelSpec, sizes: Iterable[tuple[int, int]] = ()) -> None:
        self.config = config
        self.estimator = PoseEstimator(config.model, batch_size=_BATCH, settings=Settings())
        spec = self.estimator.spec
        if wrong := _unlike(spec, student, [student.input_size, *sizes]):
            self.estimator.close()
            raise InputError(f"teacher {config.model} has {wrong}")

    def __call__(self, images: Tensor, taught: Tensor) -> SoftTargets:
        """Soft targets on the images' device.

        Args:
            images: crops (N, H, W, 3) uint8 BGR on any device and of any size.
            taught: (N,) bool on the same device; the teacher sees no other crops.
        """
        height, width = images.shape[1:3]
        size = height // STRIDE, width // STRIDE
        heatmaps = torch.zeros((len(images), len(self.estimator.spec.keypoints), *size), device=images.device)
        if taught.any():
            crops = resized(images[taught], self.estimator.spec.input_size)
            answers = torch.from_numpy(self.estimator.heatmaps(crops.cpu().numpy())).to(images.device)
            heatmaps[taught] = resampled(answers / self.estimator.spec.decoder.heatmap_peak, size)
        # peaks keep their width in cells of the teacher, whose crop may be larger than the student's
        sigma = self.config.sigma * height / self.estimator.spec.input_size[0]
        return SoftTargets(heatmaps, taught, sigma, self.config.unlabelled_weight, self.config.labelled_share)


def _unlike(teacher: ModelSpec, student: ModelSpec, sizes: Iterable[tuple[int, int]]) -> str | None:
    """What of a teacher's heatmaps would not lie on the student's, and what was expected."""
    if teacher.keypoints != student.keypoints or teacher.stride != STRIDE:
        return (
            f"{len(teacher.keypoints)} keypoints at stride {teacher.stride}, "
            f"expected the student's {len(student.keypoints)} at stride {STRIDE}"
        )
    if teacher.decoder.flip_shift != student.decoder.flip_shift:
        return (
            f"its cells elsewhere (flip_shift {teacher.decoder.flip_shift}), expected {student.decoder.flip_shift} as "
            "the student's; danet_benchmarks.foreign.wrap_foreign writes a file whose cells are centred"
        )
    its_height, its_width = teacher.input_size
    for height, width in sizes:
        if height * its_width != width * its_height:
            return f"crops of {its_height}x{its_width}, expected the aspect of the student's {height}x{width}"
    return None


_BATCH = 8
"""Largest of the runtime's batch sizes that still gains."""


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, *size, 3) uint8, bilinear, pixel edges on pixel edges."""
    if tuple(images.shape[1:3]) == size:
        return images
    planes = images.permute(0, 3, 1, 2).float()
    scaled = F.interpolate(planes, size, mode="bilinear", antialias=True)
    return scaled.round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous()


def resampled(heatmaps: Tensor, size: tuple[int, int]) -> Tensor:
    """Heatmaps (N, K, h, w) on another grid of cells over the same crop, bilinear: (N, K, *size)."""
    if tuple(heatmaps.shape[2:]) == size:
        return heatmaps
    return F.interpolate(heatmaps, size, mode="bilinear", antialias=True)


def open_teacher(
    config: Teacher | None, student: ModelSpec, sizes: Iterable[tuple[int, int]] = ()
) -> HeatmapTeacher | None:
    """The teacher of a run, or None. Raises what HeatmapTeacher does, and InputError for a missing file."""
    if config is None:
        return None
    if Path(config.model).suffix and not Path(config.model).is_file():
        raise InputError(f"teacher {config.model}: no such file")
    return HeatmapTeacher(config, student, sizes)
