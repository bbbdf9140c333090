"""Running a checkpoint in PyTorch, with the verbs of a danet backend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from danet.errors import BackendError, InputError
from danet.model_spec import ModelSpec
from danet_network.checkpoint import load_checkpoint
from danet_network.normalise import Normalise


class TorchRunner:
    """A network in PyTorch, float32, on the device where it lies. Safe to call from several threads.

    Args:
        network: a DANet or another of its inputs and outputs, in eval mode; used as it is, not copied.
        spec: gives the normalisation.
    """

    precision: str = "fp32"

    def __init__(self, network: torch.nn.Module, spec: ModelSpec) -> None:
        self.spec = spec
        # one attribute, so that a call in another thread sees either all of it or nothing
        self._device = next(network.parameters(), torch.empty(0)).device
        self._pipeline: torch.nn.Sequential | None = torch.nn.Sequential(
            Normalise(spec).to(self._device), network
        ).eval()

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Crops (N, H, W, 3) uint8 BGR -> heatmaps (N, K, H/4, W/4) float32. H and W: multiples of 32.

        Raises:
            InputError: an array of another shape or dtype.
            BackendError: the runner is closed, or PyTorch fails.
        """
        pipeline = self._pipeline
        if pipeline is None:
            raise BackendError("this TorchRunner is closed; open the checkpoint again")
        if images.ndim != 4 or images.dtype != np.uint8 or images.shape[3] != 3:
            raise InputError(f"images are {images.dtype} {images.shape}, expected uint8 (N, H, W, 3)")
        if any(side < 32 or side % 32 for side in images.shape[1:3]):
            raise InputError(f"images of {images.shape[1:3]} pixels, expected multiples of 32")
        # PyTorch warns of read-only arrays and refuses negative strides: both are copied
        pixels = torch.from_numpy(np.require(images, requirements=("C", "W"))).to(self._device)
        try:
            with torch.inference_mode():
                heatmaps: NDArray[np.float32] = pipeline(pixels).contiguous().cpu().numpy()
        except RuntimeError as error:
            raise BackendError(f"PyTorch failed on a batch of {len(images)} ({str(error).splitlines()[0]})") from error
        return heatmaps

    def close(self) -> None:
        """Give the network back; calls in progress end as they would have."""
        self._pipeline = None


def open_checkpoint(path: Path, threads: int | None = None, spec: ModelSpec | None = None) -> TorchRunner:
    """A runner for a checkpoint file; `danet` finds this function by its entry point.

    Args:
        path: as `load_checkpoint` takes it.
        threads: for all of PyTorch in this process; None leaves its setting alone.
        spec: goes before the file's.

    Raises:
        ModelFileError, ModelSpecError: as `load_checkpoint`.
        InputError: less than one thread.
    """
    if threads is not None and threads < 1:
        raise InputError(f"threads is {threads}, expected 1 or more")
    network, stated = load_checkpoint(path)
    if threads is not None:
        torch.set_num_threads(threads)
    return TorchRunner(network, spec or stated)
