"""A checkpoint run by torch itself: the reference that every exported file is compared with.

The runtime knows no network. The package that does (danet_network) announces a function
`open_checkpoint(path, threads, spec)` under the entry-point group `danet.checkpoints`.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

from danet.backends.base import BackendOptions, LoadedModel
from danet.errors import BackendError, MissingExtraError

GROUP = "danet.checkpoints"


def load(path: Path, options: BackendOptions) -> LoadedModel:
    """Open a checkpoint; see `LoadModel`."""
    if options.device != "CPU":
        raise BackendError(f"torch: device {options.device!r}, expected 'CPU'")
    if options.precision not in (None, "fp32"):
        raise BackendError(f"torch: precision {options.precision!r}, expected 'fp32'")
    readers = entry_points(group=GROUP)
    if not readers:
        raise BackendError("torch: no package announces danet.checkpoints; install danet-edge anew")
    try:
        open_checkpoint = next(iter(readers)).load()
    except ModuleNotFoundError as error:
        raise MissingExtraError("running a checkpoint", "torch", error.name or "torch") from error
    given = () if options.spec is None else (options.spec,)  # readers of before there was a third argument go on
    runner = open_checkpoint(path, options.threads, *given)
    return LoadedModel(runner, runner.spec, runner.precision)
