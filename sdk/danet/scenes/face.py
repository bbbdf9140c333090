"""Draws the head: hair, face, ears, eyes, brows, nose, mouth, glasses and hats, where `head` puts them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from danet.scenes import parts
from danet.scenes.canvas import SHIFT, fixed, hull
from danet.scenes.head import (
    BRIDGE,
    CIRCLE,
    EARS,
    EYE_X,
    EYE_Y,
    EYES,
    JAW,
    MOUTH_Y,
    NOSE,
    HeadView,
    cap_around,
    on_face,
)
from danet.scenes.outfit import Outfit
from danet.scenes.painter import Painter
from danet.scenes.sampling import between, coin
from danet.scenes.textures import Color, scaled

HAIR_VOLUME = {
    "bald": 1.0,
    "buzz": 1.01,
    "short": 1.05,
    "full": 1.13,
    "bob": 1.10,
    "long": 1.08,
    "ponytail": 1.04,
    "bun": 1.04,
    "afro": 1.42,
}
"""Silhouette of the hair over that of the skull."""

COVERED_EARS = ("bob", "long", "afro")

EAR_TURN = 0.25
"""An ear shows until its side of the head looks this far away from the camera."""

SMALLEST_FACE = 9.0
"""Pixels of head height below which a face has no features worth drawing."""


MOST_TURNED_FACE = 0.35
"""Cosine between face and line of sight beyond which the sliver still in sight is left out."""


def _patch(x: float, y: float, width: float, height: float, out: float = 0.0) -> NDArray[np.float64]:
    """An ellipse (12, 3) on the face's surface, lifted `out` towards the front."""
    points = [on_face(x + width * c, y + height * s) for c, s in CIRCLE[::2]]
    return np.array(points) - (0, 0, out)


FACE = cap_around(0.255, -0.967, 68)
SCARFED_FACE = cap_around(0.255, -0.967, 58)
SOCKETS = tuple(_patch(sign * EYE_X, EYE_Y - 0.012, 0.095, 0.058) for sign in (1, -1))
WHITES = tuple(_patch(sign * EYE_X, EYE_Y, 0.066, 0.030) for sign in (1, -1))
IRISES = tuple(_patch(sign * EYE_X, EYE_Y, 0.028, 0.028) for sign in (1, -1))
BROWS = tuple(_patch(sign * (EYE_X + 0.005), EYE_Y - 0.088, 0.085, 0.016) for sign in (1, -1))
GLASSES = tuple(_patch(sign * EYE_X, EYE_Y + 0.01, 0.115, 0.075, 0.05) for sign in (1, -1))
MOUTH = _patch(0, MOUTH_Y, 0.115, 0.024, 0.04)
LIP_GAP = _patch(0, MOUTH_Y, 0.10, 0.006, 0.045)
BEARD = _patch(0, MOUTH_Y + 0.05, 0.21, 0.125, 0.02)
NOSTRILS = np.array(((0.06, 0.185, -0.42), (-0.06, 0.185, -0.42), (0.0, 0.20, -0.45)))
VISOR = np.array(((0.27, -0.29, -0.34), (-0.27, -0.29, -0.34), (0.16, -0.26, -0.64), (-0.16, -0.26, -0.64)))
EAR_AXES = np.array((0.035, 0.10, 0.062))


@dataclass(frozen=True)
class Expression:
    """The mouth: opening in head heights, strength of the lips' colour from 0 to 1."""

    opening: float
    lips: float


def sample_expression(rng: Generator) -> Expression:
    """Mouth mostly closed."""
    return Expression(between(rng, 0.01, 0.06) if coin(rng, 0.3) else 0.0, between(rng, 0.0, 0.7))


def ears_covered(outfit: Outfit) -> bool:
    """Whether hair or headwear lies over the ears."""
    return outfit.headwear in ("scarf", "helmet") or (outfit.hair_style in COVERED_EARS)


def draw_head(painter: Painter, view: HeadView, outfit: Outfit, expression: Expression) -> None:
    """Draws everything that turns with the head, far side first."""
    bare = not ears_covered(outfit)
    if view.facing < 0.7:
        _draw_jaw(painter, view, outfit)
    if bare:
        _draw_ears(painter, view, outfit, near=False)
    _draw_hair(painter, view, outfit)
    # a crown that is turned away shows as a crescent above the face, which then covers its middle
    crown_last = float(CROWN @ view.away()) < 0
    if not crown_last:
        _draw_headwear(painter, view, outfit)
    _draw_face(painter, view, outfit, expression)
    if bare:
        _draw_ears(painter, view, outfit, near=True)
    if crown_last:
        _draw_headwear(painter, view, outfit)


def _draw_jaw(painter: Painter, view: HeadView, outfit: Outfit) -> None:
    outline = hull(np.concatenate((view.skull(0.9), view.ball(*JAW))))
    painter.textured(outline, view.up(), outfit.skin, parts.FACE)


def _draw_hair(painter: Painter, view: HeadView, outfit: Outfit) -> None:
    scarf = outfit.headwear == "scarf"
    surface = outfit.hat if scarf else outfit.skin if outfit.hair_style == "bald" else outfit.hair
    volume = 1.13 if scarf else HAIR_VOLUME[outfit.hair_style]
    painter.textured(view.skull(volume), view.up(), surface, parts.SKULL)


