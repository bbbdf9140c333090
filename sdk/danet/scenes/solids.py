"""The body below the head as convex hulls of balls: bare limbs, trunk, garments, hands and feet.

Everything is in body units and the frame of `skeleton`; girths are fractions of a standing height.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from danet.scenes import parts
from danet.scenes.outfit import Outfit
from danet.scenes.skeleton import Limb, Skeleton, Vector
from danet.scenes.textures import Material

Ball = tuple[Vector, float]


@dataclass(frozen=True)
class Solid:
    """A convex hull of balls with one surface.

    Args:
        part: number of the body part, as in `parts`.
        material: its surface.
        centers: (K, 3) float64, body units; the texture runs from the first to the last.
        radii: (K,) float64, body units.
        depth: drawing order, larger is farther.
    """

    part: int
    material: Material
    centers: NDArray[np.float64]
    radii: NDArray[np.float64]
    depth: float


def solid(part: int, surface: Material, balls: Sequence[Ball], nearer: float = 0.0) -> Solid:
    """A Solid at its balls' mean depth, drawn as if `nearer` body units closer."""
    centers = np.array([center for center, _ in balls])
    radii = np.array([radius for _, radius in balls])
    return Solid(part, surface, centers, radii, float(centers[:, 2].sum()) / len(balls) - nearer)


ARM_RADII = ((0.0, 0.034), (0.35, 0.031), (1.0, 0.025))
FOREARM_RADII = ((0.0, 0.025), (0.25, 0.0265), (1.0, 0.017))
THIGH_RADII = ((0.0, 0.056), (0.3, 0.053), (1.0, 0.035))
SHIN_RADII = ((0.0, 0.034), (0.3, 0.036), (1.0, 0.020))
"""(share of the bone, radius) of adults of medium weight."""

ProfileTable = tuple[tuple[float, float], ...]


def _tapered(table: ProfileTable, start: Vector, end: Vector, girth: float, reach: float = 1.0) -> list[Ball]:
    """Balls along the first `reach` share of a bone."""
    balls = [(start + share * (end - start), radius * girth) for share, radius in table if share < reach]
    shares, radii = zip(*table, strict=True)
    last = float(np.interp(reach, shares, radii)) * girth
    return [*balls, (start + reach * (end - start), last)]


@dataclass(frozen=True)
class _LimbPlan:
    """What an arm and a leg differ in."""

    upper: ProfileTable
    lower: ProfileTable
    upper_part: int
    lower_part: int
    garment: Material
    covered: float
    girth: float
    nearer: float


def limb_solids(limb: Limb, plan: _LimbPlan, outfit: Outfit) -> list[Solid]:
    """Two bare segments and the garment over them."""
    upper_share, lower_share = min(1.0, 2 * plan.covered), max(0.0, 2 * plan.covered - 1)
    loose = plan.girth * outfit.looseness
    made = []
    for table, part, ends, share in (
        (plan.upper, plan.upper_part, (limb.root, limb.middle), upper_share),
        (plan.lower, plan.lower_part, (limb.middle, limb.end), lower_share),
    ):
        bare = solid(part, outfit.skin, _tapered(table, *ends, plan.girth), plan.nearer)
        if share < 1:
            made.append(bare)
        if share > 0.03:
            balls = _tapered(table, *ends, loose, share)
            made.append(Solid(part, plan.garment, *_stacked(balls), bare.depth - 0.002))
    return made


