"""Fuzzing from a command line: `python -m tests.fuzz.run [TARGET ...] --seconds N`; exit 1 where something is found."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.child import keep_finding
from tests.fuzz.slate import Slate
from tests.fuzz.target import NAMES

ROOT = Path(__file__).parents[2]
STALL = 60.0
"""Seconds after which an input that does not end, not even by the limit of processor time, is given up."""
_START = 120.0
"""Seconds that a process has to import its target on a busy machine."""
_MOST_CRASHES = 10


@dataclass
class Tally:
    """What came of a target."""

    target: str
    inputs: int = 0
    seconds: float = 0.0
    new_files: int = 0
    findings: int = 0

    def __str__(self) -> str:
        rate = self.inputs / self.seconds if self.seconds else 0.0
        return (
            f"{self.target:20} {self.inputs:9} inputs {self.seconds:7.0f} s {rate:8.0f}/s "
            f"{self.new_files:5} new corpus files {self.findings:3} findings"
        )


def fuzz(target: str, options: argparse.Namespace) -> Tally:
    """Fuzz one target, in as many processes as its crashes ask for."""
    tally = Tally(target)
    corpus, findings = options.corpus / target, options.findings / target
    before = _count(corpus)
    known = _count(findings)
    until = time.monotonic() + options.seconds
    for attempt in range(_MOST_CRASHES):
        left = until - time.monotonic()
        if attempt and left < 1:
            break
        _one_process(tally, options, max(left, 1.0), attempt)
        if options.inputs is not None:
            break
    tally.new_files = _count(corpus) - before
    tally.findings = (_count(findings) - known) // 2
    return tally


def _one_process(tally: Tally, options: argparse.Namespace, seconds: float, attempt: int) -> None:
    corpus, findings = options.corpus / tally.target, options.findings / tally.target
    with tempfile.TemporaryDirectory(prefix="danet-fuzz-") as folder:
        slate = Slate(Path(folder) / "slate")
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "tests.fuzz.child", tally.target, "--seconds", str(seconds)]
        command += ["--seed", str(options.seed + attempt), "--corpus", str(corpus), "--findings", str(findings)]
        command += ["--slate", str(Path(folder) / "slate")]
        command += ["--atheris"] if options.atheris else []
        command += [] if options.inputs is None else ["--inputs", str(options.inputs)]
        with log.open("wb") as output:
            # single-threaded libraries: more inputs for the same processor time; the cache is not the user's
            variables = {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": folder, "TMPDIR": folder, "OPENCV_LOG_LEVEL": "OFF"}
            child = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **variables}, stdout=output, stderr=subprocess.STDOUT
            )
            stalled = _watch(child, slate, seconds)
        standing = slate.read()
        slate.close()
        tally.inputs += standing.inputs
        tally.seconds += standing.seconds
        text = log.read_bytes().decode("utf-8", "backslashreplace")
        if stalled or child.returncode:
            what = "stall" if stalled else f"crash-{child.returncode}"
            keep_finding(findings, what, f"{what} after {standing.inputs} inputs\n{text[-6000:]}", standing.last)


def _watch(child: subprocess.Popen[bytes], slate: Slate, seconds: float) -> bool:
    """Wait for a process; whether it had to be ended because one input did not end."""
    last, since = -1, time.monotonic() + _START - STALL
    while True:
        try:
            child.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            pass
        else:
            return False
        inputs = slate.read().inputs
        if inputs != last:
            last, since = inputs, max(since, time.monotonic())
        if time.monotonic() - since > STALL:
            child.kill()
            child.wait()
            return True


def _count(folder: Path) -> int:
    return sum(path.is_file() for path in folder.iterdir()) if folder.is_dir() else 0


def main(arguments: list[str] | None = None) -> int:
    """Fuzz the targets one after the other and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target (60)")
    parser.add_argument("--inputs", type=int, help="stop each target after so many inputs")
    parser.add_argument("--seed", type=int, default=0, help="another number, other inputs (0)")
    parser.add_argument("--plain", dest="atheris", action="store_false", help="without atheris where it is installed")
    parser.add_argument("--corpus", type=Path, default=Path(tempfile.gettempdir()) / "danet-fuzz-corpus")
    parser.add_argument("--findings", type=Path, default=Path(tempfile.gettempdir()) / "danet-fuzz-findings")
    options = parser.parse_args(arguments)
    if unknown := set(options.targets) - set(NAMES):
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    options.atheris = options.atheris and find_spec("atheris") is not None
    options.corpus, options.findings = options.corpus.absolute(), options.findings.absolute()
    print(f"engine: {'atheris' if options.atheris else 'plain mutation'}", flush=True)
    tallies = []
    for target in options.targets or NAMES:
        tallies.append(fuzz(target, options))
        print(tallies[-1], flush=True)
    found = sum(tally.findings for tally in tallies)
    print(f"{sum(tally.inputs for tally in tallies)} inputs, {found} findings", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
