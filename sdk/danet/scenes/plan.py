"""What a person does in a clip, planned ahead: walks, turns, footsteps, gestures and squats on a time line.

Everything can be asked for at any time, in any order. Seconds, metres and degrees; see `motion` for the axes.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, replace

from danet.scenes.motion import Foot, Place, Posture, Upper, smooth

RAMP = 0.5
"""Seconds in which a walk gets to its speed, and to rest again."""
HEEL = 34.0
"""Degrees by which the heel is up when a foot leaves the ground in a full stride."""
CLEARANCE = 0.055
"""Metres by which a foot is lifted in its swing."""


@dataclass(frozen=True)
class Move:
    """The pelvis goes from one place to another; a turn where only yaw differs."""

    start: float
    end: float
    origin: Place
    target: Place

    def at(self, time: float) -> Place:
        """The place at a time within or outside the move."""
        walk = math.hypot(self.target.x - self.origin.x, self.target.z - self.origin.z) > 0
        span, passed = self.end - self.start, min(max(time - self.start, 0.0), self.end - self.start)
        share = walked(passed, span) if walk else smooth(passed / span)
        first, last = self.origin, self.target
        return Place(*(a + share * (b - a) for a, b in ((first.x, last.x), (first.z, last.z), (first.yaw, last.yaw))))


def walked(passed: float, span: float) -> float:
    """Share of a walk of `span` seconds that is done after `passed`: speed goes up and down along ramps."""
    ramp = min(RAMP, span / 2)
    if passed > span / 2:
        return 1 - walked(span - passed, span)
    return (passed**2 / (2 * ramp) if passed < ramp else passed - ramp / 2) / (span - ramp)


def passed_at(share: float, span: float) -> float:
    """Seconds after which `walked` gives a share."""
    ramp = min(RAMP, span / 2)
    if share > 0.5:
        return span - passed_at(1 - share, span)
    way = share * (span - ramp)
    return math.sqrt(2 * ramp * way) if way < ramp / 2 else way + ramp / 2


@dataclass(frozen=True)
class Step:
    """One foot leaves the ground and lands elsewhere.

    Args:
        rise: from when the heel goes up.
        lift: when the foot leaves the ground.
        land: when it is down again, flat.
        origin: where it stood.
        target: where it lands.
        heel: degrees of the toes down at `lift`.
    """

    rise: float
    lift: float
    land: float
    origin: Place
    target: Place
    heel: float

    def at(self, time: float) -> Foot:
        """The foot from the heel's rise on."""
        if time < self.lift:
            return Foot(self.origin, 0.0, self.heel * smooth((time - self.rise) / max(self.lift - self.rise, 1e-6)))
        if time >= self.land:
            return Foot(self.target, 0.0, 0.0)
        share = (time - self.lift) / (self.land - self.lift)
        gone, turned = smooth(share), self.target.yaw - self.origin.yaw
        place = Place(
            self.origin.x + gone * (self.target.x - self.origin.x),
            self.origin.z + gone * (self.target.z - self.origin.z),
            self.origin.yaw + gone * turned,
        )
        # toes come up in the second half for the heel to land first
        toes = self.heel * (1 - smooth(1.4 * share)) - 0.3 * self.heel * math.sin(math.pi * share) ** 2 * share
        return Foot(place, CLEARANCE * math.sin(math.pi * share) ** 2, toes)


@dataclass(frozen=True)
class Key:
    """What the upper body does at a time; between two keys it goes smoothly from one to the next."""

    time: float
    upper: Upper


@dataclass(frozen=True)
class Dip:
    """One squat, down and up, `depth` body units deep."""

    start: float
    end: float
    depth: float

    def at(self, time: float) -> float:
        """0 upright, 1 lowest."""
        return 0.5 - 0.5 * math.cos(2 * math.pi * (time - self.start) / (self.end - self.start))


@dataclass(frozen=True)
class Plan:
    """The whole time line of one person; what is before the first entry is as at its beginning.

    Args:
        moves: by time.
        steps: of the left and the right foot, by time.
        stood: where the feet stand before their first steps.
        keys: by time; at least one.
        dips: by time, none overlapping.
        restless: phase of the small movements of one who stands, radians.
    """

    moves: tuple[Move, ...]
    steps: tuple[tuple[Step, ...], tuple[Step, ...]]
    stood: tuple[Place, Place]
    keys: tuple[Key, ...]
    dips: tuple[Dip, ...]
    restless: float

    def place(self, time: float) -> Place:
        """Where the pelvis is."""
        return self.moves[max(bisect_right(self.moves, time, key=lambda move: move.start) - 1, 0)].at(time)

    def posture(self, time: float) -> Posture:
        """All of the person."""
        squat, depth = self._squat(time)
        return Posture(self.place(time), (self._foot(0, time), self._foot(1, time)), self._upper(time), squat, depth)

    def _foot(self, side: int, time: float) -> Foot:
        steps = self.steps[side]
        index = bisect_right(steps, time, key=lambda step: step.rise) - 1
        return steps[index].at(time) if index >= 0 else Foot(self.stood[side], 0.0, 0.0)

    def _upper(self, time: float) -> Upper:
        index = bisect_right(self.keys, time, key=lambda key: key.time)
        before, after = self.keys[max(index - 1, 0)], self.keys[min(index, len(self.keys) - 1)]
        share = (time - before.time) / (after.time - before.time) if after.time > before.time else 0.0
        upper = before.upper.mixed(after.upper, smooth(share))
        # nobody stands like a statue
        sway = math.sin(1.1 * time + self.restless), math.sin(0.73 * time + 2 * self.restless)
        bend, lean, twist = upper.spine
        pitch, aside, turn = upper.neck
        return replace(
            upper, spine=(bend + 0.6 * sway[0], lean + 0.7 * sway[1], twist), neck=(pitch, aside, turn + 3 * sway[1])
        )

    def _squat(self, time: float) -> tuple[float, float]:
        index = bisect_right(self.dips, time, key=lambda dip: dip.start) - 1
        if index < 0 or time >= self.dips[index].end:
            return 0.0, 0.0
        return self.dips[index].at(time), self.dips[index].depth