def _stacked(balls: Sequence[Ball]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.array([center for center, _ in balls]), np.array([radius for _, radius in balls])


def arm_solids(skeleton: Skeleton, outfit: Outfit, side: int) -> list[Solid]:
    """Upper arm, forearm, sleeve and hand."""
    limb, girth = skeleton.arms[side], skeleton.build.limb_girth
    plan = _LimbPlan(
        ARM_RADII,
        FOREARM_RADII,
        parts.LEFT_UPPER_ARM + side,
        parts.LEFT_FOREARM + side,
        outfit.top,
        outfit.sleeve,
        girth,
        0.03,
    )
    return [*limb_solids(limb, plan, outfit), *_hand(skeleton, outfit, side)]


def _hand(skeleton: Skeleton, outfit: Outfit, side: int) -> list[Solid]:
    limb, size = skeleton.arms[side], skeleton.build.hand
    inward = limb.frame[:, 0] * (2 * side - 1)
    down, back = limb.frame[:, 1], limb.frame[:, 2]
    knuckles = limb.end + 0.48 * size * down
    tips = knuckles + size * (0.38 * down + 0.22 * inward)
    palm = [
        (limb.end, 0.17 * size),
        (knuckles + 0.15 * size * back, 0.17 * size),
        (knuckles - 0.17 * size * back, 0.16 * size),
    ]
    fingers = [(knuckles + 0.12 * size * back, 0.15 * size), (knuckles - 0.15 * size * back, 0.14 * size)]
    fingers += [(tips + 0.08 * size * back, 0.09 * size), (tips - 0.1 * size * back, 0.10 * size)]
    root = limb.end + 0.16 * size * down - 0.1 * size * back
    thumb = [(root, 0.13 * size), (root + size * (0.34 * down - 0.24 * back + 0.08 * inward), 0.08 * size)]
    part = parts.LEFT_HAND + side
    return [solid(part, outfit.skin, balls, nearer) for balls, nearer in ((palm, 0.03), (fingers, 0.03), (thumb, 0.04))]


def leg_solids(skeleton: Skeleton, outfit: Outfit, side: int) -> list[Solid]:
    """Thigh, shin, trouser leg and foot."""
    limb, girth = skeleton.legs[side], skeleton.build.limb_girth
    plan = _LimbPlan(
        THIGH_RADII,
        SHIN_RADII,
        parts.LEFT_THIGH + side,
        parts.LEFT_SHIN + side,
        outfit.bottom,
        0.0 if outfit.skirt else outfit.leg,
        girth,
        0.0,
    )
    return [*limb_solids(limb, plan, outfit), _foot(skeleton, outfit, side)]


def _foot(skeleton: Skeleton, outfit: Outfit, side: int) -> Solid:
    limb, size = skeleton.legs[side], skeleton.build.foot
    onward, down, outward = limb.frame[:, 1], limb.frame[:, 2], limb.frame[:, 0] * (1 - 2 * side)
    balls = [
        (limb.end + 0.02 * size * down, 0.15 * size),
        (limb.end + size * (0.20 * down - 0.14 * onward), 0.12 * size),
        (limb.end + size * (0.22 * down + 0.46 * onward + 0.10 * outward), 0.12 * size),
        (limb.end + size * (0.24 * down + 0.66 * onward - 0.04 * outward), 0.10 * size),
    ]
    return solid(parts.LEFT_FOOT + side, outfit.shoes, balls, -0.004)


def trunk_solids(skeleton: Skeleton, outfit: Outfit) -> list[Solid]:
    """Pelvis, chest, neck, the hanging hem and the skirt."""
    made = [_pelvis(skeleton, outfit), _chest(skeleton, outfit), _neck(skeleton, outfit)]
    if outfit.hem > 0:
        made.append(_hem(skeleton, outfit, made[0].depth))
    if outfit.skirt:
        made.append(_skirt(skeleton, outfit))
    return made


def _ring(skeleton: Skeleton, center: Vector, frame: NDArray[np.float64], size: tuple[float, float]) -> list[Ball]:
    """Two balls side by side: a stadium-shaped cross-section of half width and half depth `size`."""
    girth = skeleton.build.trunk_girth
    width, depth = size[0] * (0.45 + 0.55 * girth), size[1] * girth
    inset = max(0.0, width - depth)
    return [(center - inset * frame[:, 0], depth), (center + inset * frame[:, 0], depth)]


HIPS = (0.092, 0.064)
WAIST = (0.080, 0.056)
RIBS = (0.098, 0.062)


def _waist(skeleton: Skeleton, loose: float = 1.0) -> list[Ball]:
    return _ring(skeleton, skeleton.waist, skeleton.chest, (WAIST[0] * loose, WAIST[1] * loose))


def _hips(skeleton: Skeleton, loose: float = 1.0, lower: float = 0.0) -> list[Ball]:
    center = skeleton.pelvis[:, 1] * (lower - 0.02)
    width = HIPS[0] * loose * skeleton.build.hip / 0.060 / (0.5 + 0.5 * skeleton.build.broad)
    return _ring(skeleton, center, skeleton.pelvis, (width, HIPS[1] * loose))


def _pelvis(skeleton: Skeleton, outfit: Outfit) -> Solid:
    return solid(parts.PELVIS, outfit.bottom, [*_waist(skeleton), *_hips(skeleton)], 0.01)


def _chest(skeleton: Skeleton, outfit: Outfit) -> Solid:
    build, frame = skeleton.build, skeleton.chest
    loose = 0.75 + 0.25 * outfit.looseness
    shoulders = [(arm.root - 0.004 * frame[:, 1], 0.030 * build.limb_girth) for arm in skeleton.arms]
    ribs_center = skeleton.neck_base + 0.22 * build.torso * frame[:, 1]
    ribs = _ring(skeleton, ribs_center, frame, (RIBS[0] * loose * build.broad, RIBS[1] * loose))
    bust_center = ribs_center - frame[:, 2] * 0.03 * build.bust
    bust = _ring(skeleton, bust_center, frame, (0.085 * loose, 0.055 * loose)) if build.bust else []
    collar = [(skeleton.neck_base, 0.040 * build.trunk_girth)]
    return solid(parts.TORSO, outfit.top, [*collar, *shoulders, *ribs, *bust, *_waist(skeleton, loose)], 0.012)


def _neck(skeleton: Skeleton, outfit: Outfit) -> Solid:
    radius = 0.030 * (0.6 + 0.4 * skeleton.build.limb_girth) * (0.5 + 0.5 * skeleton.build.head / 0.131)
    balls = [
        (skeleton.neck_base + 0.018 * skeleton.chest[:, 1] - 0.02 * skeleton.chest[:, 2], 0.85 * radius),
        (skeleton.neck_base, 1.15 * radius),
        (skeleton.head_center + 0.2 * skeleton.build.head * skeleton.head[:, 1], radius),
    ]
    return solid(parts.NECK, outfit.skin, balls, 0.02)


def _hem(skeleton: Skeleton, outfit: Outfit, pelvis_depth: float) -> Solid:
    build, frame = skeleton.build, skeleton.pelvis
    drop = 0.5 * build.torso * (outfit.hem - 0.5)
    loose = (0.9 + 0.15 * outfit.looseness) * (0.45 + 0.55 * build.trunk_girth)
    across, through = (HIPS[0] * loose - 0.012) * frame[:, 0], (HIPS[1] * loose - 0.012) * frame[:, 2]
    # four small balls make a straight lower edge where one large one would make a round belly
    edge = [(drop * frame[:, 1] + x * across + z * through, 0.016) for x in (-1, 1) for z in (-0.8, 0.8)]
    balls = [*_waist(skeleton, 0.75 + 0.25 * outfit.looseness), *edge]
    # a part is the body beneath its clothes: a shirt that hangs over the hips does not hide them
    return Solid(parts.PELVIS, outfit.top, *_stacked(balls), pelvis_depth - 0.008)


def _skirt(skeleton: Skeleton, outfit: Outfit) -> Solid:
    balls = [*_waist(skeleton), *_hips(skeleton, 1.05)]
    for leg in skeleton.legs:
        share = 2 * outfit.skirt
        point = leg.root + min(share, 1.0) * (leg.middle - leg.root) + max(share - 1, 0.0) * (leg.end - leg.middle)
        balls.append((point, 0.062 * outfit.looseness * skeleton.build.limb_girth))
        if share > 1:
            balls.append((leg.middle, 0.055 * skeleton.build.limb_girth))
    nearest = min(float(leg.middle[2] + leg.root[2]) / 2 for leg in skeleton.legs)
    return Solid(parts.SKIRT, outfit.bottom, *_stacked(balls), min(nearest, 0.0) - 0.006)
