"""A process that fuzzes one target: `python -m tests.fuzz.child TARGET ...`, started by `tests.fuzz.run`.

It goes on after a finding; only what ends a process (a crash of native code, memory beyond the limit) ends it.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import resource
import sys
import time
from itertools import islice
from pathlib import Path

from tests.fuzz.slate import CAPACITY, Slate

INSTRUMENTED = (
    *("danet", "danet_network", "danet_evaluation", "danet_training", "danet_benchmarks"),
    *("pickletools", "zipfile", "tomllib"),
)
"""Packages whose branches guide atheris."""
MEMORY = 1 << 30
"""Bytes that a process may take beyond those that it has after importing its target."""
WARM = 8
"""Files of the corpus before the first input: what is imported and built on first use is no input's fault."""


def _limit_memory() -> None:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    limit = (int(status["VmData"].split()[0]) << 10) + MEMORY
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


class Session:
    """Tries inputs, keeps count and writes findings."""

    def __init__(self, run: object, slate: Slate, findings: Path) -> None:
        self._run = run
        self._slate = slate
        self._findings = findings
        self._known: set[str] = set()
        self.inputs = 0
        self._begin = time.monotonic()

    def try_input(self, data: bytes) -> None:
        """One input; notes it first, so that it outlives a crash."""
        from tests.fuzz.guard import check

        self._slate.write(self.inputs, len(self._known), time.monotonic() - self._begin, data[:CAPACITY])
        self.inputs += 1
        found = check(self._run, data)  # type: ignore[arg-type]
        if found is not None and found.name not in self._known:
            self._known.add(found.name)
            keep_finding(self._findings, found.name, found.text, data)

    def close(self) -> None:
        """Note the last count."""
        self._slate.write(self.inputs, len(self._known), time.monotonic() - self._begin, b"")


def keep_finding(folder: Path, name: str, text: str, data: bytes) -> None:
    """Write a finding's input and what it brought about."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{hashlib.sha256(data).hexdigest()[:8]}"
    path.write_bytes(data)
    path.with_name(path.name + ".txt").write_text(text, encoding="utf-8")
    print(f"finding: {path}\n{text[-600:]}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests.fuzz.child")
    parser.add_argument("target")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--inputs", type=int, help="at most so many")
    parser.add_argument("--atheris", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--corpus", type=Path, required=True, help="folder for inputs with new coverage")
    parser.add_argument("--findings", type=Path, required=True)
    parser.add_argument("--slate", type=Path, required=True)
    return parser


def main() -> None:
    """Import the target, set the limits, fuzz."""
    options = _parser().parse_args()
    if options.atheris:
        import atheris

        with atheris.instrument_imports(include=list(INSTRUMENTED), enable_loader_override=False):
            from tests.fuzz.target import load_target

            target = load_target(options.target)
    else:
        from tests.fuzz.target import load_target

        target = load_target(options.target)
    from tests.fuzz.guard import prepare

    corpus = target.corpus()
    prepare()
    session = Session(target.run, Slate(options.slate), options.findings)
    for data in islice(corpus.values(), WARM):
        with contextlib.suppress(Exception):  # it comes again
            target.run(data)
    _limit_memory()
    if options.atheris:
        _fuzz_with_atheris(options, target.words, target.max_length, corpus, session)
    else:
        _fuzz_plainly(options, target.words, target.max_length, list(corpus.values()), session)
        session.close()


def _fuzz_plainly(
    options: argparse.Namespace, words: tuple[bytes, ...], most: int, corpus: list[bytes], session: Session
) -> None:
    from tests.fuzz.mutation import mutated

    until = time.monotonic() + options.seconds
    for data in corpus:
        session.try_input(data)
    for data in islice(mutated(corpus, words, most, options.seed), options.inputs):
        if time.monotonic() > until:
            break
        session.try_input(data)


def _fuzz_with_atheris(
    options: argparse.Namespace, words: tuple[bytes, ...], most: int, corpus: dict[str, bytes], session: Session
) -> None:
    import atheris

    seeds = options.corpus.parent / f"{options.corpus.name}.seeds"
    for folder in (seeds, options.corpus):
        folder.mkdir(parents=True, exist_ok=True)
    for data in corpus.values():
        (seeds / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    lines = ['"' + "".join(f"\\x{byte:02X}" for byte in word) + '"' for word in words]
    (dictionary := seeds.with_suffix(".dict")).write_text("\n".join(lines) + "\n")
    flags = {
        "max_total_time": max(1, int(options.seconds)),
        "runs": -1 if options.inputs is None else options.inputs,
        "max_len": most,
        "seed": options.seed + 1,  # 0 is a seed by the clock
        "timeout": 300,  # a second line: ours is of processor time, since the machine is shared
        "rss_limit_mb": 0,
        "print_final_stats": 0,
        "verbosity": 0,
        "artifact_prefix": f"{seeds}/",  # findings are kept by the session
        "dict": str(dictionary),
    }
    arguments = [f"-{name}={value}" for name, value in flags.items() if name != "dict" or words]
    atheris.Setup([sys.argv[0], *arguments, str(options.corpus), str(seeds)], session.try_input)
    atheris.Fuzz()
    session.close()
    os._exit(0)


if __name__ == "__main__":
    main()
