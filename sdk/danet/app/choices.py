"""What a visitor may choose from. Only these names are looked up, so a visitor cannot open other files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from danet.backends.registry import LIBRARIES, SUFFIXES, is_installed, readers
from danet.embedded import embedded_model
from danet.errors import DetectorError, InputError, MissingExtraError, ModelFileError
from danet.opened_model import model_path

WHOLE_PICTURE = "nobody: the whole picture is one person"
HOG = "HOG, for whole upright persons"


@dataclass(frozen=True)
class Choices:
    """Names on the page, and what they stand for; the first of each is chosen at the start."""

    models: dict[str, Path]
    backends: dict[str, tuple[str, ...]]
    """For each model the backends that are installed and read its file."""
    detectors: dict[str, str | None]
    """A detector's name or file as `danet.detectors.opening.open_detector` takes it; None: no detector."""

    def model(self, name: str, backend: str) -> tuple[Path, str]:
        """The file and backend of a choice.

        Raises:
            InputError: they are not among the choices.
        """
        if name not in self.models:
            raise InputError(f"model {name!r} is not offered; there are {', '.join(self.models)}")
        if backend not in self.backends[name]:
            raise InputError(f"backend {backend!r} is not offered for {name}; {', '.join(self.backends[name])} is")
        return self.models[name], backend

    def detector(self, name: str) -> str | None:
        """The detector of a choice.

        Raises:
            InputError: it is not among the choices.
        """
        if name not in self.detectors:
            raise InputError(f"detector {name!r} is not offered; there are {', '.join(self.detectors)}")
        return self.detectors[name]


def offered(models: Iterable[str], detectors: Iterable[str] = ()) -> Choices:
    """The choices of a page.

    Args:
        models: files, and names of embedded models.
        detectors: files; HOG and the whole picture are offered as well.

    Raises:
        ModelFileError: a model that does not exist, or whose kind is unknown.
        DetectorError: a detector that does not exist.
        MissingExtraError: no backend for a model is installed.
    """
    files = _named(models)
    if not files:
        raise InputError("no model to offer; name at least one, for instance danet72")
    for path in files.values():
        if not path.is_file():
            raise ModelFileError(f"{path}: no such file")
    finders = {name: Path(name) for name in detectors}
    for path in finders.values():
        if not path.is_file():
            raise DetectorError(f"{path}: no such file; expected a person detector, .onnx or .xml")
    return Choices(
        files,
        {name: _backends(path) for name, path in files.items()},
        {**{name: str(path) for name, path in _shortened(finders).items()}, WHOLE_PICTURE: None, HOG: "hog"},
    )


def _named(models: Iterable[str]) -> dict[str, Path]:
    """Embedded models by their names, files by theirs."""
    paths = {model: model_path(model) for model in models}
    embedded = {model: path for model, path in paths.items() if embedded_model(model)}
    short = {path: name for name, path in _shortened({m: p for m, p in paths.items() if m not in embedded}).items()}
    return {short.get(path, model): path for model, path in paths.items()}


def _shortened(paths: dict[str, Path]) -> dict[str, Path]:
    """The same files by file name, or by the whole path where two share theirs."""
    names = [path.name for path in set(paths.values())]
    return {path.name if names.count(path.name) == 1 else str(path): path for path in paths.values()}


def _backends(path: Path) -> tuple[str, ...]:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ModelFileError(f"{path}: suffix {path.suffix!r} is none of {', '.join(SUFFIXES)}")
    installed = tuple(filter(is_installed, readers(suffix)))
    if not installed:
        first, *_ = readers(suffix)
        extra = "" if first == "openvino" else first
        raise MissingExtraError(f"{path.name} in the {first} backend", extra, LIBRARIES[first][0])
    return installed
