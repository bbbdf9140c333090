"""Training samples by number: sample n is the same person, cut alike, on every machine and with any workers.

Its bits are those of one version and build of OpenCV.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from danet.cpu import read_cpu
from danet.errors import DanetError, InputError
from danet.keypoints import COCO_KEYPOINTS
from danet.model_spec import ModelSpec
from danet.scenes.scene import Scene, render_scene
from danet_evaluation.coco import KeypointDataset, Picture, load_split, require_pictures
from danet_training.augment import Sample, make_sample
from danet_training.config import Augmentation, Phase, Source, TrainConfig
from danet_training.processes import ALONE, Processes

Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Images (N, H, W, 3) uint8 BGR, keypoints (N, K, 2) float32 crop pixels, visibility (N, K) int8, and whether the run's
teacher adds its heatmaps, (N,) bool."""


VISIBLE = 2


def refuse_hidden(entries: Sequence[Source], datasets: Iterable[KeypointDataset]) -> None:
    """Check that a run has keypoints by which the coarse scales learn; rendered scenes have.

    Args:
        entries: the run's sources.
        datasets: of those that are files.

    Raises:
        InputError: none is visible.
    """
    if any(entry.kind == "rendered" for entry in entries):
        return
    found = list(datasets)
    if not any((person.visibility == VISIBLE).any() for dataset in found for person in dataset.persons):
        raise InputError(
            f"{found[0].annotation_file}: no keypoint is visible (v = 2), by which alone the coarse scales learn; "
            "write 2 for labelled keypoints in sight, for all where that is not known"
        )


def load_source(source: Source) -> KeypointDataset:
    """The data set of a "coco" source, without its `content`, which for COCO's train2017 is gigabytes.

    Raises:
        InputError: no annotations that can be read, or as `refuse_unfit`.
    """
    dataset = load_split(Path(source.folder), source.split or "train")
    refuse_unfit(dataset)
    return replace(dataset, content={})


def refuse_unfit(dataset: KeypointDataset) -> None:
    """Check that a network of COCO's keypoints can be trained or measured on a data set of files.

    Raises:
        InputError: no person, other keypoints than COCO's, or pictures that are not there.
    """
    where = dataset.annotation_file or dataset.name
    if not dataset.persons:
        raise InputError(f"{where}: no person with labelled keypoints")
    counts = {len(person.visibility) for person in dataset.persons} - {len(COCO_KEYPOINTS)}
    if dataset.keypoints != COCO_KEYPOINTS or counts:
        raise InputError(
            f"{where}: {len(dataset.keypoints)} keypoints ({', '.join(dataset.keypoints[:3])}, ...), persons with "
            f"{', '.join(map(str, sorted(counts))) or len(COCO_KEYPOINTS)}, expected COCO's {len(COCO_KEYPOINTS)} "
            f"({', '.join(COCO_KEYPOINTS[:3])}, ...) in COCO's order"
        )
    require_pictures(where, {person.picture for person in dataset.persons})


class CocoSource:
    """Persons of a COCO-format folder, drawn at random."""

    def __init__(self, source: Source) -> None:
        self.dataset = load_source(source)
        self._cached: dict[Picture, NDArray[np.uint8]] = {}
        if source.cache:
            self._cached = {picture: picture.read() for picture in {one.picture: None for one in self.dataset.persons}}

    def draw(self, spec: ModelSpec, options: Augmentation, rng: np.random.Generator) -> Sample:
        """One augmented crop."""
        person = self.dataset.persons[rng.integers(len(self.dataset.persons))]
        image = self._cached.get(person.picture)
        if image is None:
            image = person.picture.read()
        return make_sample(image, person.box, person.keypoints, person.visibility, spec, options, rng)


class RenderedSource:
    """Persons of scenes rendered on the fly."""

    FRAME = (320, 320)
    MOST_PERSONS = 3

    @classmethod
    def scene(cls, rng: np.random.Generator) -> Scene:
        """A fresh scene of at least one person, without those who are hidden wholly: their crops show somebody else."""
        while True:
            seed = int(rng.integers(1 << 62))
            scene = render_scene(seed, cls.FRAME, persons=int(rng.integers(1, cls.MOST_PERSONS + 1))).in_sight()
            if len(scene.boxes):
                return scene

    def draw(self, spec: ModelSpec, options: Augmentation, rng: np.random.Generator) -> Sample:
        """One augmented crop of a fresh scene."""
        scene = self.scene(rng)
        index = int(rng.integers(len(scene.boxes)))
        box = scene.boxes[index].astype(np.float64)
        return make_sample(scene.image, box, scene.keypoints[index], scene.visibility[index], spec, options, rng)


