"""From where the pelvis and the feet are to the joint angles of a Pose: how a person moves.

The ground is flat. Positions on it are x (right in the picture) and z (away from the camera) in
metres, yaw is in degrees as in `poses`: 0 faces the camera, positive turns to the person's left.
Feet stand where `plan` put them and legs follow by inverse kinematics, so that no foot slides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from danet.scenes.poses import LEG_LIMITS, POSE_FAMILIES, Angles, Pose
from danet.scenes.rotations import about_x
from danet.scenes.skeleton import Build, Vector

ANKLE = 0.36
"""Height of the ankle above the sole, in lengths of the foot."""
BALL = 0.6
"""From the ankle forwards to the ball of the foot, about which the heel rises, in lengths of the foot."""
STRETCH = 0.999
"""Share of the leg's whole length that a supporting leg reaches: the knee is never quite straight."""
SOFTNESS = 0.004
"""Body units over which the pelvis changes from the support of one leg to the other's."""


@dataclass(frozen=True)
class Place:
    """Somewhere on the ground: x and z in metres, yaw in degrees."""

    x: float
    z: float
    yaw: float

    def ahead(self, forward: float, left: float) -> Place:
        """The place `forward` metres ahead and `left` metres to the left, with the same yaw."""
        sine, cosine = math.sin(math.radians(self.yaw)), math.cos(math.radians(self.yaw))
        return Place(self.x + sine * forward + cosine * left, self.z - cosine * forward + sine * left, self.yaw)

    def seen_from(self, other: Place) -> tuple[float, float]:
        """How many metres ahead and to the left of `other` it is."""
        sine, cosine = math.sin(math.radians(other.yaw)), math.cos(math.radians(other.yaw))
        x, z = self.x - other.x, self.z - other.z
        return sine * x - cosine * z, cosine * x + sine * z


@dataclass(frozen=True)
class Foot:
    """A foot: the place of its ankle when flat, the sole's height in metres, and its toes down in degrees."""

    place: Place
    lift: float
    pitch: float


@dataclass(frozen=True)
class Upper:
    """Angles of the upper body as in Pose, and how much the arms swing along with the legs, 0 to 1."""

    spine: Angles
    neck: Angles
    arms: tuple[Angles, Angles]
    swing: float

    def mixed(self, other: Upper, share: float) -> Upper:
        """Itself at share 0, `other` at share 1."""
        return Upper(
            _between(self.spine, other.spine, share),
            _between(self.neck, other.neck, share),
            (_between(self.arms[0], other.arms[0], share), _between(self.arms[1], other.arms[1], share)),
            self.swing + share * (other.swing - self.swing),
        )


def _between(first: Angles, second: Angles, share: float) -> Angles:
    return tuple(a + share * (b - a) for a, b in zip(first, second, strict=True))


@dataclass(frozen=True)
class Posture:
    """All of a person at one time.

    Args:
        pelvis: its place; the feet's own are beside it, not below.
        feet: left and right.
        upper: the upper body.
        squat: 0 upright to 1 at the lowest point.
        depth: how far down the pelvis goes at squat 1, body units.
    """

    pelvis: Place
    feet: tuple[Foot, Foot]
    upper: Upper
    squat: float
    depth: float


@dataclass(frozen=True)
class Stance:
    """A posed person on the ground: the pose, and the hips' middle x, z and height in metres."""

    pose: Pose
    x: float
    z: float
    height: float


def smooth(share: float) -> float:
    """Ease in and out: 0 to 1 with no slope and no bend at either end."""
    share = min(1.0, max(0.0, share))
    return share**3 * (10 - 15 * share + 6 * share * share)


def stance(build: Build, tall: float, posture: Posture) -> Stance:
    """The pose of a person of `tall` metres in a posture."""
    stride = _stride(posture, tall)
    # the hip of the leading leg goes ahead; a squat takes the pelvis back, to stay above the feet
    weight = (posture.feet[1].lift - posture.feet[0].lift) * 0.3
    moved = posture.pelvis.ahead(-0.3 * posture.depth * posture.squat * tall, weight)
    pelvis = Place(moved.x, moved.z, moved.yaw - 11 * stride)
    ankles = [_ankle(build, tall, foot, pelvis) for foot in posture.feet]
    height = _support(build, ankles) - posture.depth * posture.squat
    tilt = 34 * posture.squat
    legs = [_leg(build, side, ankles[side], height, tilt, posture.feet[side], pelvis) for side in (0, 1)]
    pose = _pose(posture, pelvis.yaw, tilt, stride, (legs[0], legs[1]))
    return Stance(pose, pelvis.x, pelvis.z, height * tall)


