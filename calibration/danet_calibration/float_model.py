"""The float model that is quantized: a file, an embedded model, or a checkpoint that is exported first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from danet.backends.base import BackendOptions
from danet.backends.registry import load_model
from danet.embedded import embedded_model, embedded_names
from danet.errors import InputError, ModelFileError, ModelSpecError
from danet.model_files import files_state, model_sha256
from danet.model_spec import ModelSpec
from danet_calibration.formats import Format
from danet_converters.export import choose_targets, export
from danet_network.facts import SUFFIXES as CHECKPOINTS
from danet_network.facts import checkpoint_suffix


@dataclass(frozen=True)
class FloatModel:
    """A model file in float and what it says of itself."""

    path: Path
    spec: ModelSpec
    digest: str
    """sha256 of the files that were given: of the checkpoint, where this one was exported from it."""


def open_float(model: str, wanted: Format, scratch: Path) -> FloatModel:
    """The float file that `wanted` is made from.

    Args:
        model: a checkpoint that `danet_network.checkpoint.load_checkpoint` reads, a float file, or an embedded
            model's name. That one's weights are stored in half precision, so its checkpoint is the better start.
        wanted: the format to quantize to.
        scratch: where a checkpoint is exported to.

    Raises:
        ModelFileError: missing or damaged, an unknown name, or changed meanwhile.
        InputError: a file that this format is not made from, or one that is quantized already.
        ModelSpecError: a file without a spec.
        ParityError: the export of the checkpoint differs from it.
    """
    path = given = embedded_model(model) or Path(model)
    if not path.suffix:
        raise ModelFileError(
            f"no embedded model named {model!r}; there is {', '.join(embedded_names())}; or give a file"
        )
    state = files_state(given)
    if checkpoint_suffix(path) in CHECKPOINTS:
        path = export(path, choose_targets([wanted.name], ["fp32"])[0], scratch).path
    if path.suffix.lower() not in wanted.reads:
        raise InputError(
            f"{model}: {wanted.name} INT8 is made from a checkpoint ({', '.join(CHECKPOINTS)}) or "
            f"{', '.join(wanted.reads)}, not from {path.suffix}"
        )
    loaded = load_model(path, None, BackendOptions(keep_compiled=False))
    loaded.backend.close()
    if path.suffix.lower() == ".onnx" and _keeps_weights_elsewhere(path):
        raise InputError(f"{model} keeps weights in another file, expected one file; save it without external data")
    if loaded.spec is None:
        raise ModelSpecError(f"{model} carries no model spec; export its checkpoint with danet convert")
    if loaded.spec.precision == "int8" or loaded.precision.startswith("int8"):
        raise InputError(f"{model} is quantized already ({loaded.precision}); give the float model or its checkpoint")
    if loaded.spec.precision != "fp32" and not wanted.half_weights:
        raise InputError(
            f"{model} stores its weights in {loaded.spec.precision}, expected fp32 for {wanted.name} INT8; give its "
            "checkpoint, or the fp32 file of danet convert"
        )
    if loaded.batch_sizes not in (None, (1,)):
        raise InputError(
            f"{model} takes batches of {', '.join(map(str, loaded.batch_sizes))} alone, expected of 1 or any; "
            "export its checkpoint with danet convert"
        )
    digest = model_sha256(given)
    if files_state(given) != state:  # what is kept of these weights must not be taken for that of others
        raise ModelFileError(f"{model} was changed while it was read; does a training go on? Quantize a copy")
    return FloatModel(path, loaded.spec, digest)


def _keeps_weights_elsewhere(path: Path) -> bool:
    """Whether an ONNX file has external data, of which its digest would not tell."""
    return any(tensor.external_data for tensor in onnx.load(path, load_external_data=False).graph.initializer)
