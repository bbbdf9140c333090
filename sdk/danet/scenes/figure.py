"""One person: body, clothes and camera; drawing it, and which of its keypoints show."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from danet.scenes import parts
from danet.scenes.camera import Camera
from danet.scenes.canvas import Canvas, Light
from danet.scenes.face import EAR_TURN, Expression, draw_head, sample_expression
from danet.scenes.hair import hanging_solids
from danet.scenes.head import EYES, HeadView, view_head
from danet.scenes.outfit import Outfit, sample_outfit
from danet.scenes.painter import Painter
from danet.scenes.poses import Pose, sample_pose
from danet.scenes.sampling import between, coin
from danet.scenes.skeleton import Skeleton, pose_skeleton, sample_build
from danet.scenes.solids import Solid, arm_solids, leg_solids, trunk_solids

FAR_SIDE = 0.82
"""Sine of the trunk's turn beyond which the far shoulder or hip is behind the trunk."""

HEAD_NEARER = 0.035
"""Body units by which the head is drawn as if closer, so that the neck never covers the face."""

HANDS = (parts.LEFT_HAND, parts.LEFT_HAND + 1)
SMALLEST_RADIUS = 0.5
"""Pixels of its thin end below which a finger or thumb is not worth drawing."""

SUBPIXEL = 64
"""Keypoints are rounded to 1/64 pixel: processors differ in the last bits of a matrix product."""


@dataclass(frozen=True)
class Figure:
    """A posed, dressed person in front of a camera."""

    pose: Pose
    skeleton: Skeleton
    outfit: Outfit
    camera: Camera


def sample_figure(rng: Generator) -> Figure:
    """A person at unit scale; placed in the frame by `placement`."""
    pose, build = sample_pose(rng), sample_build(rng)
    camera_pitch = float(np.clip(rng.normal(6, 11), -25, 60)) if coin(rng, 0.92) else between(rng, -30, 70)
    skeleton = pose_skeleton(build, pose, camera_pitch)
    return Figure(pose, skeleton, sample_outfit(rng), Camera(1.0, (0.0, 0.0), float(2 ** between(rng, 0.9, 3.6))))


def figure_keypoints(figure: Figure) -> NDArray[np.float64]:
    """Keypoints (17, 2) float64, frame pixel indices, COCO order."""
    skeleton, camera = figure.skeleton, figure.camera
    limbs = (skeleton.arms, skeleton.legs)
    joints = [getattr(pair[side], name) for pair in limbs for name in ("root", "middle", "end") for side in (0, 1)]
    face = view_head(skeleton, camera).keypoints()
    points = np.concatenate((face, camera.project(np.array(joints))))
    rounded: NDArray[np.float64] = np.rint(points * SUBPIXEL) / SUBPIXEL
    return rounded


def draw_figure(canvas: Canvas, figure: Figure, light: Light, person: int, rng: Generator) -> None:
    """Draws all parts from far to near, under the ids of person number `person`."""
    expression = sample_expression(rng)
    draw_parts(Painter(canvas, light, figure.camera, person, rng), figure, expression)


def draw_parts(painter: Painter, figure: Figure, expression: Expression) -> None:
    """Draws all parts of a figure from far to near, the face among them."""
    solids = [made for made in figure_solids(figure) if _worth_drawing(made, figure.camera.scale)]
    outlines = painter.projected(solids)
    view = view_head(figure.skeleton, figure.camera)
    head_depth = float(figure.skeleton.head_center[2]) - HEAD_NEARER
    order = sorted(range(len(solids)), key=lambda index: -solids[index].depth)
    behind = sum(solids[index].depth >= head_depth for index in order)
    for index in order[:behind]:
        painter.textured(*outlines[index], solids[index].material, solids[index].part)
    draw_head(painter, view, figure.outfit, expression)
    for index in order[behind:]:
        painter.textured(*outlines[index], solids[index].material, solids[index].part)


def _worth_drawing(made: Solid, scale: float) -> bool:
    return made.part not in HANDS or float(made.radii[-1]) * scale > SMALLEST_RADIUS


def figure_solids(figure: Figure) -> list[Solid]:
    """All parts but the head itself."""
    skeleton, outfit = figure.skeleton, figure.outfit
    made = [*trunk_solids(skeleton, outfit), *hanging_solids(skeleton, outfit)]
    for side in (0, 1):
        made += arm_solids(skeleton, outfit, side) + leg_solids(skeleton, outfit, side)
    return made


@dataclass(frozen=True)
class Silhouette:
    """Where a person was drawn: box (4,) xyxy in edge coordinates and area in pixels; all 0 if outside."""

    box: tuple[int, int, int, int]
    area: int


def silhouette(canvas: Canvas, person: int) -> Silhouette:
    """Measures the person that was drawn last, before anything covers it."""
    mask = cv2.inRange(canvas.ids, parts.code(person, 0), parts.code(person + 1, 0) - 1)
    left, top, width, height = cv2.boundingRect(mask)
    return Silhouette((left, top, left + width, top + height), cv2.countNonZero(mask))


def figure_visibility(canvas: Canvas, figure: Figure, keypoints: NDArray[np.float64], person: int) -> NDArray[np.int8]:
    """0 outside the frame, 1 hidden, 2 visible, (17,) int8, from the finished id buffer.

    Args:
        canvas: with everything drawn.
        figure: the person.
        keypoints: (17, 2) float64, its keypoints, frame pixel indices.
        person: its index, under which it was drawn.
    """
    shows = _turned_to_camera(figure)
    levels = np.zeros(len(keypoints), np.int8)
    for index, (x, y) in enumerate(keypoints.tolist()):
        top = canvas.id_at(x, y)
        if top is None:
            continue
        own = any(top == parts.code(person, part) for part in parts.SHOWN_BY[index])
        trunk = any(top == parts.code(person, part) for part in (parts.TORSO, parts.PELVIS, parts.SKIRT))
        levels[index] = 2 if own and (shows[index] or not (index < 5 or trunk)) else 1
    return levels


def _turned_to_camera(figure: Figure) -> list[bool]:
    """Per keypoint, whether its side of the head or trunk faces the camera; True for the free limbs."""
    view = view_head(figure.skeleton, figure.camera)
    shows = [True] * 17
    shows[:5] = _face_turned(view)
    for side, sign in ((0, 1), (1, -1)):
        shows[5 + side] = sign * figure.skeleton.chest[2, 0] < FAR_SIDE
        shows[11 + side] = sign * figure.skeleton.pelvis[2, 0] < FAR_SIDE
    return shows


def _face_turned(view: HeadView) -> list[bool]:
    eyes = [view.surface_facing(EYES[side]) > 0.12 for side in (0, 1)]
    ears = [view.side_facing(side) > -EAR_TURN for side in (0, 1)]
    return [view.facing > -0.1, *eyes, *ears]
