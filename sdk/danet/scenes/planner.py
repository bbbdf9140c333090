"""Builds a Plan: one action after the other, each from where the last one ended."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from numpy.random import Generator

from danet.scenes.motion import Place, Upper
from danet.scenes.plan import HEEL, RAMP, Dip, Key, Move, Plan, Step, passed_at
from danet.scenes.poses import ARM_LIMITS, ARM_MODES, Angles
from danet.scenes.sampling import between, coin, pick

STEP = 0.40
"""Length of a step at WALKING_SPEED, in standing heights."""
WALKING_SPEED = 1.2
"""Metres per second."""
TURNING_SPEED = 115.0
"""Degrees per second."""
DOUBLE_SUPPORT = 0.14
"""Share of a step during which both feet are on the ground."""
GESTURES = ("wave", "raised", "reach", "akimbo", "folded", "sideways", "to_face", "carry", "overhead")
GESTURE_SECONDS = 0.9


@dataclass
class Planner:
    """Adds actions to a time line.

    Args:
        rng: draws gestures and idle angles.
        tall: the person's height, metres.
        place: where the person is now; its yaw is not wrapped.
        apart: of each foot from the middle, in standing heights.
        time: of now, seconds.
    """

    rng: Generator
    tall: float
    place: Place
    apart: float = 0.055
    time: float = 0.0
    _moves: list[Move] = field(default_factory=list)
    _steps: tuple[list[Step], list[Step]] = field(default_factory=lambda: ([], []))
    _keys: list[Key] = field(default_factory=list)
    _dips: list[Dip] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stood = (self._hold(self.place, 0), self._hold(self.place, 1))
        self._feet = list(self._stood)
        self._landed = [0.0, 0.0]
        self._moves.append(Move(0.0, 1e-3, self.place, self.place))
        self.idle = idle(self.rng)
        self._keys.append(Key(0.0, self.idle))

    def plan(self) -> Plan:
        """What was added so far."""
        steps = (tuple(self._steps[0]), tuple(self._steps[1]))
        restless = between(self.rng, 0, 2 * math.pi)
        return Plan(tuple(self._moves), steps, self._stood, tuple(self._keys), tuple(self._dips), restless)

    def _hold(self, place: Place, side: int) -> Place:
        sign = 1 - 2 * side
        beside = place.ahead(0.0, sign * self.apart * self.tall)
        return Place(beside.x, beside.z, beside.yaw + sign * (4 + 120 * max(0.0, self.apart - 0.055) / 0.3))

    def wait_until(self, time: float) -> None:
        """Stand still."""
        self.time = max(self.time, time)

    def turn_to(self, yaw: float) -> None:
        """Turn on the spot, the shorter way, with two footsteps for each quarter."""
        change = (yaw - self.place.yaw + 180) % 360 - 180
        if abs(change) < 2:
            return
        span = max(0.7, abs(change) / TURNING_SPEED)
        target = Place(self.place.x, self.place.z, self.place.yaw + change)
        pairs = math.ceil(abs(change) / 95)
        # the foot on the inner side goes first: both then only ever point outwards from the pelvis
        first, each = (0 if change > 0 else 1), span / (2 * pairs)
        for count in range(2 * pairs):
            turned = Place(self.place.x, self.place.z, self.place.yaw + change * (count // 2 + 1) / pairs)
            side, lift = first ^ (count % 2), self.time + count * each
            self._step(side, lift, lift + 0.92 * each, self._hold(turned, side), 10.0)
        self._move(target, span)

    def walk_to(self, x: float, z: float, speed: float = WALKING_SPEED) -> None:
        """Turn towards x, z and walk there in a straight line, at most at `speed` metres per second."""
        length = math.hypot(x - self.place.x, z - self.place.z)
        if length < 0.1:
            return
        self.turn_to(heading(self.place, x, z))
        stride = STEP * self.tall * min(1.15, max(0.7, speed / WALKING_SPEED))
        # ramps cost half their time each; a short walk never gets to its speed
        span = max(length / speed + RAMP, 2 * RAMP)
        target = Place(x, z, self.place.yaw)
        self._stride_along(length, span, max(1, round(length / stride)))
        self._move(target, span)

    def _stride_along(self, length: float, span: float, count: int) -> None:
        """Footsteps of a walk: a foot lands when the pelvis is half a step behind it; the last one closes up."""
        step = length / count
        lands = [(index + 0.5) / count for index in range(count)] + [1.0]
        lifts = [0.0] + [share + DOUBLE_SUPPORT / count for share in lands[:-1]]
        side = 0 if self._landed[0] <= self._landed[1] else 1
        heel = HEEL * min(1.0, step / (STEP * self.tall))
        for index, (lift, land) in enumerate(zip(lifts, lands, strict=True)):
            ahead = min(index + 1, count) * step
            start, end = (self.time + passed_at(part, span) for part in (lift, land))
            hold = self._hold(self.place.ahead(ahead, 0.0), side)
            self._step(side, start, end, hold, heel * (0.4 if index == 0 else 1.0))
            side = 1 - side

    def _step(self, side: int, lift: float, land: float, target: Place, heel: float) -> None:
        # the heel goes up once the other foot takes the weight
        rise = max(self._landed[side] + 0.02, lift - 0.22)
        self._steps[side].append(Step(min(rise, lift), lift, land, self._feet[side], target, heel))
        self._feet[side], self._landed[side] = target, land

    def _move(self, target: Place, span: float) -> None:
        self._moves.append(Move(self.time, self.time + span, self.place, target))
        self.place, self.time = target, self.time + span

    def gesture(self, seconds: float) -> None:
        """Stand for some seconds and move the arms and head, at last back to rest."""
        end = self.time + seconds
        count = int((seconds - GESTURE_SECONDS) / (1.5 * GESTURE_SECONDS))
        if count < 1:
            self.wait_until(end)
            return
        self._keys.append(Key(self.time, self.idle))
        for index in range(count):
            reached = self.time + (1.5 * index + 1) * GESTURE_SECONDS
            upper = gesture(self.rng, self.idle)
            self._keys += [Key(reached, upper), Key(reached + 0.5 * GESTURE_SECONDS, upper)]
        self.time = max(end, self._keys[-1].time + GESTURE_SECONDS)
        self._keys.append(Key(self._keys[-1].time + GESTURE_SECONDS, self.idle))

    def squat(self, seconds: float, depth: float) -> None:
        """Go down by `depth` standing heights and up again."""
        self._dips.append(Dip(self.time, self.time + seconds, depth))
        self.time += seconds


def heading(place: Place, x: float, z: float) -> float:
    """Yaw towards x, z."""
    return math.degrees(math.atan2(x - place.x, place.z - z))


def idle(rng: Generator) -> Upper:
    """How a person holds arms, spine and head when nothing is to do."""
    arm: Angles = (between(rng, -4, 6), between(rng, 6, 12), between(rng, 0, 20), between(rng, 8, 22))
    return Upper((between(rng, -1, 4), 0.0, 0.0), (between(rng, -4, 8), 0.0, 0.0), (arm, arm), 1.0)


def gesture(rng: Generator, rest: Upper) -> Upper:
    """One or both arms in a mode of `poses`, the head a little turned."""
    left, right = _arm(rng), _arm(rng)
    arms = pick(rng, ((left, rest.arms[1]), (rest.arms[0], right), (left, right), (left, left)))
    spine: Angles = (rest.spine[0] + between(rng, -3, 6), between(rng, -5, 5), between(rng, -10, 10))
    neck: Angles = (rest.neck[0] + between(rng, -6, 8), between(rng, -5, 5), between(rng, -25, 25))
    return Upper(spine, neck, arms, 0.3 if coin(rng, 0.9) else 1.0)


def _arm(rng: Generator) -> Angles:
    mode = pick(rng, GESTURES)
    drawn = (between(rng, *span) for span in ARM_MODES[mode])
    return tuple(max(low, min(high, angle)) for angle, (low, high) in zip(drawn, ARM_LIMITS, strict=True))
