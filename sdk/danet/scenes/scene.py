"""A seeded picture of persons with exact keypoints.

Coordinates as everywhere in danet: boxes are edges (pixel i covers [i, i + 1)), keypoints are pixel
indices (integer i is the centre of pixel i).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from danet.scenes import parts
from danet.scenes.arguments import MAX_SEED, frame_size, integer
from danet.scenes.background import background, clutter, cover, seat
from danet.scenes.canvas import Canvas, Light, sample_light
from danet.scenes.effects import camera_effects
from danet.scenes.figure import Figure, Silhouette, draw_figure, figure_keypoints, figure_visibility, silhouette
from danet.scenes.placement import sample_placed
from danet.scenes.sampling import between, coin

MAX_PERSONS = 500


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and its persons, from the front to the back: a person hides only those that come after it.

    Boxes and areas are those of whole figures, what others hide of them included; COCO's are of what can be seen.
    So `danet.oks` is a little more lenient with hidden persons than on COCO, and crops show where they are.

    Args:
        image: (H, W, 3) uint8 BGR.
        boxes: (N, 4) float32 xyxy, edge coordinates, tight around each whole figure within the frame.
        keypoints: (N, 17, 2) float32, pixel indices, COCO order, the person's own left and right.
        visibility: (N, 17) int8; 2 visible, 1 in the frame but hidden, 0 outside the frame.
        areas: (N,) float32, pixels of each whole figure within the frame.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    keypoints: NDArray[np.float32]
    visibility: NDArray[np.int8]
    areas: NDArray[np.float32]

    def in_sight(self) -> Scene:
        """The same picture with those persons alone of whom at least one keypoint is visible.

        The others, some 3 in 100, stand behind something or outside the frame: nobody could say where they are.
        """
        rows = (self.visibility == 2).any(axis=1)
        return Scene(self.image, self.boxes[rows], self.keypoints[rows], self.visibility[rows], self.areas[rows])

    def to_coco(self, image_id: int, first_annotation_id: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The image entry and one annotation per person of a COCO keypoint file.

        Boxes are x, y, width, height of whole figures; keypoints outside the frame are 0, 0, 0, as in COCO. Persons
        that nothing is seen of are among them; see `in_sight`.

        Raises:
            InputError: an id is no integer from 0.
        """
        image_id = integer("image_id", image_id, 0, MAX_SEED)
        first_annotation_id = integer("first_annotation_id", first_annotation_id, 0, MAX_SEED)
        height, width = self.image.shape[:2]
        image = {"id": image_id, "file_name": f"{image_id:012d}.png", "height": height, "width": width}
        return image, [self._annotation(row, image_id, first_annotation_id + row) for row in range(len(self.boxes))]

    def _annotation(self, row: int, image_id: int, annotation_id: int) -> dict[str, Any]:
        left, top, right, bottom = self.boxes[row].tolist()
        inside = self.visibility[row] > 0
        points = np.where(inside[:, None], self.keypoints[row], 0)
        flat = np.concatenate((points, self.visibility[row][:, None]), axis=1)
        return {
            "id": annotation_id,
            "image_id": image_id,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": [left, top, right - left, bottom - top],
            "area": float(self.areas[row]),
            "keypoints": [
                int(value) if column == 2 else value for line in flat.tolist() for column, value in enumerate(line)
            ],
            "num_keypoints": int(inside.sum()),
        }


def render_scene(seed: int, size: tuple[int, int] = (720, 1280), persons: int = 3) -> Scene:
    """Draws a scene; the same arguments give the same bits on one machine with one version of OpenCV.

    Elsewhere persons and keypoints are the same, and pixels mostly: OpenCV's builds round otherwise, and a pixel may
    differ by some grey levels. A picture takes about 12 bytes of memory a pixel while it is drawn.

    Args:
        seed: 0 <= seed < 2**63.
        size: height and width of the picture, pixels.
        persons: how many figures; the one in front has at least half of its keypoints in the frame.

    Raises:
        InputError: an argument is outside its range.
    """
    height, width = frame_size(size)
    persons = integer("persons", persons, 0, MAX_PERSONS)
    rng = np.random.default_rng(integer("seed", seed, 0, MAX_SEED))
    light = sample_light(rng)
    canvas = Canvas(background(rng, (height, width)), np.zeros((height, width), np.uint16))
    clutter(canvas, light, rng)
    figures = sample_placed(rng, (height, width), persons)
    silhouettes = _draw_all(canvas, figures, light, rng)
    keypoints = [figure_keypoints(figure) for figure in figures]
    visibility = [
        figure_visibility(canvas, figure, points, person)
        for person, (figure, points) in enumerate(zip(figures, keypoints, strict=True))
    ]
    return Scene(
        camera_effects(canvas.image, rng),
        np.array([shape.box for shape in silhouettes], np.float32).reshape(-1, 4),
        np.array(keypoints, np.float32).reshape(-1, 17, 2),
        np.array(visibility, np.int8).reshape(-1, 17),
        np.array([shape.area for shape in silhouettes], np.float32),
    )


def _draw_all(canvas: Canvas, figures: list[Figure], light: Light, rng: Generator) -> list[Silhouette]:
    """Draws from the back to the front, with seats behind them and objects between and before."""
    shapes: list[Silhouette] = []
    for person in reversed(range(len(figures))):
        if figures[person].pose.family.sits and coin(rng, 0.5):
            camera = figures[person].camera
            seat(canvas, light, rng, camera.center, camera.scale, parts.OBJECT)
        draw_figure(canvas, figures[person], light, person, rng)
        shapes.append(silhouette(canvas, person))
        if coin(rng, 0.15):
            _draw_cover(canvas, figures[person], light, rng)
    return shapes[::-1]


def _draw_cover(canvas: Canvas, figure: Figure, light: Light, rng: Generator) -> None:
    center, scale = figure.camera.center, figure.camera.scale
    near = (center[0], center[1] + between(rng, -0.3, 0.45) * scale)
    cover(canvas, light, rng, near, between(rng, 0.08, 0.3) * scale, parts.OBJECT)
