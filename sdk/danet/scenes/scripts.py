"""What happens in a clip: scripts with known events, each a plan for every person."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from danet.scenes.motion import Place
from danet.scenes.plan import Plan
from danet.scenes.planner import Planner, heading
from danet.scenes.sampling import between, coin, pick
from danet.scenes.stage import View

NEAREST, FARTHEST = 3.1, 5.9
"""Metres: adults are 250 to 600 pixels tall in a frame of 720 rows."""


Spot = tuple[float, float]
"""x and z, metres."""


@dataclass(frozen=True)
class Event:
    """Something that happens to a person of a clip.

    Args:
        kind: "squat": one repetition, down and up. "away": walks out of the frame and comes back.
            "pass": walks past another person who walks the other way. "behind": walks past behind the pillar.
        person: the id.
        start_s: when it begins, seconds.
        end_s: when it is over.
    """

    kind: str
    person: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Script:
    """Plans of all persons, and what is known of them.

    Args:
        plans: of person 1, 2, ...
        events: by time.
        pillar: x and z of a pillar's middle and its breadth, metres; None without one.
    """

    plans: tuple[Plan, ...]
    events: tuple[Event, ...]
    pillar: tuple[float, float, float] | None = None


@dataclass
class Cast:
    """What the scripts share: planners of all persons, and the plans that are done."""

    rng: Generator
    view: View
    talls: list[float]
    seconds: float

    def __post_init__(self) -> None:
        self.plans: list[Plan] = []
        self.events: list[Event] = []
        self.pillar: tuple[float, float, float] | None = None

    def spot(self, across: float, z: float, tall: float) -> Spot:
        """x, z of a place where a person is whole in the frame; `across` from -1 (left) to 1."""
        return across * max(0.1, self.view.reach(z) - 0.36 * tall), z

    def planner(self, across: float, z: float, yaw: float | None = None, apart: float = 0.055) -> Planner:
        """The next person's, standing at a place; facing the camera more or less if not told otherwise."""
        tall = self.talls[len(self.plans)]
        facing = between(self.rng, -45, 45) if yaw is None else yaw
        return Planner(self.rng, tall, Place(*self.spot(across, z, tall), facing), apart)

    def finish(self, planner: Planner) -> None:
        """The person is done; the next one is planned around it."""
        self.plans.append(planner.plan())

    def note(self, kind: str, start: float, end: float) -> None:
        """An event of the person under way, if it is over when the clip is."""
        if end <= self.seconds:
            self.events.append(Event(kind, len(self.plans) + 1, start, end))

    def taken(self, time: float, moving: bool) -> list[Spot]:
        """Where others are; nobody is to stop behind the pillar, though all may pass there."""
        places = [plan.place(time) for plan in self.plans]
        post = [self.pillar[:2]] if self.pillar and not moving else []
        return [(place.x, place.z) for place in places] + post

    def script(self) -> Script:
        """All that was planned."""
        return Script(tuple(self.plans), tuple(sorted(self.events, key=lambda event: event.start_s)), self.pillar)


def walk(cast: Cast) -> Script:
    """All walk about, stand and gesture."""
    roam(cast, len(cast.talls))
    return cast.script()


def roam(cast: Cast, until: int, nearest: float = NEAREST) -> None:
    """Persons up to number `until` walk about, mostly where nobody else is in the picture."""
    for tall in cast.talls[len(cast.plans) : until]:
        start = min(_offers(cast, tall, nearest), key=lambda offer: _meetings(cast, tall, 0.0, offer, offer))
        planner = Planner(cast.rng, tall, Place(*start, between(cast.rng, -45, 45)))
        planner.gesture(between(cast.rng, 1.0, 3.5))
        while planner.time < cast.seconds:
            _stroll(cast, planner, nearest)
            if coin(cast.rng, 0.6):
                planner.turn_to(pick(cast.rng, (-1, 1)) * between(cast.rng, 0, 70))
            planner.gesture(between(cast.rng, 1.5, 5.0))
        cast.finish(planner)


def _offers(cast: Cast, tall: float, nearest: float) -> list[Spot]:
    return [cast.spot(between(cast.rng, -1, 1), between(cast.rng, nearest, FARTHEST), tall) for _ in range(12)]


def _stroll(cast: Cast, planner: Planner, nearest: float) -> None:
    """Walk to the one of several places on the way to which the fewest others are met."""
    here = (planner.place.x, planner.place.z)
    offers = _offers(cast, planner.tall, nearest)
    far = [offer for offer in offers if math.dist(offer, here) > 1.0]
    best = min(far or offers, key=lambda offer: _meetings(cast, planner.tall, planner.time, here, offer))
    planner.walk_to(*best, speed=between(cast.rng, 0.95, 1.35))


