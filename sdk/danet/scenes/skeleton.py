"""Body proportions and forward kinematics in three dimensions.

Unit: the person's own standing height is about 1. Frame: x right in the picture, y down, z away
from the camera; a person with no rotation faces the camera, so the person's left is at +x. The
origin is the middle between the hip joints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from danet.scenes.poses import Angles, Pose
from danet.scenes.rotations import Matrix, about_x, about_y, about_z, mirrored
from danet.scenes.sampling import between, coin

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Build:
    """Lengths and girths of one person, in standing heights."""

    head: float
    neck: float
    torso: float
    shoulder: float
    hip: float
    upper_arm: float
    forearm: float
    hand: float
    thigh: float
    shin: float
    foot: float
    limb_girth: float
    trunk_girth: float
    bust: float
    broad: float
    """Chest width relative to the hips' width; above 1 is a broad chest, below 1 broad hips."""


def sample_build(rng: Generator) -> Build:
    """Children to adults, thin to heavy, narrow to broad (proportions after common anthropometric tables)."""
    child = between(rng, 0.2, 1.0) if coin(rng, 0.22) else 0.0
    weight = float(np.clip(rng.normal(0, 1), -1.8, 2.6))
    woman = coin(rng, 0.5)
    length = 1 - 0.12 * child
    jitter = 1 + 0.04 * np.clip(rng.normal(size=10), -2, 2)
    return Build(
        head=0.131 * (1 + 0.42 * child) * jitter[0],
        neck=0.036 * jitter[1] * (1 - 0.3 * child),
        torso=0.288 * (1 - 0.02 * child) * jitter[2],
        shoulder=(0.100 if woman else 0.111) * (1 - 0.07 * child) * jitter[3],
        hip=(0.062 if woman else 0.058) * jitter[4],
        upper_arm=0.168 * length * jitter[5],
        forearm=0.146 * length * jitter[6],
        hand=0.098 * length * jitter[6],
        thigh=0.246 * length * jitter[7],
        shin=0.242 * length * jitter[8],
        foot=0.150 * (1 + 0.05 * child) * jitter[9],
        limb_girth=(1 + 0.13 * weight) * (0.95 if woman else 1.05) * (1 + 0.12 * child),
        trunk_girth=(1 + 0.14 * weight) * (1 + 0.06 * child),
        bust=between(rng, 0.3, 1.0) * (1 - child) if woman else 0.0,
        broad=between(rng, 0.88, 1.0) if woman else between(rng, 0.98, 1.12),
    )


@dataclass(frozen=True)
class Limb:
    """Joints of an arm (shoulder, elbow, wrist) or a leg (hip, knee, ankle), each (3,), and its tip's frame."""

    root: Vector
    middle: Vector
    end: Vector
    frame: Matrix
    """Of the hand or foot: column 1 points on along the limb, column 2 backwards."""


@dataclass(frozen=True)
class Skeleton:
    """A posed person: points (3,), frames (3, 3) whose columns are the part's left, down and back."""

    build: Build
    pelvis: Matrix
    chest: Matrix
    head: Matrix
    waist: Vector
    neck_base: Vector
    head_center: Vector
    arms: tuple[Limb, Limb]
    legs: tuple[Limb, Limb]


def pose_skeleton(build: Build, pose: Pose, camera_pitch: float) -> Skeleton:
    """Forward kinematics from the hips outwards; `camera_pitch` > 0 degrees looks from above."""
    yaw, pitch, roll = pose.root
    pelvis = about_z(roll) @ about_x(camera_pitch) @ about_y(-yaw) @ about_x(pitch)
    bend, lean, twist = pose.spine
    lumbar = pelvis @ about_x(0.35 * bend) @ about_z(0.4 * lean)
    chest = lumbar @ about_x(0.65 * bend) @ about_z(0.6 * lean) @ about_y(-twist)
    waist = -0.40 * build.torso * lumbar[:, 1]
    neck_base = waist - 0.62 * build.torso * chest[:, 1]
    neck_pitch, neck_lean, turn = pose.neck
    neck = chest @ about_x(0.5 * neck_pitch + 8) @ about_z(0.5 * neck_lean)
    head = neck @ about_x(0.5 * neck_pitch - 8) @ about_z(0.5 * neck_lean) @ about_y(-turn)
    head_center = neck_base - build.neck * neck[:, 1] - 0.46 * build.head * head[:, 1] - 0.06 * build.head * head[:, 2]
    arms = tuple(_arm(build, chest, neck_base, pose.arms[side], side) for side in (0, 1))
    legs = tuple(_leg(build, pelvis, pose.legs[side], side) for side in (0, 1))
    return Skeleton(build, pelvis, chest, head, waist, neck_base, head_center, (arms[0], arms[1]), (legs[0], legs[1]))


def _arm(build: Build, chest: Matrix, neck_base: Vector, angles: Angles, side: int) -> Limb:
    flexion, abduction, rotation, elbow = angles
    upper = about_x(-flexion) @ about_z(-abduction) @ about_y(rotation)
    bent = upper @ about_x(-elbow)
    # the shoulder blade lifts the joint when the arm goes above the horizontal
    lift = max(0.0, -upper[1, 1] * 0.6 + 0.4) * 0.30 * build.shoulder
    sign = 1 - 2 * side
    root = neck_base + chest @ (sign * (build.shoulder - 0.3 * lift), 0.012 - lift, 0.004)
    if side:
        upper, bent = mirrored(upper), mirrored(bent)
    middle = root + build.upper_arm * (chest @ upper)[:, 1]
    frame = chest @ bent
    return Limb(root, middle, middle + build.forearm * frame[:, 1], frame)


def _leg(build: Build, pelvis: Matrix, angles: Angles, side: int) -> Limb:
    flexion, abduction, rotation, knee, ankle = angles
    upper = about_x(-flexion) @ about_z(-abduction) @ about_y(rotation)
    bent = upper @ about_x(knee)
    foot = bent @ about_x(ankle - 90)
    root = pelvis @ ((1 - 2 * side) * build.hip, 0.0, 0.0)
    if side:
        upper, bent, foot = mirrored(upper), mirrored(bent), mirrored(foot)
    middle = root + build.thigh * (pelvis @ upper)[:, 1]
    return Limb(root, middle, middle + build.shin * (pelvis @ bent)[:, 1], pelvis @ foot)
