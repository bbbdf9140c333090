"""From a file's suffix or a backend's name to the module that loads it, imported on demand."""

from __future__ import annotations

import importlib
from pathlib import Path

from danet.backends.base import BackendOptions, LoadedModel, LoadModel
from danet.errors import BackendError, ModelFileError

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
    ".pkl": "torch",
    ".tflite": "tflite",
}


def load_model(path: Path, backend: str | None, options: BackendOptions) -> LoadedModel:
    """Open `path` in the named backend, or in the one that its suffix stands for.

    Raises:
        ModelFileError: missing file, unknown suffix, or what the backend says of the file.
        BackendError: no backend of that name, or it refuses an option.
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
    load: LoadModel = importlib.import_module(BACKENDS[name]).load
    return load(path, options)
