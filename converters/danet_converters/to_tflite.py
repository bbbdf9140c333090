"""A network to TFLite through litert-torch: uint8 NHWC BGR crops in, NHWC heatmaps out, any batch size.

The graph is exported for one person. Nothing in it depends on the number of persons, so its first
dimension is marked as free afterwards, and an interpreter sizes it for the batch that it is asked for.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from danet.errors import DanetError, MissingExtraError
from danet.model_spec import ModelSpec, Precision
from danet.tflite_file import with_spec
from danet_converters.deployed import DeployedNetwork, made_once
from danet_converters.tflite_form import TfliteNetwork

CONVERSION = "danet_converters.tflite_conversion"


class ConversionError(DanetError):
    """The exporter cannot express a network in its format."""


def write_tflite(network: DeployedNetwork, spec: ModelSpec, path: Path) -> None:
    """Write `network` to `path`, its weights stored as spec.precision says: fp32, fp16, or int8 for dynamic range.

    Raises:
        MissingExtraError: litert-torch is not installed.
    """
    path.write_bytes(with_spec(stored_as(spec.precision, float_model(network, spec)), spec))


def stored_as(precision: Precision, model: bytes) -> bytes:
    """What `float_model` gave, for any batch, its weights stored as fp32, fp16 or int8 (dynamic range)."""
    with _quiet():
        from danet_converters.tflite_graph import for_any_batch
        from danet_converters.tflite_weights import with_half_weights, with_int8_weights

        store = {"fp16": with_half_weights, "int8": with_int8_weights}.get(precision)
        return for_any_batch(store(model) if store else model)


@made_once
def float_model(network: DeployedNetwork, spec: ModelSpec) -> bytes:
    """The exported graph with float32 weights, for a batch of one, without a spec."""
    return converted(TfliteNetwork(network.network, spec).eval(), spec)


def converted(network: nn.Module, spec: ModelSpec) -> bytes:
    """A module that takes crops (1, H, W, 3) uint8 as a flatbuffer, as litert-torch makes it.

    The module's class must be importable: the conversion is a process of its own.

    Raises:
        MissingExtraError: litert-torch is not installed.
        ConversionError: it cannot convert the module.
    """
    if find_spec("litert_torch") is None:
        raise MissingExtraError("exporting TFLite", "convert-tflite", "litert-torch")
    if getattr(sys, "frozen", False):
        raise ConversionError(
            "a frozen app cannot export TFLite, which takes a process of Python; convert with an installed danet"
        )
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "network.pt", Path(folder) / "network.tflite"
        torch.save(network, source)
        sides = map(str, spec.input_size)
        done = subprocess.run(
            # -P: modules of the folder that somebody happens to be in are not run
            [sys.executable, "-P", "-W", "ignore", "-m", CONVERSION, str(source), *sides, str(target)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode < 0:
            raise ConversionError(
                f"litert-torch was ended by signal {-done.returncode} while it converted {spec.name}; by 9 the system "
                "ends what it has no memory for: give it more, or convert on another machine"
            )
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            raise ConversionError(f"litert-torch cannot convert {spec.name}: {said[-1][:300]}")
        return target.read_bytes()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the quantizer's progress bars and warnings of itself; what goes wrong is raised."""
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