class Samples(Dataset[Batch | DanetError]):
    """Sample number -> augmented crop; the number seeds everything that is random about it.

    What cannot be read is given as its error: of one that a worker raises, torch keeps the traceback for a message.

    Args:
        sources: where crops come from.
        entries: of the config, one to a source: their weights, and which of them are taught.
        spec: gives the crop's size and recipe.
        options: of the augmentation.
        seed: of the run.
    """

    def __init__(
        self,
        sources: tuple[CocoSource | RenderedSource, ...],
        entries: tuple[Source, ...],
        spec: ModelSpec,
        options: Augmentation,
        seed: int,
    ) -> None:
        self.sources = sources
        weights = np.array([entry.weight for entry in entries])
        self.shares = weights / weights.sum()
        self.taught = torch.tensor([entry.taught for entry in entries])
        self.spec = spec
        self.options = options
        self.seed = seed

    def __getitem__(self, number: int) -> Batch | DanetError:
        """One sample, without the batch's dimension."""
        rng = np.random.default_rng((self.seed, number))
        source = int(rng.choice(len(self.sources), p=self.shares))
        try:
            sample = self.sources[source].draw(self.spec, self.options, rng)
        except DanetError as error:
            return error
        arrays = sample.image, sample.keypoints, sample.visibility
        image, keypoints, visibility = map(torch.from_numpy, arrays)
        return image, keypoints, visibility, self.taught[source]


class Numbers(Sampler[int]):
    """The sample numbers of one process: of each step's batch, the stretch that falls to its rank.

    So the processes of a run see in one step what one process with their micro-batches would see.

    Args:
        first: of the run's next step.
        last: end of the phase; a step that would pass it is left out.
        batch: samples to a step, of all processes.
        processes: whose stretch.
    """

    def __init__(self, first: int, last: int, batch: int = 1, processes: Processes = ALONE) -> None:
        self._starts = range(first, last - batch + 1, batch)
        self._share = processes.share(batch)
        self._offset = processes.rank * self._share

    def __iter__(self) -> Iterator[int]:
        """In order."""
        for start in self._starts:
            yield from range(start + self._offset, start + self._offset + self._share)

    def __len__(self) -> int:
        """How many."""
        return len(self._starts) * self._share


class SampleMaker(Protocol):
    """Makes the batches of a run; closed at its end."""

    def batches(self, phase: Phase, first: int, last: int, micro: int) -> Iterator[Batch]:
        """Micro-batches of `micro` samples of this process.

        Args:
            phase: gives the crop size and the batch of all processes.
            first: sample with which the next step begins.
            last: end of the phase.
            micro: samples to a forward pass.

        Raises:
            InputError: a picture that cannot be read.
        """
        ...

    def close(self) -> None:
        """Give back what was opened."""
        ...


class NumberedSamples:
    """Samples by number, made by worker processes.

    Args:
        config: sources, augmentation, seed and workers.
        spec: of the model at full size.
        processes: of the run; this one's place among them.

    Raises:
        InputError: as `open_source` and `refuse_hidden`.
    """

    def __init__(self, config: TrainConfig, spec: ModelSpec, processes: Processes = ALONE) -> None:
        self._config = config
        self._spec = spec
        self._processes = processes
        self._sources = tuple(open_source(source) for source in config.sources)
        refuse_hidden(config.sources, (one.dataset for one in self._sources if isinstance(one, CocoSource)))

    def batches(self, phase: Phase, first: int, last: int, micro: int) -> Iterator[Batch]:
        """See `SampleMaker`."""
        config = self._config
        spec = replace(self._spec, input_size=phase.input_size)
        samples = Samples(self._sources, config.sources, spec, config.augmentation, config.seed)
        numbers = Numbers(first, last, phase.batch, self._processes)
        return sample_loader(samples, numbers, micro, config.workers)

    def close(self) -> None:
        """Nothing: workers end with their loader."""


def open_source(source: Source) -> CocoSource | RenderedSource:
    """The samples of one entry of a training config.

    Raises:
        InputError: as `load_source`.
    """
    return RenderedSource() if source.kind == "rendered" else CocoSource(source)


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)  # the workers are the parallelism
    torch.set_num_threads(1)


def _batch_of(samples: list[Batch | DanetError]) -> Batch | DanetError:
    """Samples as one batch, or the first error among them."""
    error = next((one for one in samples if isinstance(one, DanetError)), None)
    return error or default_collate(samples)


def sample_loader(samples: Samples, numbers: Numbers, batch: int, workers: int) -> Iterator[Batch]:
    """Batches of samples, in the order of their numbers, made by `workers` processes, at most one to a core.

    Raises:
        InputError: a picture that cannot be read.
    """
    workers = min(workers, read_cpu().cores)
    # not every platform's and Python's default; the others would be sent all cached pictures
    forks = sys.platform == "linux"
    loader: DataLoader[Batch | DanetError] = DataLoader(
        samples,
        batch_size=batch,
        sampler=numbers,
        num_workers=workers,
        drop_last=True,
        collate_fn=_batch_of,
        worker_init_fn=_one_thread,
        prefetch_factor=4 if workers else None,
        multiprocessing_context="fork" if workers and forks else None,
    )
    for made in loader:
        if isinstance(made, DanetError):
            raise made
        yield made
