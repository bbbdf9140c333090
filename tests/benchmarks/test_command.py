"""The whole command, with the null backend and as little work as possible."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from danet.errors import InputError
from danet_benchmarks import session
from danet_benchmarks.command import COMMAND
from danet_benchmarks.ledger import Ledger
from danet_benchmarks.plan import DEFAULT, FULL, QUICK
from danet_benchmarks.report.json_form import load_report
from danet_benchmarks.report.write import write_json, write_report
from danet_benchmarks.results import Accuracy
from danet_benchmarks.session import request_of

from .conftest import TINY

Benchmark = Callable[..., int]


def _options(*arguments: object) -> Any:
    import argparse

    parser = argparse.ArgumentParser()
    COMMAND.add_arguments(parser)
    return parser.parse_args([str(argument) for argument in arguments])


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small_products: None) -> Benchmark:
    """Runs the command on tiny frames, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(session, "plan_of", lambda options: TINY)
    monkeypatch.setattr("danet_benchmarks.run.FRAME_SIZE", (64, 96))
    monkeypatch.setattr(session, "write_report", write_json)  # plots take their time

    def run(*arguments: object) -> int:
        return COMMAND.run(_options(*arguments, "--threads", 1, "--persons", 1))

    return run


def test_from_nothing_to_a_report(
    benchmark: Benchmark, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "write_report", write_report)
    out = tmp_path / "out"
    assert benchmark("nobody", tmp_path / "missing.onnx", "--backend", "null", "onnxruntime", "--out", out) == 0
    report = load_report(out / "report.json")
    assert report.complete
    assert report.rounds == 2
    whole, broken = report.rows[0], report.rows[3]
    assert (whole.case.label, whole.error) == ("nobody null none b2 t1", None)
    assert whole.speed is not None
    assert [len(one.pps.rounds) for one in whole.speed.end_to_end] == [2]
    assert whole.accuracy is not None
    assert broken.error == f"{tmp_path / 'missing.onnx'}: no such file"
    assert {path.name for path in out.iterdir()} == {"report.json", "report.md", "report.csv", "report.html"}
    printed = capsys.readouterr()
    assert printed.out == ""
    assert str(out) in printed.err


@pytest.mark.parametrize(("before", "status"), [(0.0, 0), (0.5, 1)])
def test_exit_status_beside_a_baseline(
    before: float, status: int, benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, null_trial: Any
) -> None:
    def measured(ap: float) -> Callable[..., None]:
        def run(request: Any, ledger: Ledger, watch: Any) -> None:
            accuracy = Accuracy("coco/val", 9, "annotated", False, ap, ap, ap, None, None, ap, *[None] * 4)
            ledger.enter((null_trial(),))
            ledger.accuracy(null_trial(), accuracy)

        return run

    monkeypatch.setattr(session, "run_benchmark", measured(before))
    assert benchmark("--out", tmp_path / "old") == 0
    monkeypatch.setattr(session, "run_benchmark", measured(0.0))
    assert benchmark("--out", tmp_path / "new", "--baseline", tmp_path / "old" / "report.json") == status


def test_a_baseline_is_not_written_over(benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from danet.errors import InputError

    monkeypatch.setattr(session, "run_benchmark", lambda request, ledger, watch: ledger.save())
    benchmark("--out", tmp_path / "out")
    before = (tmp_path / "out" / "report.json").read_bytes()
    with pytest.raises(InputError, match="would write over this --baseline; give another folder"):
        benchmark("--out", tmp_path / "out", "--baseline", "out/report.json")
    assert (tmp_path / "out" / "report.json").read_bytes() == before


def test_nothing_measured_is_exit_status_1(benchmark: Benchmark, tmp_path: Path) -> None:
    assert benchmark("missing.xml", "--out", tmp_path / "out") == 1
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "val.json").write_text("{}")
    status = benchmark("nobody", "--backend", "null", "--data", tmp_path / "data", "--out", tmp_path / "no-data")
    assert status == 1
    report = load_report(tmp_path / "no-data" / "report.json")
    assert report.rows[0].speed is not None  # the speed is kept
    assert report.notes[-1].startswith(f"no accuracy: {tmp_path / 'data' / 'val.json'}: not in COCO's keypoint format")


def test_interrupt_keeps_what_is_there(
    benchmark: Benchmark,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    null_trial: Any,
) -> None:
    def interrupted(request: Any, ledger: Ledger, watch: Any) -> None:
        ledger.enter((null_trial(),))
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "run_benchmark", interrupted)
    with pytest.raises(KeyboardInterrupt):
        benchmark("--out", tmp_path / "out")
    report = load_report(tmp_path / "out" / "report.json")
    assert not report.complete
    assert report.notes == ("ended before its end: KeyboardInterrupt",)
    assert "nobody" in capsys.readouterr().err


