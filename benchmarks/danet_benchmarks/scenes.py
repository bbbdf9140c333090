"""The frames that end-to-end speed is measured on: rendered, so that every machine has the same persons."""

from __future__ import annotations

from collections.abc import Sequence

from danet.scenes.scene import render_scene
from danet_benchmarks.measurements import Scenes

FIRST_SEED = 720
"""Of the scenes that are drawn; any will do, as long as it stays."""


def render_scenes(persons: Sequence[int], frames: int, size: tuple[int, int]) -> tuple[Scenes, ...]:
    """Frames at each number of persons, ascending.

    Args:
        persons: numbers of persons to a frame.
        frames: how many frames of each.
        size: height and width in pixels.
    """
    return tuple(_render(number, frames, size) for number in sorted(set(persons)))


def _render(persons: int, frames: int, size: tuple[int, int]) -> Scenes:
    drawn = [render_scene(FIRST_SEED + index, size, persons) for index in range(frames)]
    return Scenes(persons, tuple((scene.image, scene.boxes) for scene in drawn))
