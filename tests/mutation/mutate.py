"""Mutation testing of single modules: each small fault that cosmic-ray can make, and whether a test notices it.

    pip install cosmic-ray
    python tests/mutation/mutate.py danet.decode sdk/danet/decode.py tests/danet/test_decode.py [TEST...] --out FILE

The mutants are cosmic-ray's. They run here and not under its own command because a fork of a process that has
imported everything takes a tenth of the time of a new one, and because no file of the tree is changed meanwhile.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import json
import os
import resource
import signal
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import numpy.testing  # noqa: F401 - what forks need is imported once
import pytest
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

SECONDS = 90
"""After which a mutant is taken for one that never ends, which is noticed too."""
MEMORY = 12 << 30
"""Bytes of address space: a mutant may ask for any amount."""
QUICK = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
"""Without shrinking: that a test fails is enough."""


def without_notes(source: str) -> str:
    """The syntax tree without annotations and docstrings, which change nothing that runs."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return ast.dump(tree)


def mutants(source: str) -> Iterator[tuple[str, str]]:
    """Operator and mutated source, each mutation once, those that only annotations show left out."""
    seen = {without_notes(source)}
    for name in sorted(operator_names()):
        if name.rsplit("/")[-1].lower().startswith("variable"):  # those need to be told which
            continue
        occurrence = 0
        while mutated := mutate_code(source, get_operator(name)(), occurrence):
            occurrence += 1
            try:
                form = without_notes(mutated)
            except SyntaxError:  # such as "not" before an assignment expression
                continue
            if form not in seen:
                seen.add(form)
                yield name, mutated


def replace_module(name: str, code: types.CodeType) -> None:
    """Put a module made of `code` in the place of the one of that name, and its names where others imported them."""
    old, new = vars(importlib.import_module(name)), types.ModuleType(name)
    exec(code, new.__dict__)
    package = name.partition(".")[0]
    for place, other in list(sys.modules.items()):
        if place.partition(".")[0] == package:
            for key in [key for key, value in vars(other).items() if key in old and value is old[key]]:
                setattr(other, key, getattr(new, key, None))
    sys.modules[name] = new


def survives(module: str, path: Path, mutated: str, tests: list[str]) -> tuple[bool, str]:
    """Run the tests in a fork that has the mutated module; whether all pass, and how it ended."""
    if not (child := os.fork()):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        signal.alarm(SECONDS)
        status = 1
        try:
            replace_module(module, compile(mutated, str(path), "exec"))
            status = int(
                pytest.main(["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "--hypothesis-seed=0", *tests])
            )
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    how = f"signal {ended & 127}" if ended & 127 else f"status {ended >> 8}"
    return ended == 0, how


def changed_lines(source: str, mutated: str) -> list[str]:
    """The lines that differ, as a diff shows them."""
    lines = difflib.unified_diff(source.splitlines(), mutated.splitlines(), n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++"))]


def key_of(source: str, operator: str, mutated: str) -> tuple[str, ...]:
    """What tells a mutant from others, also after lines above it were added."""
    return operator, *(line for line in changed_lines(source, mutated) if not line.startswith("@@"))


def outcomes(path: Path) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Keys of an earlier output's mutants, and which survived."""
    for one in map(json.loads, path.read_text().splitlines()):
        yield (one["operator"], *(line for line in one["diff"] if not line.startswith("@@"))), one["survived"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module")
    parser.add_argument("path", type=Path)
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, one for each mutant")
    parser.add_argument("--share", default="0/1", help="I/N: every N-th mutant, beginning at the I-th")
    parser.add_argument("--again", type=Path, help="only those that survived in this earlier output")
    parser.add_argument("--known", type=Path, nargs="*", default=[], help="leave out those in these earlier outputs")
    options = parser.parse_args()
    hypothesis.settings.register_profile("mutation", phases=QUICK, database=None, deadline=None)
    hypothesis.settings.load_profile("mutation")
    source = options.path.read_text()
    importlib.import_module(options.module)
    if not survives(options.module, options.path, source, options.tests)[0]:
        sys.exit("the tests fail without any mutation")
    first, step = map(int, options.share.split("/"))
    chosen = list(mutants(source))
    if options.again:
        alive = {key for key, survived in outcomes(options.again) if survived}
        chosen = [one for one in chosen if key_of(source, *one) in alive]
    known = {key for path in options.known for key, _ in outcomes(path)}
    chosen = [one for one in chosen if key_of(source, *one) not in known][first::step]
    with options.out.open("w") as out:
        for number, (name, mutated) in enumerate(chosen, 1):
            began = time.monotonic()
            survived, how = survives(options.module, options.path, mutated, options.tests)
            figures = {"operator": name, "survived": survived, "how": how, "seconds": time.monotonic() - began}
            out.write(json.dumps({**figures, "diff": changed_lines(source, mutated)}) + "\n")
            out.flush()
            print(f"{number}/{len(chosen)} {name} {'SURVIVED' if survived else how}", flush=True)


if __name__ == "__main__":
    main()
