"""A target by its name: its module, and its corpus in the repository."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import targets
from tests.fuzz.guard import Run

CORPUS = Path(__file__).with_name("corpus")
MAX_LENGTH = 8192
"""Bytes of an input, where a target says nothing else."""
NAMES = tuple(
    module.name for module in pkgutil.iter_modules(targets.__path__) if module.name != "pickle_gadgets"
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """What is fuzzed, and where a fuzzer begins."""

    name: str
    run: Run
    words: tuple[bytes, ...]
    """Pieces that its inputs are made of."""
    max_length: int
    seeds: dict[str, bytes]
    """Written by hand, by what they are."""

    def corpus(self) -> dict[str, bytes]:
        """The seeds, and the files that fuzzing added: of new coverage, or that once were findings."""
        files = sorted((CORPUS / self.name).glob("*"))
        return self.seeds | {path.name: path.read_bytes() for path in files if path.is_file()}


def load_target(name: str) -> Target:
    """Import a target's module.

    Raises:
        ImportError: a library that it needs is not installed.
    """
    module = importlib.import_module(f"tests.fuzz.targets.{name}")
    words = tuple(word for word in module.WORDS if word)
    return Target(name, module.run, words, getattr(module, "MAX_LENGTH", MAX_LENGTH), module.seeds())
