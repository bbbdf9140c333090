"""The fuzzer itself: a finding is found, and what is none is not."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from danet.errors import InputError, ModelFileError
from tests.fuzz import guard, run
from tests.fuzz.guard import check, prepare
from tests.fuzz.keep import lines_of
from tests.fuzz.mutation import mutated
from tests.fuzz.reading import Bytes, edited
from tests.fuzz.slate import Slate
from tests.fuzz.target import load_target


def _refuses(data: bytes) -> None:
    raise InputError("not this")


def _fails(data: bytes) -> None:
    raise KeyError("x")


def _warns(data: bytes) -> None:
    warnings.warn("odd", RuntimeWarning, stacklevel=1)


def _spins(data: bytes) -> None:
    while True:
        pass


def _starts_a_process(data: bytes) -> None:
    os.system("true")


def _talks(data: bytes) -> None:
    raise ModelFileError("x" * 5000)


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (_refuses, None),
        (_fails, "KeyError"),
        (_warns, "RuntimeWarning"),
        (_spins, "TooSlow"),
        (_starts_a_process, "Forbidden"),
        (_talks, "long-message"),
    ],
)
def test_what_is_a_finding(target: Callable[[bytes], None], name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SECONDS", 0.3)
    prepare()
    found = check(target, b"")
    assert (found and found.name.rsplit("-", 2)[0]) == name


def test_memory_is_a_finding() -> None:
    """In a process that has held more before."""
    held = np.ones(64 << 20)
    assert held[-1] == 1
    del held
    prepare()
    assert check(lambda _: None, b"") is None
    assert check(lambda _: np.ones(100 << 10), b"") is None  # type: ignore[arg-type, return-value]
    found = check(lambda _: np.ones(50 << 20), b"")  # type: ignore[arg-type, return-value]
    assert found
    assert found.name == "memory"


def test_nothing_is_watched_outside_a_check() -> None:
    prepare()
    check(_refuses, b"")
    assert os.system("true") == 0


def test_mutation_repeats_and_keeps_to_its_length() -> None:
    def some(seed: int) -> list[bytes]:
        return list(islice(mutated([b'{"a": 12}', b""], [b"word"], 50, seed), 300))

    assert some(1) == some(1)
    assert some(1) != some(2)
    assert max(map(len, some(1))) <= 50
    assert len(set(some(1))) > 200
    assert any(b"word" in data for data in some(1))


def test_bytes_end_in_zeros() -> None:
    read = Bytes(b"\1\2")
    assert read.take(4) == b"\1\2\0\0"
    assert read.number() == 0
    assert read.integer(3, 9) == 3
    assert read.array(np.float32, (2, 2)).tolist() == [[0, 0], [0, 0]]


def test_no_edits_change_nothing() -> None:
    assert edited(b"content", Bytes(b"")) == b"content"
    assert edited(b"content", Bytes(b"\1\0\0\0\0\0X")) == b"Xontent"


def test_a_run_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = ["--corpus", str(tmp_path / "corpus"), "--findings", str(tmp_path / "findings")]
    assert run.main(["detections", "--plain", "--inputs", "40", *folders]) == 0
    seeds = len(load_target("detections").corpus())
    assert f"{40 + seeds} inputs, 0 findings" in capsys.readouterr().out


def test_a_process_that_dies_is_a_finding(tmp_path: Path) -> None:
    options = argparse.Namespace(
        corpus=tmp_path / "corpus", findings=tmp_path / "findings", seconds=5.0, inputs=1, seed=0, atheris=False
    )
    assert run.fuzz("no_such_target", options).findings == 1
    (text,) = (tmp_path / "findings" / "no_such_target").glob("crash-1-*.txt")
    assert "ModuleNotFoundError" in text.read_text()


def test_an_input_that_does_not_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "STALL", 0.3)
    monkeypatch.setattr(run, "_START", 0.3)
    slate = Slate(tmp_path / "slate")
    begin = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        assert run._watch(child, slate, 1.0)
    assert time.monotonic() - begin < 30
    slate.close()


def test_a_slate_outlives_its_writer(tmp_path: Path) -> None:
    slate = Slate(tmp_path / "slate")
    code = "import os, sys; from pathlib import Path; from tests.fuzz.slate import Slate\n"
    code += "Slate(Path(sys.argv[1])).write(7, 1, 0.5, b'last'); os.abort()"
    command = [sys.executable, "-c", code, str(tmp_path / "slate")]
    child = subprocess.run(command, cwd=run.ROOT, check=False, timeout=120)
    assert child.returncode < 0
    standing = slate.read()
    assert (standing.inputs, standing.findings, standing.seconds, standing.last) == (7, 1, 0.5, b"last")
    slate.close()


def test_other_inputs_reach_other_lines() -> None:
    target = load_target("detections")
    plain, broken = lines_of(target.run, target.seeds["plain"]), lines_of(target.run, b"{")
    assert plain - broken
    assert broken - plain
