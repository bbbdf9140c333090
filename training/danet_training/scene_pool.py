"""Rendered scenes on the training device, renewed all the time by processes that do nothing else."""

from __future__ import annotations

import os
import queue
import signal
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from danet.errors import BackendError
from danet.keypoints import COCO_KEYPOINTS
from danet_training.dataset import RenderedSource
from danet_training.device_augment import Persons
from danet_training.picture_store import PictureStore

_KEYPOINTS = len(COCO_KEYPOINTS)
GROUP = 4
"""Scenes that a renderer hands over at once."""
_GROUPS_PER_RENDERER = 2
_PATIENCE = 120.0
"""Seconds without a scene after which the renderers count as stuck."""
_GLANCE = 0.5
"""Seconds between two looks at whether they are alive."""
_GROUPS_AT_ONCE = 8
"""Most groups that one refresh moves to the device, so that a step never waits long for it."""


class _Shared(NamedTuple):
    """Where renderers leave their scenes: one slot for each."""

    images: NDArray[np.uint8]
    boxes: NDArray[np.float64]
    keypoints: NDArray[np.float64]
    visibility: NDArray[np.int8]
    counts: NDArray[np.int64]


class ScenePool:
    """The newest `scenes` rendered scenes in the device's memory.

    Samples are drawn from the pool, each scene several times; its oldest scenes are replaced by what the
    renderers have made meanwhile, up to 32 in one `refresh`. What a run sees therefore depends on their
    pace: unlike the samples that workers make by number, these are not the same twice.

    Args:
        scenes: how many the pool holds.
        renderers: processes, at least 1.
        seed: of the scenes.
        device: where the pool lies.

    Raises:
        BackendError: no scene came for two minutes, a renderer ended, or the system lacks shared memory.
    """

    def __init__(self, scenes: int, renderers: int, seed: tuple[int, ...], device: torch.device) -> None:
        self.store = PictureStore.empty(scenes, RenderedSource.FRAME, device)
        most = RenderedSource.MOST_PERSONS
        self._device = device
        self._boxes = torch.zeros((scenes, most, 4), dtype=torch.float64, device=device)
        self._keypoints = torch.zeros((scenes, most, _KEYPOINTS, 2), dtype=torch.float64, device=device)
        self._visibility = torch.zeros((scenes, most, _KEYPOINTS), dtype=torch.int8, device=device)
        self._counts = torch.zeros(scenes, dtype=torch.int64, device=device)
        self.filled = 0
        self.rendered = 0
        groups = renderers * _GROUPS_PER_RENDERER
        self._memory = _shared_memory(_layout_bytes(groups * GROUP))
        self._shared = _shared_arrays(self._memory, groups * GROUP)
        context = get_context("spawn")  # a fork would take the device's context along
        self._free: Queue[int] = context.Queue()
        self._ready: Queue[int] = context.Queue()
        for group in range(groups):
            self._free.put(group)
        self._renderers: list[BaseProcess] = [
            context.Process(
                target=_render_forever,
                args=(self._memory.name, groups * GROUP, self._free, self._ready, (*seed, number)),
                daemon=True,
                name=f"renderer {number}",
            )
            for number in range(renderers)
        ]
        try:
            for process in self._renderers:
                process.start()
        except BaseException:
            self.close()
            raise

    def refresh(self, at_least: int = 0) -> None:
        """Take some of what has been rendered since; wait until the pool holds `at_least` scenes."""
        waited = 0.0
        taken = 0
        while self.filled < at_least or taken < _GROUPS_AT_ONCE:
            waits = self.filled < at_least
            if waits or not taken:
                self._check(waited)
            try:
                group = self._ready.get(timeout=_GLANCE) if waits else self._ready.get_nowait()
            except queue.Empty:
                if not waits:
                    return
                waited += _GLANCE
                continue
            waited, taken = 0.0, taken + 1
            self._take(group)
            self._free.put(group)

    def _check(self, waited: float) -> None:
        dead = [f"{one.name} (status {one.exitcode})" for one in self._renderers if not one.is_alive()]
        if dead or waited > _PATIENCE:
            raise BackendError(
                f"renderers of scenes gave {self.rendered} and no more; ended: {', '.join(dead) or 'none'}; "
                "start the run again, which goes on from its last state"
            )

    def _take(self, group: int) -> None:
        capacity = len(self._counts)
        first = self.rendered % (capacity - capacity % GROUP)
        source, place = slice(group * GROUP, (group + 1) * GROUP), slice(first, first + GROUP)
        self.store.put(first, self._shared.images[source])
        self._boxes[place] = torch.from_numpy(self._shared.boxes[source]).to(self._device)
        self._keypoints[place] = torch.from_numpy(self._shared.keypoints[source]).to(self._device)
        self._visibility[place] = torch.from_numpy(self._shared.visibility[source]).to(self._device)
        self._counts[place] = torch.from_numpy(self._shared.counts[source]).to(self._device)
        self.rendered += GROUP
        self.filled = max(self.filled, first + GROUP)

    def draw(self, count: int, generator: torch.Generator) -> Persons:
        """Persons of scenes of the pool, each scene as likely as each other."""
        scenes = torch.randint(self.filled, (count,), device=self._device, generator=generator)
        shares = torch.rand(count, device=self._device, generator=generator)
        persons = (shares * self._counts[scenes]).long()
        return Persons(
            scenes, self._boxes[scenes, persons], self._keypoints[scenes, persons], self._visibility[scenes, persons]
        )

    def close(self) -> None:
        """End the renderers."""
        started = [process for process in self._renderers if process.pid is not None]
        for process in started:
            process.terminate()
        for process in started:
            process.join()
        self._shared = None  # type: ignore[assignment] # its arrays would keep the memory open
        self._memory.unlink()
        with suppress(BufferError):  # of an array in the traceback of what ended the run
            self._memory.close()


