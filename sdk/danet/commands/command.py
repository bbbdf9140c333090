"""What a subcommand of `danet` is. Packages announce theirs under the entry-point group `danet.commands`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

GROUP = "danet.commands"


@dataclass(frozen=True)
class Command:
    """One subcommand. Its module must import quickly and without any extra; `run` imports what it needs."""

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    """Does the work and gives the exit status: 0 done, 1 failed. DanetError is reported by the caller."""


def announced(group: str) -> Iterator[Any]:
    """What the modules that are here announce under a group of entry points.

    An app that PyInstaller froze has danet-edge's list of all of them, but only those modules that it imports.
    """
    for entry in entry_points(group=group):
        if _is_here(entry.module):
            yield entry.load()


def _is_here(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its package
        return False
