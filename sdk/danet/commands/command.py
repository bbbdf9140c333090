"""What a subcommand of `danet` is. Packages announce theirs under the entry-point group `danet.commands`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

GROUP = "danet.commands"


@dataclass(frozen=True)
class Command:
    """One subcommand. Its module must import quickly and without any extra; `run` imports what it needs."""

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    """Does the work and gives the exit status: 0 done, 1 failed. DanetError is reported by the caller."""
