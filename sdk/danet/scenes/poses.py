"""Named families of poses: joint angles drawn within anatomical limits.

Angles are degrees. The rest pose hangs the limbs straight down. Per arm: flexion (forward),
abduction (sideways), internal rotation, elbow flexion; per leg: flexion, abduction, internal
rotation, knee flexion, ankle (toes down). Right limbs mirror left ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from numpy.random import Generator

from danet.scenes.sampling import between, coin, pick

Range = tuple[float, float]
Angles = tuple[float, ...]

ARM_LIMITS: tuple[Range, ...] = ((-60, 180), (-15, 178), (-95, 90), (0, 148))
LEG_LIMITS: tuple[Range, ...] = ((-35, 130), (-20, 80), (-65, 35), (0, 145), (-20, 45))

ARM_MODES: dict[str, tuple[Range, ...]] = {
    "hang": ((-12, 20), (4, 18), (-10, 35), (4, 35)),
    "akimbo": ((-40, -10), (32, 52), (55, 85), (80, 112)),
    "raised": ((-10, 25), (125, 175), (-80, 20), (0, 60)),
    "overhead": ((140, 175), (-10, 10), (-30, 20), (5, 70)),
    "wave": ((-5, 20), (65, 115), (-92, -55), (45, 125)),
    "reach": ((55, 110), (-5, 25), (-20, 40), (0, 50)),
    "folded": ((22, 45), (4, 16), (50, 78), (85, 115)),
    "sideways": ((-20, 25), (60, 105), (-60, 20), (0, 35)),
    "to_face": ((35, 75), (5, 35), (10, 45), (115, 146)),
    "carry": ((-8, 30), (4, 20), (-15, 45), (65, 110)),
    "behind": ((-50, -18), (4, 25), (10, 70), (10, 60)),
    "swing_front": ((15, 55), (2, 15), (0, 30), (20, 100)),
    "swing_back": ((-50, -12), (4, 20), (-10, 20), (10, 85)),
    "on_thigh": ((12, 42), (4, 18), (5, 35), (35, 80)),
    "support": ((-45, -10), (8, 30), (-30, 10), (0, 20)),
    "free": ((-40, 160), (0, 120), (-70, 75), (0, 135)),
}

LEG_MODES: dict[str, tuple[Range, ...]] = {
    "straight": ((-6, 8), (0, 9), (-22, 4), (0, 9), (-4, 4)),
    "relaxed": ((4, 25), (3, 16), (-30, 0), (12, 45), (-5, 12)),
    "step_front": ((14, 42), (0, 7), (-12, 4), (0, 28), (-12, 8)),
    "step_back": ((-26, -6), (0, 7), (-15, 4), (4, 50), (0, 30)),
    "run_lift": ((45, 95), (0, 10), (-8, 6), (55, 115), (-5, 25)),
    "run_push": ((-30, 5), (0, 8), (-10, 5), (5, 105), (10, 40)),
    "sit": ((72, 100), (0, 22), (-20, 10), (65, 105), (-8, 12)),
    "sit_low": ((75, 100), (0, 25), (-25, 5), (0, 50), (0, 25)),
    "cross_legged": ((80, 110), (32, 55), (-60, -30), (110, 135), (0, 20)),
    "squat": ((80, 125), (8, 40), (-30, 0), (95, 142), (-20, 0)),
    "kneel": ((-8, 18), (0, 12), (-10, 5), (85, 140), (10, 40)),
    "lunge": ((50, 95), (0, 14), (-15, 5), (55, 105), (-10, 8)),
    "wide": ((0, 22), (18, 45), (-35, 0), (0, 25), (-5, 8)),
    "kick": ((55, 112), (0, 28), (-20, 10), (0, 45), (5, 35)),
    "split": ((0, 35), (45, 75), (-50, -10), (0, 25), (5, 35)),
    "tuck": ((75, 122), (0, 22), (-15, 5), (85, 138), (0, 30)),
    "free": ((-25, 112), (-8, 58), (-35, 20), (0, 130), (-10, 35)),
}


@dataclass(frozen=True)
class PoseFamily:
    """Which arm and leg modes go together, and how far the trunk leans.

    Args:
        name: what a person would call the pose.
        weight: how often it is drawn, relative to the others.
        arms: modes that either arm takes.
        legs: pairs of modes, one for each leg; sides are swapped at random.
        bend: forward lean of the spine, degrees.
        roll: spread (standard deviation) of the whole body's turn in the picture, degrees.
        pitch: range of the whole body's forward tilt, degrees.
        sits: whether something to sit on makes sense.
    """

    name: str
    weight: float
    arms: tuple[str, ...]
    legs: tuple[tuple[str, str], ...]
    bend: Range = (-6, 10)
    roll: float = 4.0
    pitch: Range = (0, 0)
    sits: bool = False


POSE_FAMILIES = (
    PoseFamily(
        "standing",
        20,
        ("hang", "hang", "hang", "carry", "akimbo", "folded", "behind", "to_face"),
        (("straight", "straight"), ("straight", "relaxed"), ("relaxed", "wide")),
    ),
    PoseFamily("walking", 12, ("swing_front", "swing_back", "hang", "carry"), (("step_front", "step_back"),), (-2, 12)),
    PoseFamily("running", 8, ("swing_front", "swing_back", "carry"), (("run_lift", "run_push"),), (4, 24), 6),
    PoseFamily(
        "sitting",
        15,
        ("on_thigh", "on_thigh", "carry", "to_face", "hang", "folded", "reach", "support"),
        (("sit", "sit"), ("sit", "sit_low"), ("sit_low", "sit_low"), ("cross_legged", "cross_legged")),
        (-14, 32),
        5,
        sits=True,
    ),
    PoseFamily(
        "squatting",
        6,
        ("reach", "on_thigh", "carry", "hang", "free"),
        (("squat", "squat"), ("squat", "kneel"), ("lunge", "kneel"), ("kneel", "kneel")),
        (5, 45),
    ),
    PoseFamily(
        "arms_up",
        10,
        ("raised", "overhead", "wave", "sideways", "raised"),
        (("straight", "straight"), ("straight", "relaxed"), ("wide", "wide"), ("step_front", "step_back")),
        (-12, 8),
    ),
    PoseFamily(
        "gesturing",
        12,
        ("wave", "akimbo", "reach", "sideways", "hang", "to_face", "folded"),
        (("straight", "relaxed"), ("straight", "straight"), ("wide", "relaxed"), ("step_front", "step_back")),
    ),
    PoseFamily(
        "jumping",
        5,
        ("raised", "sideways", "swing_back", "overhead", "free"),
        (("tuck", "tuck"), ("run_lift", "run_push"), ("wide", "wide"), ("tuck", "step_back"), ("split", "split")),
        (-15, 20),
        10,
    ),
    PoseFamily(
        "bending",
        7,
        ("reach", "hang", "overhead", "carry", "reach"),
        (("relaxed", "relaxed"), ("wide", "wide"), ("straight", "relaxed"), ("step_front", "step_back")),
        (28, 85),
        6,
    ),
    PoseFamily(
        "lying",
        5,
        ("hang", "raised", "free", "folded", "sideways", "to_face"),
        (("straight", "relaxed"), ("relaxed", "tuck"), ("straight", "straight"), ("free", "relaxed")),
        (-8, 20),
        25,
        (-60, 60),
    ),
    PoseFamily(
        "sport",
        10,
        ("free", "free", "reach", "raised", "swing_back", "sideways", "overhead"),
        (
            ("kick", "relaxed"),
            ("lunge", "step_back"),
            ("split", "wide"),
            ("wide", "relaxed"),
            ("free", "free"),
            ("run_lift", "straight"),
        ),
        (-22, 45),
        14,
        (-15, 15),
    ),
)


@dataclass(frozen=True)
class Pose:
    """Joint angles in degrees; index 0 of `arms` and `legs` is the person's left."""

    family: PoseFamily
    root: tuple[float, float, float]
    """Yaw (0 faces the camera, positive turns to the person's left), pitch (forward), roll (in the picture)."""
    spine: tuple[float, float, float]
    """Forward bend, lean to the left, twist to the left."""
    neck: tuple[float, float, float]
    """Forward, lean to the left, turn to the left."""
    arms: tuple[Angles, Angles]
    legs: tuple[Angles, Angles]


