"""Training samples made on the training device, from pictures that lie in its memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Generator

from danet.cpu import read_cpu
from danet.errors import InputError
from danet.model_spec import ModelSpec
from danet_training.config import Phase, Source, TrainConfig
from danet_training.dataset import Batch, load_source, refuse_hidden
from danet_training.device_augment import DeviceAugmenter, Persons
from danet_training.picture_store import PictureStore
from danet_training.processes import ALONE, Processes
from danet_training.scene_pool import ScenePool


class _Photos:
    """The persons of a COCO-format folder and their pictures."""

    def __init__(self, source: Source, device: torch.device) -> None:
        self.dataset = dataset = load_source(source)
        numbers = {picture: number for number, picture in enumerate({one.picture: None for one in dataset.persons})}
        try:
            self.store = PictureStore.read(tuple(numbers), device)
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"{dataset.annotation_file}: {len(numbers)} pictures do not fit the memory of {device} "
                f'({str(error).splitlines()[0]}); take crops = "workers"'
            ) from error
        self._device = device
        self._persons = Persons(
            torch.tensor([numbers[one.picture] for one in dataset.persons], device=device),
            torch.from_numpy(np.stack([one.box for one in dataset.persons])).to(device),
            torch.from_numpy(np.stack([one.keypoints for one in dataset.persons])).double().to(device),
            torch.from_numpy(np.stack([one.visibility for one in dataset.persons])).to(device),
        )

    def draw(self, count: int, generator: Generator) -> Persons:
        """Persons drawn at random."""
        rows = torch.randint(len(self._persons.boxes), (count,), device=self._device, generator=generator)
        return self._persons.chosen(rows)


class DeviceSamples:
    """Crops cut and changed on the training device; see `danet_training.dataset.SampleMaker`.

    A run that goes on from a state draws other samples than one that was never stopped.

    Args:
        config: sources, augmentation, seed, workers, scenes in the pool.
        spec: of the model at full size.
        device: of the training, whose memory takes all pictures of the sources.
        processes: of the run; this one's place among them.
        seen: samples that the run has seen before; a run that goes on renders other scenes.

    Raises:
        InputError: a "coco" source whose annotations or pictures cannot be read, or that the device has no memory
            for; or as `danet_training.dataset.refuse_hidden`.
        BackendError: renderers cannot be started.
    """

    def __init__(
        self, config: TrainConfig, spec: ModelSpec, device: torch.device, processes: Processes = ALONE, seen: int = 0
    ) -> None:
        self._seen = seen
        self._config = config
        self._spec = spec
        self._device = device
        self._processes = processes
        weights = np.array([source.weight for source in config.sources])
        self._shares = weights / weights.sum()
        self._sources: list[_Photos | ScenePool] = []
        try:
            for source in config.sources:
                self._sources.append(self._opened(source))
            refuse_hidden(config.sources, (one.dataset for one in self._sources if isinstance(one, _Photos)))
        except BaseException:
            self.close()
            raise

    def _opened(self, source: Source) -> _Photos | ScenePool:
        if source.kind == "coco":
            return _Photos(source, self._device)
        config = self._config
        renderers = max(1, min(config.workers, read_cpu().cores))
        seed = (config.seed, self._processes.rank, len(self._sources), self._seen)
        return ScenePool(config.pool_scenes, renderers, seed, self._device)

    def batches(self, phase: Phase, first: int, last: int, micro: int) -> Iterator[Batch]:
        """See `SampleMaker`; on the device."""
        seed = np.random.SeedSequence((self._config.seed, first, self._processes.rank))
        rng = np.random.default_rng(seed)
        generator = Generator(self._device).manual_seed(int(seed.generate_state(1)[0]))
        spec = replace(self._spec, input_size=phase.input_size)
        augmenter = DeviceAugmenter(spec, self._config.augmentation, generator)
        steps, share = (last - first) // phase.batch, self._processes.share(phase.batch)
        for _ in range(steps * share // micro):
            yield self._batch(rng.multinomial(micro, self._shares).tolist(), augmenter, generator)

    def _batch(self, counts: list[int], augmenter: DeviceAugmenter, generator: Generator) -> Batch:
        parts: list[Batch] = []
        for source, entry, count in zip(self._sources, self._config.sources, counts, strict=True):
            if isinstance(source, ScenePool):
                source.refresh(at_least=min(_FIRST_SCENES, self._config.pool_scenes // 2))
            if count:
                taught = torch.full((count,), entry.taught, device=self._device)
                parts.append((*augmenter(source.draw(count, generator), source.store), taught))
        images, keypoints, visibility, taught = (torch.cat(part) for part in zip(*parts, strict=True))
        return images, keypoints, visibility, taught

    def close(self) -> None:
        """End the renderers."""
        for source in self._sources:
            if isinstance(source, ScenePool):
                source.close()
        self._sources = []


_FIRST_SCENES = 256
"""Rendered before the first batch, so that it does not show one scene many times."""
