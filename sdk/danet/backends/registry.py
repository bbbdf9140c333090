"""From a file's suffix or a backend's name to the module that loads it, imported on demand."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from danet.backends.base import BackendOptions, LoadedModel, LoadModel
from danet.errors import BackendError, MissingExtraError, ModelFileError, is_found

BACKENDS = {
    "openvino": "danet.backends.openvino_backend",
    "onnxruntime": "danet.backends.onnxruntime_backend",
    "torch": "danet.backends.torch_backend",
    "tflite": "danet.backends.tflite_backend",
    "null": "danet.backends.null_backend",
}
SUFFIXES = {
    ".xml": "openvino",
    ".onnx": "onnxruntime",
    ".safetensors": "torch",
    ".pt": "torch",
    ".pth": "torch",
    ".ckpt": "torch",
    ".pkl": "torch",
    ".tflite": "tflite",
}
MORE_READERS = {".onnx": ("openvino",)}
"""Backends that read a kind of file besides the one in `SUFFIXES`."""
LIBRARIES = {
    "openvino": ("openvino",),
    "onnxruntime": ("onnxruntime",),
    "tflite": ("ai_edge_litert", "tflite_runtime"),
    "torch": ("torch",),
}
"""Modules of which a backend needs one; "null" needs none."""


def load_model(path: Path, backend: str | None, options: BackendOptions) -> LoadedModel:
    """Open `path` in the named backend, or in the one that its suffix stands for.

    Raises:
        ModelFileError: missing file, unknown suffix, one of another backend, or what the backend says of it.
        BackendError: no backend of that name, or it refuses an option.
        MissingExtraError: the backend's library is not installed.
    """
    name = backend or SUFFIXES.get(path.suffix.lower())
    if name is None:
        raise ModelFileError(f"{path}: suffix {path.suffix!r} is none of {', '.join(SUFFIXES)}; or name a backend")
    if name not in BACKENDS:
        raise BackendError(f"no backend named {name!r}; there are {', '.join(BACKENDS)}")
    try:
        missing = name != "null" and not path.is_file()
    except OSError as error:  # a folder above it may not be searched
        raise ModelFileError(f"{path}: {error.strerror or error}") from error
    if missing:
        raise ModelFileError(f"{path}: no such file")
    suffix = path.suffix.lower()
    if suffix in SUFFIXES and name not in (*readers(suffix), "null"):
        known = " and ".join(readers(suffix))
        raise ModelFileError(
            f"{path}: {suffix} files are read by the {known} backend, not by {name}; leave the backend out, or convert "
            "the model's checkpoint (danet convert)"
        )
    try:
        load: LoadModel = part_with_openvino(BACKENDS[name], f"the {name} backend").load
    except MissingExtraError as error:
        others = () if backend else MORE_READERS.get(suffix, ())
        installed = next(filter(is_installed, others), None)
        if installed is None:
            raise
        # not taken by itself: other rounding, speed and tuning than where the first one is installed
        what = f"{path.name} in {error.what} (or name backend={installed!r}, which is installed and reads it too)"
        raise MissingExtraError(what, error.extra, error.library, error.broken) from error
    return load(path, options)


def is_installed(backend: str) -> bool:
    """Whether a library that a backend needs can be found; it is not imported."""
    return not LIBRARIES.get(backend) or any(map(is_found, LIBRARIES[backend]))


def readers(suffix: str) -> tuple[str, ...]:
    """The backends that read files of a known suffix, the one that is taken by itself first."""
    return (SUFFIXES[suffix], *MORE_READERS.get(suffix, ()))


def part_with_openvino(module: str, what: str) -> Any:
    """Import a part of danet that may need OpenVINO, which boards with TFLite alone do without.

    Args:
        module: its name.
        what: what was asked for, as `MissingExtraError` takes it.

    Raises:
        MissingExtraError: OpenVINO is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != "openvino":
            raise
        raise MissingExtraError(what, "", "openvino") from error
