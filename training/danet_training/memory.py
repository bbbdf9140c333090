"""Lack of memory, as a line on the entry of the config that takes less."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from danet.errors import TrainingError


@contextmanager
def memory_needed(device: torch.device, micro_batch: int) -> Iterator[None]:
    """Tell of what torch raises within where memory is at an end.

    Args:
        device: of the training.
        micro_batch: persons to a forward pass.

    Raises:
        TrainingError: the device's memory is full, or a process that makes crops died.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"no memory left on {device} ({_first_line(error)}); lower micro_batch, now {micro_batch} persons to a "
            "forward pass: the same command then goes on"
        ) from error
    except RuntimeError as error:
        if "DataLoader worker (pid" not in str(error):  # not what a worker raised, with its traceback
            raise
        raise TrainingError(
            f"a process that makes crops died ({_first_line(error)}), as one does without memory; lower workers, or "
            "give the container more (docker run --shm-size, --memory): the same command then goes on"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