def sample_pose(rng: Generator) -> Pose:
    """Draws a family, then the angles of its modes."""
    family = pick(rng, POSE_FAMILIES, _WEIGHTS)
    legs = pick(rng, family.legs)
    if coin(rng, 0.5):
        legs = (legs[1], legs[0])
    # the same on both sides is common: folded arms, hands on hips, arms raised
    left_arm = pick(rng, family.arms)
    right_arm = left_arm if coin(rng, 0.45) else pick(rng, family.arms)
    return Pose(
        family,
        _sample_root(rng, family),
        (between(rng, *family.bend), float(rng.normal(0, 6)), float(rng.normal(0, 9))),
        (between(rng, -18, 26) - 0.35 * max(family.bend[0], 0), float(rng.normal(0, 7)), _head_turn(rng)),
        (_sample_limb(rng, ARM_MODES[left_arm], ARM_LIMITS), _sample_limb(rng, ARM_MODES[right_arm], ARM_LIMITS)),
        (_sample_limb(rng, LEG_MODES[legs[0]], LEG_LIMITS), _sample_limb(rng, LEG_MODES[legs[1]], LEG_LIMITS)),
    )


_WEIGHTS = tuple(family.weight for family in POSE_FAMILIES)


def _sample_root(rng: Generator, family: PoseFamily) -> tuple[float, float, float]:
    yaw = float(rng.normal(0, 32)) if coin(rng, 0.62) else between(rng, -180, 180)
    roll = float(rng.normal(0, family.roll))
    if family.name == "lying":
        roll += 90 if coin(rng, 0.5) else -90
    elif coin(rng, 0.05):
        roll += between(rng, -60, 60)
    return yaw, between(rng, *family.pitch), roll


def _head_turn(rng: Generator) -> float:
    return max(-75.0, min(75.0, float(rng.normal(0, 24))))


def _sample_limb(rng: Generator, mode: tuple[Range, ...], limits: tuple[Range, ...]) -> Angles:
    drawn = (between(rng, *span) + float(rng.normal(0, 3)) for span in mode)
    return tuple(max(low, min(high, angle)) for angle, (low, high) in zip(drawn, limits, strict=True))