def _draw_ears(painter: Painter, view: HeadView, outfit: Outfit, near: bool) -> None:
    for side in (0, 1):
        turned = view.side_facing(side)
        if (turned > -EAR_TURN) != near:
            continue
        outline = view.ellipsoid(EARS[side], EAR_AXES)
        part = parts.LEFT_EAR + side
        painter.textured(outline, view.up(), outfit.skin, part)


def _draw_face(painter: Painter, view: HeadView, outfit: Outfit, expression: Expression) -> None:
    shape = SCARFED_FACE if outfit.headwear == "scarf" else FACE
    face = view.cap(shape)
    if face is None or float(shape.direction @ view.away()) > MOST_TURNED_FACE:
        return
    outline = hull(np.concatenate((face, view.ball(*JAW)))) if view.facing > -0.1 else face
    painter.textured(outline, view.up(), outfit.skin, parts.FACE)
    if view.size < SMALLEST_FACE:
        return
    if outfit.beard and view.facing > 0.1:
        painter.flat(hull(view.project(BEARD)), _mixed(outfit.skin.mean, outfit.hair.mean, 0.7), parts.FACE)
    _draw_mouth(painter, view, outfit, expression)
    for side in (0, 1):
        if view.surface_facing(EYES[side]) > 0.12:
            _draw_eye(painter, view, outfit, side)
    if view.facing > -0.1:
        _draw_nose(painter, view, outfit)


def _draw_mouth(painter: Painter, view: HeadView, outfit: Outfit, expression: Expression) -> None:
    if view.facing < 0.12:
        return
    lips = _mixed(scaled(outfit.skin.mean, 0.78), (70, 60, 170), 0.5 * expression.lips)
    painter.flat(hull(view.project(MOUTH + _stretched(MOUTH, expression.opening))), lips, parts.FACE)
    dark = scaled(lips, 0.45)
    painter.flat(hull(view.project(LIP_GAP + _stretched(LIP_GAP, expression.opening))), dark, parts.FACE)


def _stretched(patch: NDArray[np.float64], opening: float) -> NDArray[np.float64]:
    """Shift of a patch's points that opens it downwards."""
    shift = np.zeros_like(patch)
    shift[:, 1] = np.where(patch[:, 1] > MOUTH_Y, opening, 0.0)
    return shift


def _draw_eye(painter: Painter, view: HeadView, outfit: Outfit, side: int) -> None:
    skin = outfit.skin.mean
    painter.flat(hull(view.project(SOCKETS[side])), scaled(skin, 0.86), parts.FACE)
    painter.flat(hull(view.project(BROWS[side])), _mixed(scaled(skin, 0.6), outfit.hair.mean, 0.6), parts.FACE)
    if outfit.glasses == "dark":
        painter.flat(hull(view.project(GLASSES[side])), (24, 22, 22), parts.FACE)
        return
    painter.flat(hull(view.project(WHITES[side])), _mixed(scaled(skin, 0.9), (225, 225, 225), 0.6), parts.FACE)
    painter.flat(hull(view.project(IRISES[side])), (28, 34, 44), parts.FACE)
    if outfit.glasses == "clear":
        _draw_rim(painter, view, side)


def _draw_rim(painter: Painter, view: HeadView, side: int) -> None:
    vertices = fixed(view.project(GLASSES[side]))
    thickness = max(1, round(0.014 * view.size))
    cv2.polylines(painter.canvas.image, [vertices], True, (40, 36, 36), thickness, cv2.LINE_AA, SHIFT)


def _draw_nose(painter: Painter, view: HeadView, outfit: Outfit) -> None:
    tip = NOSE + np.array((0, 0, 0.04))
    base = view.project(NOSTRILS)
    painter.flat(hull(base), scaled(outfit.skin.mean, 0.55), parts.FACE)
    outline = hull(np.concatenate((view.ball(BRIDGE, 0.03), view.ball(tip, 0.05), base[:2])))
    painter.textured(outline, view.up(), outfit.skin, parts.FACE)


CROWN = np.array((0.0, -0.96, 0.28))
HATS = {
    "cap": (cap_around(-0.96, 0.28, 84), 1.09),
    "beanie": (cap_around(-0.96, 0.28, 88), 1.11),
    "helmet": (cap_around(-0.96, 0.28, 92), 1.22),
}
"""What sits on the skull, and its volume."""


def _draw_headwear(painter: Painter, view: HeadView, outfit: Outfit) -> None:
    if outfit.headwear not in HATS:
        return
    shape, volume = HATS[outfit.headwear]
    visor = outfit.headwear == "cap"
    if visor and view.facing < 0:
        _draw_visor(painter, view, outfit)
    dome = view.cap(shape, volume)
    if dome is not None:
        painter.textured(dome, view.up(), outfit.hat, parts.SKULL)
    if visor and view.facing >= 0:
        _draw_visor(painter, view, outfit)


def _draw_visor(painter: Painter, view: HeadView, outfit: Outfit) -> None:
    outline = hull(view.project(VISOR))
    painter.flat(outline, scaled(outfit.hat.mean, 0.7), parts.SKULL)


def _mixed(first: Color, second: Color, share: float) -> Color:
    blue, green, red = (int(a + share * (b - a)) for a, b in zip(first, second, strict=True))
    return blue, green, red
