"""Model files looked at and exported in a process of its own, so that the run itself stays light.

Reading a checkpoint takes torch, and a damaged file may end the library that reads it.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from danet.backends.registry import BACKENDS
from danet.errors import MissingExtraError
from danet.model_files import model_sha256
from danet.model_spec import ModelSpec
from danet_benchmarks.file_facts import FileFacts, file_sha256, read_facts
from danet_benchmarks.worker import Worker, WorkerError

SILENCE_S = 1800.0
"""An export says nothing while it works, and takes minutes on a slow machine."""
EXPORTS = {"openvino": "openvino", "onnxruntime": "onnx", "tflite": "tflite"}
"""By backend, the format that a checkpoint is exported to for it."""


class ModelFiles:
    """The worker's side. Exported files that are there already are taken as they are."""

    def facts(self, path: Path) -> FileFacts:
        """See `read_facts`."""
        return read_facts(path)

    def export(self, checkpoint: Path, backend: str, like: ModelSpec, folder: Path) -> Path:
        """The file of a checkpoint for a backend, in float32, with the decoder and box padding of another file of it.

        Raises:
            ModelFileError, ParityError: as `danet_converters.export.export`.
            MissingExtraError: the backend's library or torch is not installed.
        """
        importlib.import_module(BACKENDS[backend])
        with _extra_needed(f"exporting {checkpoint.name}"):
            from danet_converters.export import TARGETS, export
        target = next(one for one in TARGETS if one.format == EXPORTS[backend] and one.precision == "fp32")
        refinement, padding = like.decoder.refinement, like.box_padding
        version = f"{file_sha256(checkpoint)[:8]}-{_code_version('danet_network')}-{refinement}-{padding:g}"
        place = folder / f"{checkpoint.stem}-{version}"
        there = sorted(place.glob(f"*{target.suffixes[0]}"))
        return there[0] if there else export(checkpoint, target, place, None, refinement, padding).path

    def export_rival(self, name: str, backend: str, folder: Path) -> Path:
        """The file of a rival for a backend, in float32.

        Raises:
            InputError: no rival of that name.
            ParityError: as `export`.
            MissingExtraError: the backend's library or torch is not installed.
        """
        importlib.import_module(BACKENDS[backend])
        with _extra_needed(f"exporting {name}"):
            from danet_benchmarks.rivals.export import export_rival
            from danet_converters.export import TARGETS
        target = next(one for one in TARGETS if one.format == EXPORTS[backend] and one.precision == "fp32")
        place = folder / f"rivals-{_code_version('danet_benchmarks.rivals')}"
        there = place / f"{name}{target.suffixes[0]}"
        return there if there.is_file() else export_rival(name, target, place).path

    def wrap_foreign(self, path: Path, folder: Path) -> Path:
        """A file without a spec as one like ours, by what most public networks do; always made anew.

        Raises:
            ModelFileError: it does not turn crops into heatmaps of 17 keypoints.
            MissingExtraError: torch is not installed.
        """
        with _extra_needed(f"reading {path.name}"):
            from danet_benchmarks.foreign import ForeignModel, wrap_foreign
        return wrap_foreign(ForeignModel(path), folder / f"foreign-{model_sha256(path)[:8]}")

    def rival_names(self) -> tuple[str, ...]:
        """Of all rivals.

        Raises:
            MissingExtraError: torch is not installed.
        """
        with _extra_needed("building the paper's rivals"):
            from danet_benchmarks.rivals.registry import RIVALS
        return tuple(RIVALS)


class Preparation:
    """The run's side; a context manager.

    Args:
        folder: exported files stay there, for the next run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._worker: Worker[ModelFiles] | None = None
        self._known: dict[Path, FileFacts] = {}

    def facts(self, path: Path) -> FileFacts:
        """What a model file is.

        Raises:
            WorkerError: it cannot be read; the text says why.
        """
        if path not in self._known:
            with self._asked() as worker:
                self._known[path] = worker.ask(ModelFiles.facts, path)
        return self._known[path]

    def export(self, checkpoint: Path, backend: str, like: ModelSpec) -> Path:
        """The file of a checkpoint for a backend, with the decoder and box padding of another file of it.

        Raises:
            WorkerError: it cannot be made; the text says why.
        """
        with self._asked() as worker:
            return worker.ask(ModelFiles.export, checkpoint, backend, like, self._folder)

    def export_rival(self, name: str, backend: str) -> Path:
        """The file of a rival for a backend.

        Raises:
            WorkerError: it cannot be made; the text says why.
        """
        with self._asked() as worker:
            return worker.ask(ModelFiles.export_rival, name, backend, self._folder)

    def wrap_foreign(self, path: Path) -> Path:
        """A file without a spec as one like ours.

        Raises:
            WorkerError: it cannot be made; the text says why.
        """
        with self._asked() as worker:
            return worker.ask(ModelFiles.wrap_foreign, path, self._folder)

    def rival_names(self) -> tuple[str, ...]:
        """Of all rivals.

        Raises:
            WorkerError: torch is not installed.
        """
        with self._asked() as worker:
            return worker.ask(ModelFiles.rival_names)

    def close(self) -> None:
        """End the process; closing twice does no harm."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _asked(self) -> Iterator[Worker[ModelFiles]]:
        """The worker; one that failed may have died of it, so the next question gets another."""
        if self._worker is None:
            self._worker = Worker(ModelFiles, silence_s=SILENCE_S)
        try:
            yield self._worker
        except WorkerError:
            self.close()
            raise


@contextmanager
def _extra_needed(what: str) -> Iterator[None]:
    """Import errors of what the convert extra installs, as a line that says so."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(what, "convert", error.name or "torch") from error


def _code_version(package: str) -> str:
    """Changes with the code that a network is built and exported by."""
    code = hashlib.sha256()
    for name in dict.fromkeys((package, "danet_network", "danet_converters")):  # rivals have DANets among them
        folder = Path(importlib.import_module(name).__path__[0])
        for source in sorted(folder.rglob("*.py")):
            code.update(source.read_bytes())
    return code.hexdigest()[:8]
