"""What a backend is: an object that turns crops into heatmaps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from danet.errors import ModelSpecError
from danet.model_spec import ModelSpec, Precision

EXPECTED_INPUT = (
    "expected one N x H x W x 3 uint8 of BGR pixels, whose normalisation is in the graph; "
    "danet benchmark --foreign FILE --exported DIR makes such a file of another tool's network; where the type alone "
    "differs, OpenVINO's PrePostProcessor does"
)
"""For messages."""


@runtime_checkable
class Backend(Protocol):
    """Runs one loaded model. Any object with these two verbs will do; `run` may be called from several threads."""

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Crops (N, H, W, 3) uint8 BGR -> heatmaps (N, K, H/stride, W/stride) float32, the caller's to keep."""
        ...

    def close(self) -> None:
        """Free the model. Calling it twice does no harm."""
        ...


@runtime_checkable
class SideBySide(Backend, Protocol):
    """A backend that gains where calls are worked on side by side, each with its share of the threads."""

    share_batch: int
    """Most persons to a call of these, measured in docs/performance.md."""

    def side_by_side(self, calls: int) -> Backend:
        """The same model, planned for so many calls of `run` at once; closed on its own.

        Raises:
            BackendError: the backend is closed.
            ModelFileError: it has to read the file again, which was replaced.
        """
        ...


@dataclass(frozen=True)
class BackendOptions:
    """What a caller may ask of a backend."""

    device: str = "CPU"
    """As OpenVINO calls it, in capitals; other libraries write "cpu", which is taken as well."""
    precision: Precision | None = None
    """Arithmetic for what the file keeps in float; None: float32, pinned."""
    threads: int | None = None
    """None: all cores that the process may use."""
    streams: int = 1
    """Calls of `run` that are worked on side by side, each with its share of the threads."""
    keep_compiled: bool = True
    """Whether compiled graphs may be kept for the next start; not those of a file that nobody opens again."""
    spec: ModelSpec | None = None
    """Goes before the file's where no normalisation is in the file: in checkpoints."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "device", self.device.upper())


@dataclass(frozen=True)
class LoadedModel:
    """A model in a backend, ready to run."""

    backend: Backend
    spec: ModelSpec | None
    """As the file states it, a checkpoint's as it was given; None where the file states nothing."""
    precision: str
    """The arithmetic that is really used, for people to read."""
    batch_sizes: tuple[int, ...] | None = None
    """Batch sizes that the file allows; None: any."""
    streams: int = 1
    """Calls that it really works on side by side; 1 from a backend that knows no streams."""


def read_spec(text: str, path: Path) -> ModelSpec:
    """The spec that a model file carries.

    Raises:
        ModelSpecError: as `ModelSpec.from_json`, with the file's name.
    """
    try:
        return ModelSpec.from_json(text)
    except ModelSpecError as error:
        raise ModelSpecError(f"{path}: {error}") from error


class LoadModel(Protocol):
    """The function `load` of each backend's module."""

    def __call__(self, path: Path, options: BackendOptions) -> LoadedModel:
        """Open a model file.

        Raises:
            ModelFileError: the file is missing, damaged or not of this backend's format.
            ModelSpecError: the spec in the file cannot be read.
            BackendError: the backend cannot honour an option.
            MissingExtraError: the backend's library is not installed.
        """
        ...
