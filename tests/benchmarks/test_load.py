from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from danet.backends import null_backend
from danet_benchmarks import load as program
from danet_benchmarks.load import LEFT_MIB, LoadReport, load, main
from danet_benchmarks.process_sample import ProcessSample

AT = ProcessSample(100.0, 20, 10)
GOOD = LoadReport(9.0, 16, 5, 9, 1, 2, (), 0, (), (), (1, 2), (1.0, 2.0), AT, AT, AT, (100.0,) * 10, 1.0)


def test_nothing_to_complain_of() -> None:
    assert GOOD.complaints() == []
    assert replace(GOOD, left_mib=None).complaints() == []


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (replace(GOOD, wrong_results=2), "2 wrong results"),
        (replace(GOOD, unexpected_errors=("client 3: OSError: x",)), "unexpected error: client 3: OSError: x"),
        (replace(GOOD, stuck=(4,)), "no answer for"),
        (replace(GOOD, left_mib=LEFT_MIB + 1), "not freed"),
    ],
)
def test_what_is_wrong_is_told(bad: LoadReport, word: str) -> None:
    (said,) = bad.complaints()
    assert word in said


@pytest.mark.long
def test_program(tiny_ir: Path, tmp_path: Path) -> None:
    report = tmp_path / "load.json"
    assert main([str(tiny_ir), "--estimators", "2", "--minutes", "0.04", "--threads", "6", "--json", str(report)]) == 0
    told = json.loads(report.read_text())
    assert told["calls"] > 20
    assert told["persons"] > 20
    assert told["reopened"] >= 1
    assert told["expected_errors"] >= 1
    assert told["wrong_results"] == 0
    assert 2 <= len(told["rss_mib"]) <= 10
    assert min(told["rss_mib"]) > 10
    assert [one["calls"] > 0 for one in told["estimators"]] == [True, True]


def test_a_wrong_answer_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def run(self: null_backend.NullBackend, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        nonlocal calls
        calls += 1
        heatmaps = np.zeros((len(images), *self._shape), np.float32)
        heatmaps[:, :, 5, 5] = 0.9 if calls > 40 and calls % 7 == 0 else 0.8
        return heatmaps

    monkeypatch.setattr(null_backend.NullBackend, "run", run)
    monkeypatch.setattr(program, "EVERY_S", 0.05)
    # a count ends the run, on a slow machine as on a fast one: a client that is stuck does
    monkeypatch.setattr(program, "_stuck", lambda _: (0,) if calls > 100 else ())
    report = load(["x"], "null", 5, 1, 120.0)
    assert calls > 100
    assert report.wrong_results > 0


@pytest.mark.parametrize("for_good", [False, True])
def test_a_stuck_client_is_found(for_good: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one whose answer comes at last."""
    answers, go_on = 0, threading.Event()

    def run(self: null_backend.NullBackend, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        nonlocal answers
        answers += 1
        if answers == 60:
            go_on.wait(30 if for_good else 1.5)
        return np.zeros((len(images), *self._shape), np.float32)

    monkeypatch.setattr(null_backend.NullBackend, "run", run)
    monkeypatch.setattr(program, "STUCK_S", 0.7)
    monkeypatch.setattr(program, "EVERY_S", 0.1)
    try:
        report = load(["x"], "null", 5, 1, 20.0)
    finally:
        go_on.set()
    assert len(report.stuck) >= 1
    assert report.complaints()
    assert report.seconds < 15
