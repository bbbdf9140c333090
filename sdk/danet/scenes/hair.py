"""Hair and scarves that hang away from the head, as solids that are sorted by depth with the body."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from danet.scenes import parts
from danet.scenes.outfit import Outfit
from danet.scenes.skeleton import Skeleton
from danet.scenes.solids import Ball, Solid, solid
from danet.scenes.textures import Material

LocalBall = tuple[tuple[float, float, float], float]

HANGING: dict[str, tuple[LocalBall, ...]] = {
    "long": (((0, -0.15, 0.18), 0.30), ((-0.16, 0.35, 0.28), 0.2), ((0.16, 0.35, 0.28), 0.2), ((0, 0.85, 0.36), 0.2)),
    "bob": (((0, -0.1, 0.14), 0.32), ((-0.2, 0.3, 0.16), 0.2), ((0.2, 0.3, 0.16), 0.2)),
    "ponytail": (((0, -0.2, 0.45), 0.10), ((0, 0.1, 0.62), 0.11), ((0, 0.6, 0.55), 0.06)),
    "bun": (((0, -0.42, 0.36), 0.15), ((0, -0.46, 0.40), 0.14)),
}
"""Per hair style, balls in the head's local frame and unit (see `head`)."""

LOCKS: dict[str, float] = {"long": 0.75, "bob": 0.34}
"""How far down the strands beside the face reach, head heights below its middle."""

SCARF: tuple[LocalBall, ...] = (((0, 0.2, 0.12), 0.34), ((0, 0.55, 0.05), 0.36))


def hanging_solids(skeleton: Skeleton, outfit: Outfit) -> list[Solid]:
    """Back hair, tails and side strands, or the part of a scarf around the neck."""
    if outfit.headwear == "scarf":
        return [_local_solid(skeleton, outfit.hat, SCARF, -0.02)]
    made = []
    if outfit.hair_style in HANGING:
        made.append(_local_solid(skeleton, outfit.hair, HANGING[outfit.hair_style], 0.0))
    if outfit.hair_style in LOCKS:
        made += [_lock(skeleton, outfit, sign) for sign in (1, -1)]
    return made


def _lock(skeleton: Skeleton, outfit: Outfit, sign: int) -> Solid:
    reach = LOCKS[outfit.hair_style]
    balls: tuple[LocalBall, ...] = (
        ((sign * 0.24, -0.32, -0.08), 0.09),
        ((sign * 0.36, 0.05, 0.04), 0.08),
        ((sign * 0.34, reach, 0.06), 0.07),
    )
    # tied to the head's own depth so that the strand in front of the cheek is drawn after the face
    return _local_solid(skeleton, outfit.hair, balls, 0.05)


def _local_solid(skeleton: Skeleton, surface: Material, local: tuple[LocalBall, ...], nearer: float) -> Solid:
    size = skeleton.build.head
    balls: list[Ball] = [
        (skeleton.head_center + size * (skeleton.head @ np.array(center, np.float64)), radius * size)
        for center, radius in local
    ]
    made = solid(parts.HAIR, surface, balls)
    # twice its real distance from the head's middle: clear of the trunk, behind or before
    head_depth = float(skeleton.head_center[2])
    return replace(made, depth=2 * made.depth - head_depth - nearer)
