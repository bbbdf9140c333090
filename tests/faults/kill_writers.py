"""Kill the commands that write, at random moments, and look at what is left.

    python -m tests.faults.kill_writers [COMMAND ...] --moments 50 --seed 1 --log FILE

Each command runs as a process of its own in a folder that holds the complete output of an earlier, different
run. Its process group is killed with SIGKILL: at half of the moments somewhere in its duration, at the
others somewhere in its writing, which is watched. Then every file has to be the old one or the new one and
be read by its own reader, and the command has to work again.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.cases import CASES, GOLDEN, Case, command_line, make_inputs, read_whole

POLL_S = 0.0005
LIMIT_S = 300.0
RERUN_EVERY = 3
"""Of the moments before the writing and of slow commands; all others are run again."""
KEPT = (".danet-quantize",)
"""Hidden folders that a command keeps on purpose."""
KEPT_SUFFIXES = (".mp4",)
"""Hidden files: a killed run's video plays as far as it was written (docs/video.md)."""


@dataclass
class Prepared:
    """A command, its old output, and what a full run told."""

    case: Case
    inputs: Path
    old: Path
    """A folder to copy."""
    new: dict[str, str]
    """Digests by name of a full run over `old`."""
    seconds: float
    changes: int
    """In the folder, as the watcher counts them."""


@dataclass
class Tally:
    """What became of one command."""

    moments: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)
    leftovers: int = 0
    left_after_rerun: int = 0
    reruns: int = 0
    reruns_that_worked: int = 0
    complaints: list[str] = field(default_factory=list)


def prepare(case: Case, folder: Path, inputs: Path) -> Prepared:
    """Make the old output, and run the command once over it."""
    old, full = folder / "old", folder / "full"
    _fresh(case, old)
    for line, out in ((case.old, old), (case.new, full)):
        if out is full:
            shutil.copytree(old, full)
            _adopt(case, full)
        start = time.monotonic()
        told = folder / "told.txt"
        process = _start(line, inputs, out, told)
        changes = sum(1 for _ in _changes(out, process))
        if process.wait(LIMIT_S):
            raise RuntimeError(f"{case.name}: {line}: failed before anything was killed: {told.read_text()[-500:]}")
    return Prepared(case, inputs, old, digests(full), time.monotonic() - start, changes)


def _fresh(case: Case, out: Path) -> None:
    out.mkdir(parents=True)
    _adopt(case, out)


def _adopt(case: Case, out: Path) -> None:
    """A tuning is kept beside its model, so the model lies in the folder as well."""
    if case.name == "tune" and not (out / "tiny.xml").exists():
        for name in ("tiny.xml", "tiny.bin"):
            shutil.copy(GOLDEN / name, out / name)