def _stride(posture: Posture, tall: float) -> float:
    """How far the left foot is ahead of the right one, body units."""
    ahead = [foot.place.seen_from(posture.pelvis)[0] for foot in posture.feet]
    return (ahead[0] - ahead[1]) / tall


def _ankle(build: Build, tall: float, foot: Foot, pelvis: Place) -> Vector:
    """The ankle (3,) from the ground below the hips' middle, body units: to the left, up, ahead."""
    angle = math.radians(max(foot.pitch, 0.0))
    sine, cosine = math.sin(angle), math.cos(angle)
    sole, ball = ANKLE * build.foot, BALL * build.foot
    onward = ball * (1 - cosine) + sole * sine
    ahead, left = foot.place.ahead(onward * tall, 0.0).seen_from(pelvis)
    return np.array((left / tall, foot.lift / tall + ball * sine + sole * cosine, ahead / tall))


def _support(build: Build, ankles: list[Vector]) -> float:
    """Height of the hips, body units, from which both ankles can be reached; smooth where the legs take turns."""
    whole = STRETCH * (build.thigh + build.shin)
    heights = [whole + ANKLE * build.foot]
    for side, (left, up, ahead) in enumerate(ankle.tolist() for ankle in ankles):
        aside = left - (1 - 2 * side) * build.hip
        heights.append(up + math.sqrt(max(whole**2 - aside**2 - ahead**2, (0.5 * whole) ** 2)))
    lowest = min(heights)
    return lowest - SOFTNESS * math.log(sum(math.exp((lowest - height) / SOFTNESS) for height in heights))


def _leg(build: Build, side: int, ankle: Vector, height: float, tilt: float, foot: Foot, pelvis: Place) -> Angles:
    left, up, ahead = ankle.tolist()
    sign = 1 - 2 * side
    # a right leg is solved as its mirror image
    target = np.array((sign * left - build.hip, height - up, -ahead))
    rotation = sign * (pelvis.yaw - foot.place.yaw)
    rotation = min(LEG_LIMITS[2][1], max(LEG_LIMITS[2][0], rotation))
    flexion, abduction, knee = reach(build, about_x(-tilt) @ target, rotation)
    return flexion, abduction, rotation, knee, flexion - knee - tilt + foot.pitch


def reach(build: Build, target: NDArray[np.float64], rotation: float) -> tuple[float, float, float]:
    """Flexion, abduction and knee angle, degrees, that bring a left ankle to `target`.

    The inverse of `skeleton`'s leg: rotation about the leg's own axis is given, and the two others of
    the hip then follow one after the other from the target's x and its y, z.

    Args:
        build: the lengths of thigh and shin.
        target: (3,) from the hip joint in the pelvis' frame, body units; one out of reach is aimed at.
        rotation: internal, degrees.
    """
    thigh, shin = build.thigh, build.shin
    distance = min(float(np.linalg.norm(target)), thigh + shin)
    cosine = (distance**2 - thigh**2 - shin**2) / (2 * thigh * shin)
    knee = math.acos(min(1.0, max(-1.0, cosine)))
    behind, below = shin * math.sin(knee), thigh + shin * math.cos(knee)
    aside, back = behind * math.sin(math.radians(rotation)), behind * math.cos(math.radians(rotation))
    x, y, z = (target * (distance / max(float(np.linalg.norm(target)), 1e-9))).tolist()
    radius = math.hypot(aside, below)
    abduction = math.asin(min(1.0, max(-1.0, x / radius))) - math.atan2(aside, below)
    lowered = below * math.cos(abduction) - aside * math.sin(abduction)
    flexion = math.atan2(back, lowered) - math.atan2(z, y)
    return math.degrees(flexion), math.degrees(abduction), math.degrees(knee)


def _pose(posture: Posture, yaw: float, tilt: float, stride: float, legs: tuple[Angles, Angles]) -> Pose:
    upper, squat = posture.upper, posture.squat
    bend, lean, twist = upper.spine
    pitch, aside, turn = upper.neck
    arms = [_arm(upper.arms[side], (2 * side - 1) * stride * upper.swing, squat) for side in (0, 1)]
    return Pose(
        POSE_FAMILIES[0],
        (yaw, tilt, 0.0),
        (bend + 12 * squat, lean, twist + 20 * stride),
        (pitch - 26 * squat, aside, turn - 8 * stride),
        (arms[0], arms[1]),
        legs,
    )


def _arm(angles: Angles, swing: float, squat: float) -> Angles:
    """An arm that swings against its leg and reaches forward for balance in a squat."""
    flexion, abduction, rotation, elbow = angles
    swung = flexion + 62 * swing
    bent = elbow + max(0.0, 45 * swing)
    return swung + squat * (105 - swung), abduction, rotation, bent + squat * (12 - bent)
