"""How far faster arithmetic moves keypoints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from danet.crop import crop_affines, crop_persons
from danet.decode import decode
from danet.estimator import PoseEstimator
from danet.model_spec import ModelSpec
from danet.scenes.scene import render_scene

SCENES, PERSONS = 24, 3
"""Some 700 visible keypoints, so that one is far less than the share that is allowed."""
SCENE_SIZE = (320, 320)
FIRST_SEED = 5_000
VISIBLE = 2
MOST_MOVED = 0.01
"""Largest share of moved keypoints that is chosen by default; docs/tuning.md says why."""


@dataclass(frozen=True)
class Sample:
    """Crops of rendered persons."""

    crops: NDArray[np.uint8]
    """(N, H, W, 3) uint8 BGR."""
    visible: NDArray[np.bool_]
    """(N, 17): the hidden ones are guesses in any arithmetic."""


def render_sample(spec: ModelSpec) -> Sample:
    """The same persons on every machine, in the model's crop; pixels as OpenCV's build there rounds them."""
    scenes = [render_scene(FIRST_SEED + index, SCENE_SIZE, PERSONS) for index in range(SCENES)]
    crops = [crop_persons(scene.image, crop_affines(scene.boxes.astype(np.float64), spec), spec) for scene in scenes]
    return Sample(np.concatenate(crops), np.concatenate([scene.visibility for scene in scenes]) == VISIBLE)


def find_keypoints(estimator: PoseEstimator, sample: Sample) -> NDArray[np.float32]:
    """Keypoints (N, K, 2) in pixels of the crops."""
    return decode(estimator.heatmaps(sample.crops), estimator.spec)[0]


def moved_share(reference: NDArray[np.float32], keypoints: NDArray[np.float32], sample: Sample, stride: int) -> float:
    """Share of the visible keypoints that lie more than one heatmap cell from where the reference has them.

    A cell is what the network tells apart; within it the decoder only weighs neighbours, and a
    keypoint that leaves it was found on another part of the picture.

    Args:
        reference: (N, K, 2) pixels of the crops.
        keypoints: (N, K, 2) pixels of the crops.
        sample: those crops; where the model has other keypoints than COCO's, all of them count.
        stride: pixels to a cell.
    """
    moved = np.linalg.norm(keypoints - reference, axis=2) > stride
    return float(moved[sample.visible].mean() if moved.shape == sample.visible.shape else moved.mean())
