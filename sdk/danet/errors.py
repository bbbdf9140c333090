"""The tree of errors that danet raises.

Each message says what came, what was expected and what to do. Foreign errors (OpenVINO, ONNX
Runtime, OpenCV) are mapped onto these once, at the edge where the foreign library is called.
"""

from __future__ import annotations

from importlib.util import find_spec


class DanetError(Exception):
    """Base of everything that danet raises on purpose."""


class ModelFileError(DanetError):
    """A model or checkpoint file is missing, damaged, refused, or does not fit its network."""


class ModelSpecError(DanetError):
    """A ModelSpec is absent, malformed, of a newer format, or contradicts its model."""


class BackendError(DanetError):
    """A backend could not load or run a model."""


class InputError(DanetError, ValueError):
    """A frame, boxes or an argument is not what the call accepts."""


class DetectorError(DanetError):
    """A person detector could not be loaded, its output is not understood, or it failed on a frame."""


class SourceError(DanetError):
    """A video, camera or folder could not be opened, or stopped giving frames."""


class TrainingError(DanetError):
    """A training run cannot go on: its weights are no numbers any more, or its processes differ."""


class MissingExtraError(DanetError, ImportError):
    """A library that an optional part needs is not installed, or cannot be loaded.

    Args:
        what: the thing that was asked for, such as "the torch backend".
        extra: the extra of danet-edge that installs its libraries; empty for one that every usual install has.
        library: the library that was not found.
        broken: why it cannot be loaded though it is installed, as `why_broken` tells; empty where it is not installed.
    """

    def __init__(self, what: str, extra: str, library: str, broken: str = "") -> None:
        install = f"'danet-edge[{extra}]'" if extra else library
        super().__init__(
            f"{what} needs {library}, which is installed but cannot be loaded ({broken}); see that its version fits "
            "the other packages (constraints.txt) and that the system has what it needs"
            if broken
            else f"{what} needs {library}, which is not installed; run: pip install {install}"
        )
        self.what = what
        self.extra = extra
        self.library = library
        self.broken = broken

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str, str]]:
        """By what it is made of: on its way out of a process an error is pickled."""
        return type(self), (self.what, self.extra, self.library, self.broken)


def why_broken(error: Exception, module: str) -> str:
    """What an import of `module` that failed says of an installed library; empty where there is none of that name.

    One that lacks a part of its own, as a wheel of another Python does, is installed.
    """
    return (" ".join(str(error).split()) or type(error).__name__) if is_found(module) else ""


def is_found(module: str) -> bool:
    """Whether a module is installed; it is not imported."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # of finders that refuse a name; of modules that others have put together
        return False