def strike(prepared: Prepared, out: Path, rng: random.Random, in_writing: bool) -> str:
    """One run that is killed; gives when: before, while or after its writing, or that it had ended."""
    process = _start(prepared.case.new, prepared.inputs, out)
    seen = 0
    if in_writing:
        wanted = rng.randint(1, max(1, 2 * prepared.changes // 3))  # runs differ by some
        for seen, _ in enumerate(_changes(out, process), start=1):
            if seen >= wanted:
                break
        time.sleep(rng.choice((0.0, rng.uniform(0, 0.002), rng.uniform(0, 0.05))))
    else:
        end = time.monotonic() + rng.uniform(0, prepared.seconds)
        seen = sum(1 for _ in _changes(out, process, until=end))
    ended = process.poll() is not None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)
    if ended:
        return "after its end"
    return "before writing" if not seen else "while writing"


def inspect(prepared: Prepared, out: Path, tally: Tally) -> None:
    """Every file is whole, and is the old or the new one; notes what is not."""
    before = digests(prepared.old)
    for name in sorted(before.keys() | digests(out).keys()):
        path = out / name
        kind = _kind(prepared, path, before.get(name))
        tally.files[kind] += 1
        if kind == "half":
            tally.complaints.append(f"{prepared.case.name}: {name} is half: {path.stat().st_size} bytes")
    tally.leftovers += len(_leftovers(out))


def _kind(prepared: Prepared, path: Path, old: str | None) -> str:
    if not path.exists():
        return "absent"
    try:
        read_whole(path)
    except Exception:  # whatever a reader says of half a file
        return "half"
    digest = _digest(path)
    if digest == old:
        return "old"
    if prepared.case.repeatable and path.suffix not in (".jsonl", ".mp4") and digest != prepared.new.get(path.name):
        return "half"
    return "new"


def rerun(prepared: Prepared, out: Path, tally: Tally) -> None:
    """The same command again, to its end."""
    tally.reruns += 1
    start = time.monotonic()
    done = subprocess.run(
        command_line(prepared.case.new, prepared.inputs, out),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    prepared.seconds = time.monotonic() - start  # the machine's load changes
    whole = Tally()
    inspect(prepared, out, whole)
    missing = prepared.new.keys() - {name for name in digests(out)}
    missing = {name for name in missing if not name.startswith("events.")}
    if done.returncode == 0 and not whole.complaints and not missing:
        tally.reruns_that_worked += 1
    else:
        tally.complaints.append(
            f"{prepared.case.name}: rerun: status {done.returncode}, missing {sorted(missing)}, {done.stderr[-300:]}"
        )
    tally.left_after_rerun += len(_leftovers(out))


def digests(folder: Path) -> dict[str, str]:
    """By name, of the files that are not hidden."""
    return {path.name: _digest(path) for path in folder.iterdir() if path.is_file() and path.name[0] != "."}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _leftovers(out: Path) -> list[Path]:
    hidden = [path for path in out.iterdir() if path.name.startswith(".")]
    return [path for path in hidden if path.name not in KEPT and path.suffix not in KEPT_SUFFIXES]


def _start(line: str, inputs: Path, out: Path, told: Path | None = None) -> subprocess.Popen[bytes]:
    with (told or Path(os.devnull)).open("w") as errors:
        return subprocess.Popen(
            command_line(line, inputs, out),
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
            cwd=inputs,
        )


def _changes(out: Path, process: subprocess.Popen[bytes], until: float = float("inf")) -> Iterator[None]:
    """Gives something each time that the folder has changed, until the process or the time ends."""
    last = _look(out)
    while process.poll() is None and time.monotonic() < until:
        now = _look(out)
        if now != last:
            last = now
            yield
        time.sleep(POLL_S)
    if _look(out) != last:
        yield


def _look(out: Path) -> list[tuple[str, int, int]]:
    found = []
    for folder, _, names in os.walk(out):
        for name in (*names, ""):
            with contextlib.suppress(OSError):
                told = (Path(folder) / name).stat()
                found.append((f"{folder}/{name}", told.st_ino, told.st_size))
    return found


def kill_writers(cases: list[Case], moments: int, seed: int, log: Path | None = None) -> dict[str, Tally]:
    """Strike each command at so many moments, all of them in turn."""
    rng = random.Random(seed)
    tallies = {case.name: Tally() for case in cases}
    with tempfile.TemporaryDirectory(prefix="danet-kill-") as name:
        folder = Path(name)
        make_inputs(folder / "in", cases)
        ready = [prepare(case, folder / case.name.replace(" ", "-"), folder / "in") for case in cases]
        for moment in range(moments):
            for prepared in ready:
                tally = tallies[prepared.case.name]
                _moment(prepared, folder / "out", rng, moment, tally)
            if log is not None:
                log.write_text(report(tallies, ready, seed))
    return tallies


def _moment(prepared: Prepared, out: Path, rng: random.Random, moment: int, tally: Tally) -> None:
    shutil.copytree(prepared.old, out)
    try:
        phase = strike(prepared, out, rng, in_writing=moment % 2 == 1)
        tally.moments += 1
        tally.phases[phase] += 1
        inspect(prepared, out, tally)
        written = phase != "before writing" and not prepared.case.slow
        if written or moment % RERUN_EVERY == 0:
            rerun(prepared, out, tally)
    finally:
        shutil.rmtree(out)


def report(tallies: dict[str, Tally], ready: list[Prepared], seed: int) -> str:
    """What was found so far, as JSON."""
    times = {one.case.name: (round(one.seconds, 2), one.changes) for one in ready}
    content = {
        name: {
            "seconds, changes of a full run": times[name],
            "moments": tally.moments,
            "killed": tally.phases,
            "files": tally.files,
            "leftovers": tally.leftovers,
            "leftovers after reruns": tally.left_after_rerun,
            "reruns": tally.reruns,
            "reruns that worked": tally.reruns_that_worked,
            "complaints": tally.complaints,
        }
        for name, tally in tallies.items()
    }
    return json.dumps({"seed": seed, "date": time.strftime("%F %T"), "commands": content}, indent=1) + "\n"


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description="Kill the commands that write, at random moments.")
    parser.add_argument("commands", metavar="COMMAND", nargs="*", help=", ".join(case.name for case in CASES))
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, help="JSON, renewed after each round")
    options = parser.parse_args()
    os.nice(10)
    cases = [case for case in CASES if not options.commands or case.name in options.commands]
    tallies = kill_writers(cases, options.moments, options.seed, options.log)
    failed = [line for tally in tallies.values() for line in tally.complaints]
    print(json.dumps({name: [tally.moments, tally.phases] for name, tally in tallies.items()}))
    print("\n".join(failed) or "nothing lost")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