def _meetings(cast: Cast, tall: float, now: float, start: Spot, target: Spot) -> float:
    """How much one who goes from `start` to `target` overlaps others in the picture, until some seconds later."""
    span = math.dist(start, target) / 1.1
    total = 0.0
    for time in np.arange(0.0, span + 5.0, 0.3).tolist():
        share = min(1.0, max(0.0, time - 0.8) / max(span, 0.1))
        x, z = (a + share * (b - a) for a, b in zip(start, target, strict=True))
        for other_x, other_z in cast.taken(now + time, moving=share < 1):
            room = 0.33 * cast.view.focal * tall * (1 / z + 1 / other_z)
            total += max(0.0, 1 - abs(cast.view.column(x, z) - cast.view.column(other_x, other_z)) / room)
            total += 4 * max(0.0, 1 - math.dist((x, z), (other_x, other_z)) / 0.8)
    return total


def cross(cast: Cast) -> Script:
    """The first two walk past each other again and again, one nearer to the camera; others stroll behind."""
    side = pick(cast.rng, (-1, 1))
    for across, z in ((side, between(cast.rng, 3.2, 3.5)), (-side, between(cast.rng, 4.8, 5.2))):
        planner = cast.planner(0.85 * across, z, yaw=0.0)
        start, goal = 2.2, -0.85 * across
        while start < cast.seconds:
            x, _ = cast.spot(goal, z, planner.tall)
            planner.turn_to(heading(planner.place, x, z))
            planner.wait_until(start)
            planner.walk_to(x, z, speed=_speed_for(abs(x - planner.place.x), 3.6))
            cast.note("pass", start, planner.time)
            planner.turn_to(between(cast.rng, -30, 30))
            planner.gesture(between(cast.rng, 0.5, 3.5))
            start, goal = start + 9.0, -goal
        cast.finish(planner)
    roam(cast, len(cast.talls), 5.4)
    return cast.script()


def _speed_for(length: float, span: float) -> float:
    """Metres per second of a walk that takes `span` seconds, ramps and all."""
    return max(length, 0.1) / (span - 0.5)


def leave(cast: Cast) -> Script:
    """The first person walks out of the frame, stays away for some seconds and comes back; others stroll."""
    side, z = pick(cast.rng, (-1, 1)), between(cast.rng, 3.6, 4.6)
    planner = cast.planner(0.45 * side, z)
    planner.gesture(between(cast.rng, 1.0, 2.0))
    while planner.time < cast.seconds:
        outside = side * (cast.view.reach(z) + 0.75 * planner.tall)
        planner.turn_to(heading(planner.place, outside, z))
        start = planner.time
        planner.walk_to(outside, z)
        planner.wait_until(planner.time + between(cast.rng, 1.0, 3.0))
        x, z = cast.spot(side * between(cast.rng, 0.1, 0.8), between(cast.rng, 3.6, 4.6), planner.tall)
        planner.walk_to(x, z)
        cast.note("away", start, planner.time)
        planner.turn_to(between(cast.rng, -40, 40))
        planner.gesture(between(cast.rng, 2.0, 4.0))
    cast.finish(planner)
    roam(cast, len(cast.talls))
    return cast.script()


def occlude(cast: Cast) -> Script:
    """The first person walks to and fro behind a pillar; others stroll, behind it as well."""
    post_z = between(cast.rng, 2.9, 3.3)
    cast.pillar = (between(cast.rng, -0.25, 0.25), post_z, between(cast.rng, 0.38, 0.5))
    side, z = pick(cast.rng, (-1, 1)), between(cast.rng, 4.4, 5.0)
    planner = cast.planner(0.7 * side, z)
    planner.gesture(1.0)
    while planner.time < cast.seconds:
        side = -side
        x, _ = cast.spot(0.7 * side, z, planner.tall)
        planner.turn_to(heading(planner.place, x, z))
        start = planner.time
        planner.walk_to(x, z, speed=between(cast.rng, 1.0, 1.3))
        cast.note("behind", start, planner.time)
        planner.turn_to(between(cast.rng, -40, 40))
        planner.gesture(between(cast.rng, 0.5, 3.0))
    cast.finish(planner)
    roam(cast, len(cast.talls), post_z + 0.6)
    return cast.script()


def squat(cast: Cast) -> Script:
    """All do squats side by side, in sets with a rest between them."""
    count = len(cast.talls)
    places = np.linspace(-0.8, 0.8, count).tolist() if count > 1 else [0.0]
    for across in places:
        planner = cast.planner(across, between(cast.rng, 3.4, 4.4), between(cast.rng, -60, 60), apart=0.10)
        planner.idle = replace(planner.idle, swing=0.0)
        planner.wait_until(between(cast.rng, 1.0, 1.8))
        repetitions = 0
        while (span := between(cast.rng, 1.9, 2.8)) + planner.time < cast.seconds - 0.4:
            start = planner.time
            planner.squat(span, between(cast.rng, 0.19, 0.25))
            cast.note("squat", start, planner.time)
            repetitions += 1
            rest = between(cast.rng, 0.25, 0.9) if repetitions % 6 else 3.5
            planner.wait_until(planner.time + rest)
        cast.finish(planner)
    return cast.script()


SCRIPTS: dict[str, tuple[Callable[[Cast], Script], int]] = {
    "walk": (walk, 1),
    "cross": (cross, 2),
    "leave": (leave, 1),
    "occlude": (occlude, 1),
    "squat": (squat, 1),
}
"""Per name, the function that plans and the fewest persons that it needs."""
