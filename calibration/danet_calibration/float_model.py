"""The float model that is quantized: a file, an embedded model, or a checkpoint that is exported first."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import onnx

from danet.backends.base import BackendOptions
from danet.backends.registry import load_model
from danet.embedded import embedded_model, embedded_names
from danet.errors import InputError, ModelFileError, ModelSpecError
from danet.model_files import files_state, model_files, model_sha256
from danet.model_spec import ModelSpec
from danet_calibration.formats import Format
from danet_converters.export import choose_targets, export
from danet_network.facts import SUFFIXES as CHECKPOINTS
from danet_network.facts import checkpoint_suffix

QUANTIZED = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "ConvInteger"}
"""ONNX operations of which float files have none."""
LEAST_OPSET = 13
"""Of ONNX, since which (De)QuantizeLinear knows ranges of channels."""


@dataclass(frozen=True)
class FloatModel:
    """A model file in float and what it says of itself."""

    path: Path
    """A copy, or an export, of what was given: that may change while minutes of measuring go by."""
    spec: ModelSpec
    digest: str
    """sha256 of the files that were given: of the checkpoint, where this one was exported from it."""


def open_float(model: str, wanted: Format, scratch: Path) -> FloatModel:
    """The float file that `wanted` is made from.

    Args:
        model: a checkpoint that `danet_network.checkpoint.load_checkpoint` reads, a float file, or an embedded
            model's name. That one's weights are stored in half precision, so its checkpoint is the better start.
        wanted: the format to quantize to.
        scratch: where a checkpoint is exported to, and a file copied.

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
    if path.suffix.lower() == ".onnx":
        _refuse_unusable_onnx(path, model, wanted)
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
    if path == given:
        path = _copied(given, scratch)
    digest = model_sha256(given)
    if files_state(given) != state:  # what is kept of these weights must not be taken for that of others
        raise ModelFileError(f"{model} was changed while it was read; does a training go on? Quantize a copy")
    return FloatModel(path, loaded.spec, digest)


def _copied(path: Path, scratch: Path) -> Path:
    """A copy of a model's files in `scratch`, under the same names."""
    scratch.mkdir(parents=True, exist_ok=True)
    for part in model_files(path):
        with part.open("rb") as source, (scratch / part.name).open("wb") as target:
            shutil.copyfileobj(source, target)  # by copyfile a full disk is an error of the file that is read
    return scratch / path.name


def _refuse_unusable_onnx(path: Path, model: str, wanted: Format) -> None:
    """Raise InputError for an ONNX file that its spec does not tell to be unfit."""
    content = onnx.load(path, load_external_data=False)
    if any(tensor.external_data for tensor in content.graph.initializer):  # of which the file's digest would not tell
        raise InputError(f"{model} keeps weights in another file, expected one file; save it without external data")
    if found := sorted({node.op_type for node in content.graph.node} & QUANTIZED):
        raise InputError(f"{model} is quantized already ({', '.join(found)}); give the float model or its checkpoint")
    opset = next((one.version for one in content.opset_import if one.domain in ("", "ai.onnx")), LEAST_OPSET)
    if wanted.name == "onnx" and opset < LEAST_OPSET:
        raise InputError(
            f"{model} is of ONNX's opset {opset}, expected {LEAST_OPSET} or newer for onnx INT8; export it anew, or "
            "raise it with onnx.version_converter"
        )
