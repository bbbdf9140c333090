"""From what fuzzing gathered to the corpus that is kept: `python -m tests.fuzz.keep FOLDER [TARGET ...]`.

Smallest first, a file is kept if it reaches lines of this project (or of the standard library's parsers)
that neither the seeds nor the files kept before it reach. Regression cases stay: they are named by hand.
"""

from __future__ import annotations

import argparse
import contextlib
import pickletools
import sys
import tomllib
import warnings
import zipfile
from pathlib import Path
from types import FrameType
from typing import Any

from danet.errors import DanetError
from tests.fuzz.guard import Run
from tests.fuzz.target import CORPUS, NAMES, load_target

MOST = 40
"""Files to a target."""
MAX_BYTES = 4096
_ROOT = Path(__file__).parents[2]
_TRACED = (
    *(str(_ROOT / name) for name in ("sdk", "network", "evaluation", "training", "benchmarks")),
    *(str(pickletools.__file__), str(zipfile.__file__), str(Path(tomllib.__file__).parent)),
)

Line = tuple[str, int]


def lines_of(run: Run, data: bytes) -> set[Line]:
    """The lines that an input reaches."""
    reached: set[Line] = set()

    def local(frame: FrameType, event: str, argument: Any) -> Any:
        reached.add((frame.f_code.co_filename, frame.f_lineno))
        return local

    def entered(frame: FrameType, event: str, argument: Any) -> Any:
        return local if frame.f_code.co_filename.startswith(_TRACED) else None

    with warnings.catch_warnings(), contextlib.suppress(DanetError):
        warnings.simplefilter("ignore")
        sys.settrace(entered)
        try:
            run(data)
        finally:
            sys.settrace(None)
    return reached


def chosen(name: str, gathered: Path) -> list[bytes]:
    """The files of a folder that are worth keeping for a target."""
    target = load_target(name)
    covered: set[Line] = set()
    for data in target.corpus().values():
        covered |= lines_of(target.run, data)
    kept: list[bytes] = []
    for path in sorted(gathered.glob("*"), key=lambda path: (path.stat().st_size, path.name)):
        if len(kept) == MOST or path.stat().st_size > MAX_BYTES:
            break
        reached = lines_of(target.run, data := path.read_bytes())
        if not reached <= covered:
            covered |= reached
            kept.append(data)
    return kept


def main() -> None:
    """Add to tests/fuzz/corpus."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.keep", description=__doc__)
    parser.add_argument("folder", type=Path, help="what tests.fuzz.run was given as --corpus")
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    options = parser.parse_args()
    for name in options.targets or NAMES:
        there = len(list((CORPUS / name).glob("reached-*")))
        files = chosen(name, options.folder / name)
        (CORPUS / name).mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(files, there):
            (CORPUS / name / f"reached-{number:02}").write_bytes(data)
        print(f"{name}: {len(files)} files, {sum(map(len, files))} bytes")


if __name__ == "__main__":
    main()