def _shared_memory(size: int) -> SharedMemory:
    """Memory that is there: a full /dev/shm would otherwise kill whoever writes to it."""
    try:
        memory = SharedMemory(create=True, size=size)
        if hasattr(os, "posix_fallocate") and Path("/dev/shm", memory.name).exists():
            with Path("/dev/shm", memory.name).open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        raise BackendError(
            f"no {size / 1e6:.0f} MB of shared memory for the renderers ({error.strerror or error}); give the "
            "container more (docker run --shm-size), or the config fewer workers"
        ) from error
    return memory


def _fields(slots: int) -> list[tuple[str, tuple[int, ...], Any]]:
    most = RenderedSource.MOST_PERSONS
    return [
        ("keypoints", (slots, most, _KEYPOINTS, 2), np.float64),
        ("boxes", (slots, most, 4), np.float64),
        ("counts", (slots,), np.int64),
        ("images", (slots, *RenderedSource.FRAME, 3), np.uint8),
        ("visibility", (slots, most, _KEYPOINTS), np.int8),
    ]


def _layout_bytes(slots: int) -> int:
    return sum(int(np.prod(shape)) * np.dtype(kind).itemsize for _, shape, kind in _fields(slots))


def _shared_arrays(memory: SharedMemory, slots: int) -> _Shared:
    arrays: dict[str, NDArray[Any]] = {}
    offset = 0
    for name, shape, kind in _fields(slots):
        arrays[name] = np.ndarray(shape, kind, memory.buf, offset)
        offset += arrays[name].nbytes
    return _Shared(**arrays)


def _render_forever(name: str, slots: int, free: Queue[int], ready: Queue[int], seed: tuple[int, ...]) -> None:
    """A renderer: fill a free group of slots, hand it over, again."""
    cv2.setNumThreads(0)  # the processes are the parallelism
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C goes to all; the parent ends this one
    memory = SharedMemory(name)
    shared = _shared_arrays(memory, slots)
    rng = np.random.default_rng(seed)
    parent = parent_process()
    while parent is None or parent.is_alive():  # a killed one leaves nobody who would end this process
        try:
            group = free.get(timeout=_GLANCE)
        except queue.Empty:
            continue
        for slot in range(group * GROUP, (group + 1) * GROUP):
            scene = RenderedSource.scene(rng)
            count = len(scene.boxes)
            shared.images[slot] = scene.image
            shared.boxes[slot, :count] = scene.boxes
            shared.keypoints[slot, :count] = scene.keypoints
            shared.visibility[slot, :count] = scene.visibility
            shared.counts[slot] = count
        ready.put(group)
