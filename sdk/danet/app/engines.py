"""The estimators and detectors of a page, shared by all visitors."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np

from danet.app.choices import Choices
from danet.app.lending import Lending
from danet.detectors.base import Detector
from danet.detectors.opening import NAMED, open_detector
from danet.estimator import PoseEstimator

MOST_UNUSED = 2
"""Estimators, and detectors, that stay open though nobody uses them."""


class Engines:
    """Opens what visitors choose: one estimator for each (model, backend), one detector for each name.

    Args:
        choices: what may be chosen.
        threads: cores to use for each estimator; all if None.
        head: of the detectors' files, as `OnnxDetector` takes it.
        person_class: the same.
    """

    def __init__(
        self,
        choices: Choices,
        threads: int | None = None,
        *,
        head: str | None = None,
        person_class: int | None = None,
    ) -> None:
        self.choices = choices
        self._threads = threads
        self._told = {"head": head, "person_class": person_class}
        self._estimators = Lending(self._open_estimator, PoseEstimator.close, MOST_UNUSED)
        self._detectors = Lending(self._open_detector, lambda _: None, MOST_UNUSED)

    def _open_estimator(self, key: tuple[Path, str]) -> PoseEstimator:
        estimator = PoseEstimator(key[0], backend=key[1], threads=self._threads)
        estimator.infer(np.zeros((*estimator.spec.input_size, 3), np.uint8))  # the first run is slower than all others
        return estimator

    def _open_detector(self, name: str) -> Detector:
        told = {} if name in NAMED else self._told
        return open_detector(name, threads=self._threads, **told)

    def estimator(self, model: str, backend: str) -> AbstractContextManager[PoseEstimator]:
        """The estimator of a choice, for the time of a `with` block.

        Raises:
            InputError: no such choice.
            What `PoseEstimator` raises, on entering the block.
        """
        return self._estimators.lend(self.choices.model(model, backend))

    def detector(self, name: str) -> AbstractContextManager[Detector | None]:
        """The detector of a choice, for the time of a `with` block; None where there is to be none.

        Raises:
            InputError: no such choice.
            What `open_detector` raises, on entering the block.
        """
        chosen = self.choices.detector(name)
        return nullcontext() if chosen is None else self._detectors.lend(chosen)

    def close(self) -> None:
        """Free everything, what is in use as soon as it no longer is."""
        self._estimators.close()
        self._detectors.close()
