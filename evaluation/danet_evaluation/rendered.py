"""A data set of rendered persons: accuracy figures without any download, with exact annotations."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danet.scenes.scene import render_scene
from danet_evaluation.coco import KeypointDataset, Person, Picture, is_usable, person_of
from danet_evaluation.predict import Progress, silent

FIRST_SEED = 1 << 62
"""Training draws its seeds below this one, so that no scene is both trained and measured on."""
FRAME_SIZE = (320, 320)
"""Height and width of a scene in pixels."""
MAX_PERSONS = 3


@dataclass(frozen=True)
class RenderedPicture:
    """A scene that is rendered when it is asked for; the seed tells all of it."""

    seed: int
    persons: int

    def read(self) -> NDArray[np.uint8]:
        """The scene's picture (H, W, 3) uint8 BGR."""
        return render_scene(self.seed, FRAME_SIZE, self.persons).image


def rendered_dataset(persons: int, progress: Progress = silent, first_seed: int = FIRST_SEED) -> KeypointDataset:
    """Scenes of one to three rendered persons each, `persons` persons in all; the same on every call.

    Only the annotations are kept. A picture is rendered again when it is read, which is cheaper than
    to keep it. A scene's further persons are on the picture, but not annotated, where `persons` is full.

    Args:
        persons: how many, at least 1.
        progress: called with the number of persons that a scene brought.
        first_seed: another one gives other scenes.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    pictures: dict[int, Picture] = {}
    found: list[Person] = []
    for image_id in count(1):
        if len(found) >= persons:
            break
        picture = RenderedPicture(first_seed + image_id, 1 + image_id % MAX_PERSONS)
        scene = render_scene(picture.seed, FRAME_SIZE, picture.persons)
        image, on_image = scene.to_coco(image_id, len(annotations) + 1)
        usable = [item for item in on_image if is_usable(item)][: persons - len(found)]
        images.append(image)
        annotations += usable
        pictures[image_id] = picture
        found += [person_of(item, picture) for item in usable]
        progress(len(usable))
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    return KeypointDataset(f"rendered/{persons}", None, tuple(found), pictures, content)
