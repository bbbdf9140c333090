"""One training run in several processes, as `torchrun` starts them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed

from danet.errors import InputError

_TIMEOUT = timedelta(hours=2)
"""The others wait while the first process validates."""


@dataclass(frozen=True)
class Processes:
    """The place of this process among those of the run."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    """On this machine; chooses the GPU."""

    @property
    def first(self) -> bool:
        """Whether this process validates, writes and reports."""
        return self.rank == 0

    def share(self, batch: int) -> int:
        """Samples of one step that this process takes.

        Raises:
            InputError: the batch cannot be dealt out evenly.
        """
        if batch % self.count:
            raise InputError(f"batch {batch} on {self.count} processes, expected a multiple of {self.count}")
        return batch // self.count

    def agree(self, value: object) -> bool:
        """Whether all processes have the same value; each has to ask."""
        values: list[object] = [value] * self.count
        if self.count > 1:
            torch.distributed.all_gather_object(values, value)
        return all(other == value for other in values)

    def wait(self) -> None:
        """Until every process has come here."""
        if self.count > 1:
            torch.distributed.barrier()


ALONE = Processes()
"""A run without torchrun."""


@contextlib.contextmanager
def joined_processes() -> Iterator[tuple[Processes, torch.device]]:
    """The process group that torchrun's environment describes, and this process's device.

    Without that environment: one process, the first GPU or the CPU. NCCL on GPUs, Gloo on CPUs.

    Raises:
        InputError: more processes on this machine than GPUs.
    """
    gpus = torch.cuda.device_count()
    if not torch.distributed.is_torchelastic_launched():
        yield ALONE, torch.device("cuda" if gpus else "cpu")
        return
    local = int(os.environ["LOCAL_RANK"])
    if gpus and local >= gpus:
        raise InputError(f"process {local} of this machine has no GPU: {gpus} found; start at most {gpus} to a machine")
    device = torch.device("cuda", local) if gpus else torch.device("cpu")
    if gpus:
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if gpus else "gloo", timeout=_TIMEOUT)
    yield Processes(torch.distributed.get_rank(), torch.distributed.get_world_size(), local), device
    # not after an error, which the others have not seen: NCCL would wait here for them, and they for this one
    torch.distributed.destroy_process_group()
