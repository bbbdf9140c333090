"""Seeded video of moving persons with exact keypoints and known ids: for tests, benchmarks and demos of tracking.

clip = render_clip(7, seconds=10, script="cross")
for frame in clip:
    frame.image, frame.ids, frame.scene.keypoints
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from danet.errors import InputError
from danet.scenes import parts
from danet.scenes.arguments import MAX_SEED, frame_size, integer, moment, number
from danet.scenes.canvas import Canvas
from danet.scenes.figure import Figure, Silhouette, figure_keypoints, figure_visibility, silhouette
from danet.scenes.motion import stance
from danet.scenes.sampling import between
from danet.scenes.scene import Scene
from danet.scenes.scripts import SCRIPTS, Cast, Event
from danet.scenes.stage import View, backdrop, draw_shadow, grained, sample_pillar, steady_light
from danet.scenes.steady import draw_person, sample_person
from danet.typed_values import shown
from danet.video.frame import Frame

MAX_SECONDS = 86_400.0
MAX_FPS = 1000.0
MAX_PERSONS = 32
"""Each is planned around all before it: a minute of 10 takes a second to plan, of 32 some ten."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ClipFrame(Frame):
    """One frame of a clip and the truth about it."""

    scene: Scene
    """The picture and all persons of whom a keypoint lies in the frame, hidden or not; the nearest first."""
    ids: NDArray[np.int64]
    """(N,) int64, who they are, from 1: the same person has the same id all through the clip."""
    visible: NDArray[np.float32]
    """(N,) float32 in [0, 1], share of each figure's pixels within the frame that nothing covers."""

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers: index, time, and for each person id, box xyxy, [x, y, visibility] of keypoints."""
        scene = self.scene
        marks = np.concatenate((scene.keypoints, scene.visibility[..., None]), axis=2).round(3)
        rows = zip(self.ids.tolist(), scene.boxes.tolist(), self.visible.tolist(), marks.tolist(), strict=True)
        persons = [
            {
                "id": one,
                "box": box,
                "visible": round(visible, 4),
                "keypoints": [[x, y, int(level)] for x, y, level in mark],
            }
            for one, box, visible, mark in rows
        ]
        return {"index": self.index, "time_s": round(self.time_s, 6), "persons": persons}


class Clip:
    """Frames that are drawn when asked for, by iteration or by index, alike bit for bit in any order.

    What happens in them is planned when the clip is made. A source for `danet.video` as well. Made by `render_clip`.
    """

    live = False
    dropped = 0

    def __init__(self, seed: int, size: tuple[int, int], persons: int, seconds: float, fps: float, script: str) -> None:
        self.name = f"rendered clip {script}, seed {seed}"
        self.size = size
        """Height and width, pixels."""
        self.fps: float | None = fps
        self._count, self._rate, self._seed = round(seconds * fps), fps, seed
        self.frames: int | None = self._count
        rng = np.random.default_rng((seed, 1))
        self._view = View(*size)
        self._light = steady_light(rng)
        self._backdrop = backdrop(rng, self._view, self._light)
        self._persons = [sample_person(rng, self._backdrop) for _ in range(persons)]
        self._noise = between(rng, 0.02, 0.07)
        cast = Cast(rng, self._view, [person.tall for person in self._persons], min(seconds, self._count / fps))
        planned = SCRIPTS[script][0](cast)
        self._plans = planned.plans
        self.events: tuple[Event, ...] = planned.events
        """What happens, and to whom; only what is over before the clip ends."""
        post = planned.pillar
        self._pillar = sample_pillar(rng, self._view, self._light, post) if post else None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[ClipFrame]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> ClipFrame:
        """Frame `index`; a negative one counts from the end.

        Raises:
            IndexError: there is no such frame.
            TypeError: `index` is no integer.
        """
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} of a clip of {len(self)} frames")
        index %= len(self)
        canvas = Canvas(self._backdrop.copy(), np.zeros(self.size, np.uint16))
        figures = self._figures(index / self._rate)
        shapes = self._draw(canvas, figures)
        image = grained(canvas.image, self._noise, np.random.default_rng((self._seed, 2, index)))
        return _truth(canvas, image, figures, shapes, index, index / self._rate)

    def close(self) -> None:
        """Nothing to free: a clip holds no file."""

    def count(self, kind: str, person: int) -> int:
        """How many events of a kind there are for the person with this id: of "squat", the true repetitions."""
        return sum(event.kind == kind and event.person == person for event in self.events)

    def keypoints(self, time_s: float) -> dict[int, NDArray[np.float64]]:
        """Without drawing: keypoints (17, 2) float64 in pixels by id, at any time, also of who is out of the frame.

        Raises:
            InputError: `time_s` is NaN or infinite.
        """
        return {index + 1: figure_keypoints(figure) for index, figure in self._figures(moment(time_s)).items()}

    def _figures(self, time: float) -> dict[int, Figure]:
        """All persons, by index, from the farthest to the nearest."""
        figures: list[tuple[float, int, Figure]] = []
        for index, (person, plan) in enumerate(zip(self._persons, self._plans, strict=True)):
            stood = stance(person.build, person.tall, plan.posture(time))
            figures.append((stood.z, index, person.figure(stood, self._view)))
        return {index: figure for _, index, figure in sorted(figures, key=lambda entry: entry[:2], reverse=True)}

    def _draw(self, canvas: Canvas, figures: dict[int, Figure]) -> dict[int, Silhouette]:
        for index, figure in figures.items():
            draw_shadow(canvas, self._view, figure.camera, self._persons[index].tall)
        shapes, pillar = {}, self._pillar
        for index, figure in figures.items():
            person = self._persons[index]
            if pillar and figure.camera.distance * person.tall < pillar.z:
                pillar.draw(canvas)
                pillar = None
            draw_person(canvas, person, figure, self._light, index)
            shapes[index] = silhouette(canvas, index)
        if pillar:
            pillar.draw(canvas)
        return shapes


def _truth(
    canvas: Canvas,
    image: NDArray[np.uint8],
    figures: dict[int, Figure],
    shapes: dict[int, Silhouette],
    index: int,
    time_s: float,
) -> ClipFrame:
    """What a finished canvas shows."""
    points = {person: figure_keypoints(figure) for person, figure in figures.items()}
    levels = {person: figure_visibility(canvas, figure, points[person], person) for person, figure in figures.items()}
    # from the front to the back, as in Scene
    present = [person for person in reversed(figures) if shapes[person].area and levels[person].any()]
    scene = Scene(
        image,
        np.array([shapes[person].box for person in present], np.float32).reshape(-1, 4),
        np.array([points[person] for person in present], np.float32).reshape(-1, 17, 2),
        np.array([levels[person] for person in present], np.int8).reshape(-1, 17),
        np.array([shapes[person].area for person in present], np.float32),
    )
    visible = np.array([_uncovered(canvas, person, shapes[person]) for person in present], np.float32)
    ids = np.array(present, np.int64) + 1
    return ClipFrame(image=image, index=index, time_s=time_s, scene=scene, ids=ids, visible=visible)


def _uncovered(canvas: Canvas, person: int, shape: Silhouette) -> float:
    left, top, right, bottom = shape.box
    shown = cv2.inRange(canvas.ids[top:bottom, left:right], parts.code(person, 0), parts.code(person + 1, 0) - 1)
    return cv2.countNonZero(shown) / shape.area


def render_clip(
    seed: int,
    *,
    size: tuple[int, int] = (720, 1280),
    persons: int = 3,
    seconds: float = 60.0,
    fps: float = 25.0,
    script: str = "walk",
) -> Clip:
    """A clip of adults who move before a plain background.

    The same arguments give the same bits on one machine with one version of OpenCV; elsewhere the same persons,
    keypoints and events, and pixels within some grey levels.

    Args:
        seed: 0 <= seed < 2**63.
        size: height and width of the frames, pixels.
        persons: how many there are, 32 at most, and at least 1, or 2 where they cross; those without a part in the
            script stroll about, which takes time to plan (`MAX_PERSONS`).
        seconds: length; at least one frame.
        fps: frames per second.
        script: "walk": all walk, stand and gesture, seldom one before the other. "cross": two walk past
            each other, the nearer one hides the other for a moment. "leave": one walks out of the frame
            and comes back. "occlude": one walks behind a pillar. "squat": all do squats.

    Raises:
        InputError: an argument is outside its range.
    """
    if not isinstance(script, str) or script not in SCRIPTS:
        raise InputError(f"script is {shown(script)}; expected one of {', '.join(SCRIPTS)}")
    seed, size = integer("seed", seed, 0, MAX_SEED), frame_size(size)
    persons = integer("persons", persons, SCRIPTS[script][1], MAX_PERSONS)
    seconds, fps = number("seconds", seconds, MAX_SECONDS), number("fps", fps, MAX_FPS)
    if not round(seconds * fps):
        raise InputError(f"fps is {fps:g} for {seconds:g} seconds; expected {1 / seconds:g} at least, for one frame")
    return Clip(seed, size, persons, seconds, fps, script)


def mot_rows(frames: Iterable[ClipFrame]) -> NDArray[np.float64]:
    """The truth in MOTChallenge's columns: (R, 6) float64 of frame (from 1), id, left, top, width, height.

    Left and top are edge coordinates as everywhere in danet: 0 is the frame's edge, where MOTChallenge counts from 1.
    """
    rows = [
        (frame.index + 1, one, left, top, right - left, bottom - top)
        for frame in frames
        for one, (left, top, right, bottom) in zip(frame.ids.tolist(), frame.scene.boxes.tolist(), strict=True)
    ]
    return np.array(rows, np.float64).reshape(-1, 6)


def clip_truth(clip: Clip, frames: Iterable[ClipFrame] | None = None) -> dict[str, Any]:
    """The truth as plain lists and numbers, ready for JSON.

    Args:
        clip: where the frames come from.
        frames: those to include; all, which draws the clip once, if not given.
    """
    height, width = clip.size
    events = [vars(event) for event in clip.events]
    told = [frame.to_dict() for frame in (clip if frames is None else frames)]
    return {"name": clip.name, "fps": clip.fps, "height": height, "width": width, "events": events, "frames": told}