def ended(group: int) -> bool:
    """Whether the last process of a group ends within a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_kill_keeps_what_was_saved(tmp_path: Path) -> None:
    """The real program, killed as soon as its first report is there; its workers end too."""
    arguments = ["nobody", "--backend", "null", "--quick", "--threads", "1", "--out", str(tmp_path / "out")]
    program = (
        "import sys; from danet_benchmarks.command import COMMAND as c; import argparse; p = argparse.ArgumentParser()"
    )
    program += "; c.add_arguments(p); c.run(p.parse_args(sys.argv[1:]))"
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], cwd=tmp_path, start_new_session=True)
    saved = tmp_path / "out" / "report.json"
    end = time.monotonic() + 240
    try:
        while not saved.exists() and time.monotonic() < end and process.poll() is None:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert ended(process.pid), "workers live on"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # of its own: start_new_session
    report = load_report(saved)
    assert not report.complete
    assert report.rows[0].case.name == "nobody"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--data", "nowhere"), "nowhere: no such folder"),
        (("--checkpoint", "gone.pt"), "gone.pt: no such file"),
        (("--foreign", "gone.onnx"), "gone.onnx: no such file"),
        (("--data", ".", "--split", "vall"), r"no annotations of split 'vall'; looked for vall\.json"),
        (("--data", ".", "--detections", "gone.json", "--split", "there"), "gone.json: no such file"),
        (("--baseline", "gone.json"), "gone.json"),
    ],
)
def test_wrong_files_are_named_at_once(
    arguments: tuple[str, ...], reason: str, benchmark: Benchmark, tmp_path: Path
) -> None:
    (tmp_path / "there.json").write_text("{}")
    with pytest.raises(InputError, match=reason):
        benchmark(*arguments)


def test_too_many_persons_are_refused_at_once() -> None:
    with pytest.raises(InputError, match="--persons 501, expected 500 at most"):
        request_of(_options("--persons", 3, 501))


@pytest.mark.parametrize(
    "arguments", [("--batch", "0"), ("--quick", "--full"), ("--backend", "abacus"), ("--only", "x")]
)
def test_wrong_use(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as stop:
        _options(*arguments)
    assert stop.value.code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("--split", "val"),
        ("--detections", "boxes.json"),
        ("--only", "speed", "--data", "."),
        ("--only", "speed", "--limit", "3"),
        ("--only", "speed", "--flip-test"),
        ("--only", "accuracy", "--persons", "1"),
        ("--only", "accuracy", "--streams", "2"),
        ("--only", "accuracy", "--batch", "1"),
        ("--only", "accuracy", "--rivals"),
    ],
)
def test_options_that_would_be_ignored(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert COMMAND.run(_options("nobody", *arguments)) == 2
    assert f"danet benchmark: error: {arguments[2 if len(arguments) > 2 else 0]} " in capsys.readouterr().err


def test_what_options_ask_for(tmp_path: Path) -> None:
    assert [session.plan_of(_options(*one)) for one in ((), ("--quick",), ("--full",))] == [DEFAULT, QUICK, FULL]
    assert session.request_of(_options("--full")).grid.batches == (1, 8)
    assert FULL.rounds * FULL.persons_a_round >= 1000  # the paper's protocol
    request = session.request_of(_options("--rivals"))
    assert (request.models, request.rivals) == ((), ())
    assert session.request_of(_options("--rivals", "hrnet-w32")).rivals == ("hrnet-w32",)
    assert session.request_of(_options()).rivals is None
    asked = session.request_of(
        _options("a.xml", "--batch", 1, 4, "--streams", 2, "--precision", "bf16", "--only", "speed")
    )
    assert (asked.models, asked.parts) == (("a.xml",), ("speed",))
    assert (asked.grid.batches, asked.grid.streams, asked.grid.hints) == ((1, 4), (2,), ("bf16",))
    assert (request.grid.streams, request.frame_persons, request.data.split) == ((1,), (1, 3, 10), "val")


def test_a_new_folder_for_each_run(tmp_path: Path) -> None:
    first = session.new_folder(tmp_path)
    assert first.name.endswith(date.today().isoformat())
    assert first.name == first.name.lower()
    first.mkdir()
    second = session.new_folder(tmp_path)
    assert second.name == f"{first.name}-2"
    second.mkdir()
    assert session.new_folder(tmp_path).name == f"{first.name}-3"


def test_loads_without_extras() -> None:
    heavy = ("pycocotools", "openvino", "torch", "matplotlib", "jinja2")
    code = f"import sys, danet_benchmarks.command; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_needs_no_extra_to_start() -> None:
    """A fresh install measures what it can: all that a run imports before its first worker, and its workers."""
    code = """
import sys
for name in ("torch", "safetensors", "onnx", "onnxruntime", "pycocotools", "matplotlib", "jinja2"):
    sys.modules[name] = None
import danet_benchmarks.session, danet_benchmarks.runner, danet_benchmarks.preparation, danet_benchmarks.evaluator
"""
    subprocess.run([sys.executable, "-c", code], check=True)
